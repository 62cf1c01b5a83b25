"""Scores on disk: content-addressed, resumable, written by several processes at once."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import nullcontext
from dataclasses import astuple, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bftembed._paths import cache_dir
from bftembed._progress import progress as shown
from bftembed._sqlite import chosen, connect, explained, transaction
from bftembed.engines.base import given_options, listed
from bftembed.engines.values import Scored, Scores
from bftembed.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bftembed.engines.base import Engine
    from bftembed.engines.values import Request

_SCHEMA = """
CREATE TABLE IF NOT EXISTS engines (engine TEXT PRIMARY KEY, info TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scores (
    key TEXT PRIMARY KEY, engine TEXT NOT NULL, options TEXT NOT NULL, n_prompt_tokens INTEGER NOT NULL,
    status TEXT NOT NULL, error TEXT, created REAL NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = 1
"""
_APPLICATION = 0x62667473  # "bfts"


class ScoreStore:
    """SQLite file of scores of options.

    Parameters
    ----------
    path
        The file; by default ``scores.sqlite`` in the user cache (``BFTEMBED_CACHE``). Made if it is not there.

    Raises
    ------
    StoreError
        If the file is damaged, of another program, or cannot be written.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = Path(path).expanduser() if path else cache_dir() / "scores.sqlite"
        if self.path.is_dir():
            msg = f"`{self.path}` is a directory; a store of scores is a file, e.g. `{self.path / 'scores.sqlite'}`."
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
        with explained(self.path):
            return int(self._connection.execute("SELECT count(*) FROM scores").fetchone()[0])

    def get(self, keys: Iterable[str]) -> dict[str, Scores]:
        """Stored scores by key, which is their id too; keys that are not there are left out."""
        statement = "SELECT key, options, n_prompt_tokens, status, error FROM scores WHERE key IN ({keys})"
        rows = chosen(self._connection, self.path, statement, keys)
        return {key: Scores(key, self._options(options), *rest) for key, options, *rest in rows}

    def engines(self) -> list[dict[str, str]]:
        """What `Engine.describe` said of those whose scores are here."""
        with explained(self.path):
            rows = self._connection.execute("SELECT info FROM engines ORDER BY engine").fetchall()
        return [json.loads(info)["described"] for (info,) in rows]

    def _options(self, text: str) -> tuple[Scored, ...]:
        try:
            return tuple(Scored(*option) for option in json.loads(text))
        except (ValueError, TypeError) as error:
            msg = f"`{self.path}` is damaged: it holds `{text[:40]}` in place of scores. Move it away and start anew."
            raise StoreError(msg) from error

    def add(self, scores: Mapping[str, Scores], engine: Engine) -> None:
        """Write a finished batch, by key, in one transaction. Nothing but an error is ever replaced."""
        described = engine.describe()
        owner, now = _digest(described), time.time()
        rows = [
            (key, owner, json.dumps([astuple(o) for o in one.options]), one.n_prompt_tokens, one.status, one.error, now)
            for key, one in scores.items()
        ]
        with transaction(self._connection, self.path):
            self._connection.execute(
                "INSERT OR IGNORE INTO engines VALUES (?, ?)",
                (owner, json.dumps({"described": described, "provenance": engine.provenance()}, sort_keys=True)),
            )
            self._connection.executemany(
                "INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
                "options = excluded.options, n_prompt_tokens = excluded.n_prompt_tokens, status = excluded.status, "
                "error = excluded.error, created = excluded.created WHERE scores.status = 'error'",
                rows,
            )


def score_stored(
    requests: Iterable[Request],
    options: Iterable[str] | Iterable[Iterable[str]],
    *,
    engine: Engine | str,
    store: ScoreStore | str | Path | None = None,
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
        Where scores are kept, or its file; by default ``scores.sqlite`` in the user cache.
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
    >>> file = Path(tempfile.mkdtemp()) / "scores.sqlite"
    >>> [scores] = score_stored([question], [" A", " B"], engine=get_engine("default"), store=file, progress=False)
    >>> [option.n_tokens for option in scores.options]
    [1, 1]
    """
    from bftembed.engines import get_engine

    wanted = listed(requests)
    lists = given_options(wanted, options)
    engine = get_engine(engine)
    described = engine.describe()
    with nullcontext(store) if isinstance(store, ScoreStore) else ScoreStore(store) as opened:
        # Its own description first, then others that say the same in other terms (another address of a server).
        others = [each for each in opened.engines() if each != described]
        same = [described, *(each for each in others if engine.in_current_terms(each) == described)]
        asked_for = zip(wanted, lists, strict=True)
        possible = [[_digest(each, r.content, given, end) for each in same] for r, given in asked_for]
        known = opened.get(key for each in possible for key in each)
        answered = {key for key, one in known.items() if one.status != "error"}
        keys = [next((key for key in each if key in answered), each[0]) for each in possible]
        missing = {
            key: (request, given)
            for key, request, given in zip(keys, wanted, lists, strict=True)
            if key not in answered
        }
        if missing:
            asked, choices = zip(*missing.values(), strict=True)
            key_of = {request.id: key for key, (request, _) in missing.items()}
            with shown(len(missing), "scores", "prompt", show=progress) as bar:
                for batch in engine.score_many(asked, choices, end=end):
                    done = {key_of[one.id]: one for one in batch}
                    opened.add(done, engine)
                    known.update(done)
                    bar.update(len(batch))
    return [replace(known[key], id=request.id) for key, request in zip(keys, wanted, strict=True)]


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
