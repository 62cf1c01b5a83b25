"""Answers on disk, scores of options and texts: content-addressed, resumable, written by several processes at once."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import nullcontext
from dataclasses import asdict, astuple, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from bftembed._paths import cache_dir
from bftembed._progress import progress as shown
from bftembed._sqlite import chosen, connect, explained, transaction
from bftembed.engines.base import given_options, listed
from bftembed.engines.values import Completion, Sampling, Scored, Scores
from bftembed.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from bftembed.engines.base import Engine
    from bftembed.engines.values import Request

_SCHEMA = """
CREATE TABLE IF NOT EXISTS engines (engine TEXT PRIMARY KEY, info TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scores (
    key TEXT PRIMARY KEY, engine TEXT NOT NULL, options TEXT NOT NULL, n_prompt_tokens INTEGER NOT NULL,
    status TEXT NOT NULL, error TEXT, created REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS texts (
    key TEXT PRIMARY KEY, engine TEXT NOT NULL, text TEXT NOT NULL, finish_reason TEXT NOT NULL,
    n_prompt_tokens INTEGER NOT NULL, n_tokens INTEGER NOT NULL, error TEXT, created REAL NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = 1
"""
_APPLICATION = 0x62667473  # "bfts"
Answer = TypeVar("Answer", Scores, Completion)


class AnswerStore:
    """SQLite file of what models answered: scores of options, and texts.

    Parameters
    ----------
    path
        The file; by default ``answers.sqlite`` in the user cache (``BFTEMBED_CACHE``). Made if it is not there.

    Raises
    ------
    StoreError
        If the file is damaged, of another program, or cannot be written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.engines import AnswerStore
    >>> with TemporaryDirectory() as directory, AnswerStore(f"{directory}/answers.sqlite") as store:
    ...     len(store.engines())  # none has answered
    0
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = Path(path).expanduser() if path else cache_dir() / "answers.sqlite"
        if self.path.is_dir():
            msg = f"`{self.path}` is a directory; a store of answers is a file, e.g. `{self.path / 'answers.sqlite'}`."
            raise StoreError(msg)
        self._connection = connect(self.path, _SCHEMA, application=_APPLICATION)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; everything was committed before."""
        self._connection.close()

    def __len__(self) -> int:
        statement = "SELECT (SELECT count(*) FROM scores) + (SELECT count(*) FROM texts)"
        with explained(self.path):
            return int(self._connection.execute(statement).fetchone()[0])

    def scores(self, keys: Iterable[str]) -> dict[str, Scores]:
        """Stored scores by key, which is their id too; keys that are not there are left out."""
        statement = "SELECT key, options, n_prompt_tokens, status, error FROM scores WHERE key IN ({keys})"
        rows = chosen(self._connection, self.path, statement, keys)
        return {key: Scores(key, self._options(options), *rest) for key, options, *rest in rows}

    def texts(self, keys: Iterable[str]) -> dict[str, Completion]:
        """Stored texts by key, which is their id too; keys that are not there are left out."""
        statement = "SELECT key, text, finish_reason, n_prompt_tokens, n_tokens, error FROM texts WHERE key IN ({keys})"
        return {row[0]: Completion(*row) for row in chosen(self._connection, self.path, statement, keys)}

    def engines(self) -> list[dict[str, str]]:
        """What `Engine.describe` said of those whose answers are here."""
        with explained(self.path):
            rows = self._connection.execute("SELECT info FROM engines ORDER BY engine").fetchall()
        return [json.loads(info)["described"] for (info,) in rows]

    def _options(self, text: str) -> tuple[Scored, ...]:
        try:
            return tuple(Scored(*option) for option in json.loads(text))
        except (ValueError, TypeError) as error:
            msg = f"`{self.path}` is damaged: it holds `{text[:40]}` in place of scores. Move it away and start anew."
            raise StoreError(msg) from error

    def add_scores(self, scores: Mapping[str, Scores], engine: Engine) -> None:
        """Write a finished batch, by key, in one transaction. Nothing but an error is ever replaced."""
        rows = {
            key: (json.dumps([astuple(option) for option in one.options]), one.n_prompt_tokens, one.status, one.error)
            for key, one in scores.items()
        }
        statement = (
            "INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
            "options = excluded.options, n_prompt_tokens = excluded.n_prompt_tokens, status = excluded.status, "
            "error = excluded.error, created = excluded.created WHERE scores.status = 'error'"
        )
        self._add(statement, rows, engine)

    def add_texts(self, texts: Mapping[str, Completion], engine: Engine) -> None:
        """Write a finished batch, by key, in one transaction. Nothing but an error is ever replaced."""
        rows = {
            key: (one.text, one.finish_reason, one.n_prompt_tokens, one.n_tokens, one.error)
            for key, one in texts.items()
        }
        statement = (
            "INSERT INTO texts VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET text = excluded.text, "
            "finish_reason = excluded.finish_reason, n_prompt_tokens = excluded.n_prompt_tokens, "
            "n_tokens = excluded.n_tokens, error = excluded.error, created = excluded.created "
            "WHERE texts.finish_reason = 'error'"
        )
        self._add(statement, rows, engine)

    def _add(self, statement: str, rows: Mapping[str, tuple[object, ...]], engine: Engine) -> None:
        """Rows by key, each with the engine that made it and the time."""
        described = engine.describe()
        owner, now = _digest(described), time.time()
        info = json.dumps({"described": described, "provenance": engine.provenance()}, sort_keys=True)
        with transaction(self._connection, self.path):
            self._connection.execute("INSERT OR IGNORE INTO engines VALUES (?, ?)", (owner, info))
            self._connection.executemany(statement, [(key, owner, *row, now) for key, row in rows.items()])


def score_stored(
    requests: Iterable[Request],
    options: Iterable[str] | Iterable[Iterable[str]],
    *,
    engine: Engine | str,
    store: AnswerStore | str | Path | None = None,
    end: bool = False,
    progress: bool | None = None,
) -> list[Scores]:
    r"""Log-probabilities of closed options, asking the engine only for what the store does not have.

    A finished batch is committed before the next is asked for, so that a killed run goes on where it stopped. The key
    of a score holds what `Engine.describe` says, the prompt, the options in their order, and `end`; an engine whose
    scores are all stored is not loaded. Errors are asked for again. What was ``"too_long"`` stays so: the window is the
    model's, or an option of the engine that ``describe`` holds. (A server says neither: one that was started anew with
    another window needs another name of the model, as with other weights.)

    Parameters
    ----------
    requests, options, end
        As in `Engine.score_many`.
    engine
        Scores what is missing; an engine, or its short name (see `get_engine`).
    store
        Where scores are kept, or its file; by default ``answers.sqlite`` in the user cache.
    progress
        Show a bar; by default a bar on a terminal or in a notebook, else a line in the log every 30 s.

    Returns
    -------
    list of Scores
        In the order of the requests.

    Raises
    ------
    InputError
        If ids are not unique, something else is among the requests, there is no list of options for every request, or
        an option is empty.
    EngineError, StoreError
        If the engine or the store cannot be used. What was finished is stored.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from bftembed.engines import Request, get_engine, score_stored
    >>> question = Request("1", "Which gene is a transcription factor?\nA) INS\nB) TP53", prefix="Answer:")
    >>> file = Path(tempfile.mkdtemp()) / "answers.sqlite"
    >>> [scores] = score_stored([question], [" A", " B"], engine=get_engine("default"), store=file, progress=False)
    >>> [option.n_tokens for option in scores.options]
    [1, 1]
    """
    from bftembed.engines import get_engine

    wanted = listed(requests)
    lists = given_options(wanted, options)
    parts = [(request.content, given, end) for request, given in zip(wanted, lists, strict=True)]

    def ask(engine: Engine, missing: Sequence[int]) -> Iterator[list[Scores]]:
        return engine.score_many([wanted[i] for i in missing], [lists[i] for i in missing], end=end)

    with _opened(store) as opened:
        calls = (opened.scores, opened.add_scores, ask)
        return _stored(wanted, parts, engine=get_engine(engine), store=opened, calls=calls, progress=progress)


def complete_stored(
    requests: Iterable[Request],
    *,
    engine: Engine | str,
    store: AnswerStore | str | Path | None = None,
    sampling: Sampling | None = None,
    progress: bool | None = None,
) -> list[Completion]:
    r"""Texts that complete prompts, asking the engine only for what the store does not have.

    As `score_stored`; the key of a text holds what `Engine.describe` says, the prompt and the sampling. Errors are
    asked for again, but for prompts that exceed the model's window.

    Parameters
    ----------
    requests
        As in `Engine.generate`.
    engine
        Writes what is missing; an engine, or its short name (see `get_engine`).
    store
        Where texts are kept, or its file; by default ``answers.sqlite`` in the user cache.
    sampling
        How tokens are drawn; greedy by default.
    progress
        Show a bar; by default a bar on a terminal or in a notebook, else a line in the log every 30 s.

    Returns
    -------
    list of Completion
        In the order of the requests.

    Raises
    ------
    InputError
        If ids are not unique, or something else is among the requests.
    EngineError, StoreError
        If the engine or the store cannot be used. What was finished is stored.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from bftembed.engines import Request, Sampling, complete_stored
    >>> file = Path(tempfile.mkdtemp()) / "answers.sqlite"
    >>> question, brief = Request("1", "Name one gene."), Sampling(max_new_tokens=4)
    >>> [answer] = complete_stored([question], engine="default", store=file, sampling=brief, progress=False)
    >>> answer.finish_reason, answer.n_tokens
    ('length', 4)
    """
    from bftembed.engines import get_engine

    wanted = listed(requests)
    draw = sampling or Sampling()
    parts = [("text", request.content, asdict(draw)) for request in wanted]

    def ask(engine: Engine, missing: Sequence[int]) -> Iterator[list[Completion]]:
        return engine.generate([wanted[i] for i in missing], sampling=draw)

    with _opened(store) as opened:
        calls = (opened.texts, opened.add_texts, ask)
        return _stored(wanted, parts, engine=get_engine(engine), store=opened, calls=calls, progress=progress)


def _opened(store: AnswerStore | str | Path | None) -> nullcontext[AnswerStore] | AnswerStore:
    return nullcontext(store) if isinstance(store, AnswerStore) else AnswerStore(store)


def _stored(
    requests: Sequence[Request],
    parts: Sequence[tuple[object, ...]],
    *,
    engine: Engine,
    store: AnswerStore,
    calls: tuple[
        Callable[[Iterable[str]], dict[str, Answer]],
        Callable[[dict[str, Answer], Engine], None],
        Callable[[Engine, Sequence[int]], Iterator[list[Answer]]],
    ],
    progress: bool | None,
) -> list[Answer]:
    """Answers in the order of the requests: found by their keys, or asked for a batch at a time and added."""
    get, add, ask = calls
    described: dict[str, str] = engine.describe()
    # Its own description first, then others that say the same in other terms (another address of a server).
    others: list[dict[str, str]] = [each for each in store.engines() if each != described]
    same = [described, *(each for each in others if engine.in_current_terms(each) == described)]
    possible = [[_digest(each, *part) for each in same] for part in parts]
    known = get(key for each in possible for key in each)
    answered = {key for key, one in known.items() if not one.is_failed}
    keys = [next((key for key in each if key in answered), each[0]) for each in possible]
    missing = list({key: i for i, key in enumerate(keys) if key not in answered}.values())
    if missing:
        key_of = {requests[i].id: keys[i] for i in missing}
        with shown(len(missing), "answers", "prompt", show=progress) as bar:
            for batch in ask(engine, missing):
                done = {key_of[one.id]: one for one in batch}
                add(done, engine)
                known.update(done)
                bar.update(len(batch))
    return [replace(known[key], id=request.id) for key, request in zip(keys, requests, strict=True)]


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
