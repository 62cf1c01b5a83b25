"""Profile texts on disk: content-addressed, resumable, written by several processes at once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bftembed._paths import cache_dir
from bftembed._sqlite import chosen, connect, explained, transaction
from bftembed.errors import InputError, StoreError
from bftembed.profiles.exports import COLUMNS, Profile, export_target, read_export, write_export
from bftembed.profiles.recipe import SCHEMA_VERSION, Recipe, matching

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from bftembed.engines import Engine

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS recipes (
    recipe TEXT PRIMARY KEY, info TEXT NOT NULL, seconds REAL NOT NULL DEFAULT 0, tokens INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS profiles (
    key TEXT PRIMARY KEY, recipe TEXT NOT NULL, system TEXT NOT NULL, prompt TEXT NOT NULL,
    text TEXT NOT NULL, raw TEXT NOT NULL, status TEXT NOT NULL, issues TEXT NOT NULL, finish_reason TEXT NOT NULL,
    error TEXT, n_prompt_tokens INTEGER NOT NULL, n_tokens INTEGER NOT NULL,
    attempts INTEGER NOT NULL, created REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entities (
    kind TEXT NOT NULL, entity TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (kind, entity, key)
) WITHOUT ROWID;
PRAGMA user_version = {SCHEMA_VERSION}
"""
_APPLICATION = 0x62667470  # "bftp"


# Any answer replaces an error, and no error an answer; of two errors and of two bad texts the later one stays.
_NEWER_WINS = (
    "ON CONFLICT (key) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in COLUMNS if column != "key")
    + " WHERE CASE WHEN profiles.status = 'error'"
    " THEN excluded.status <> 'error' OR excluded.created >= profiles.created"
    " ELSE profiles.status <> 'ok' AND excluded.status <> 'error'"
    " AND (excluded.status = 'ok' OR excluded.attempts > profiles.attempts) END"
)


class ProfileStore:
    """SQLite file of profile texts.

    Parameters
    ----------
    path
        The file; by default ``profiles.sqlite`` in the user cache (``BFTEMBED_CACHE``). Made if it is not there.
    read_only
        Change nothing; the file may lie on read-only media.

    Raises
    ------
    StoreError
        If the file is not there (with `read_only`), is damaged, of another program or schema, or cannot be written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.engines import get_engine
    >>> from bftembed.profiles import Entity, ProfileStore, write_profiles
    >>> gene = Entity("gene", "TP53", {"full name": "tumor protein p53"})
    >>> with TemporaryDirectory() as directory, ProfileStore(f"{directory}/texts.sqlite") as store:
    ...     _ = write_profiles([gene], get_engine("annotation"), store=store)
    ...     list(store.recipes().values())[0].template
    'annotation'
    """

    def __init__(self, path: str | Path | None = None, *, read_only: bool = False) -> None:
        self.path = Path(path).expanduser() if path else cache_dir() / "profiles.sqlite"
        if self.path.is_dir():
            msg = f"`{self.path}` is a directory; a profile store is a file, e.g. `{self.path / 'profiles.sqlite'}`."
            raise StoreError(msg)
        if read_only and not self.path.exists():
            msg = f"There is no profile store `{self.path}`."
            raise StoreError(msg)
        self._connection = connect(self.path, _SCHEMA, application=_APPLICATION, read_only=read_only)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; everything was committed before."""
        self._connection.close()

    def __len__(self) -> int:
        return int(self._rows("SELECT count(*) FROM profiles")[0][0])

    def _rows(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with explained(self.path):
            return self._connection.execute(statement, values).fetchall()

    def get(self, keys: Iterable[str]) -> dict[str, Profile]:
        """Stored profiles by key; keys that are not there are left out."""
        statement = f"SELECT {', '.join(COLUMNS)} FROM profiles WHERE key IN ({{keys}})"
        return {row[0]: Profile(*row) for row in chosen(self._connection, self.path, statement, keys)}

    def add_recipe(self, recipe: Recipe) -> None:
        """Note how texts are made; once is enough."""
        with transaction(self._connection, self.path):
            self._connection.execute(
                "INSERT OR IGNORE INTO recipes (recipe, info) VALUES (?, ?)",
                (recipe.digest, recipe.json),
            )

    def add_entities(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """Note which (kind, entity, key) belong together."""
        with transaction(self._connection, self.path):
            self._connection.executemany("INSERT OR IGNORE INTO entities VALUES (?, ?, ?)", rows)

    def add(self, profiles: Sequence[Profile], *, seconds: float = 0.0) -> None:
        """Write a finished batch in one transaction. A good text is never replaced.

        Parameters
        ----------
        profiles
            Of one recipe.
        seconds
            How long the batch took; kept for estimates.
        """
        marks = ",".join("?" * len(COLUMNS))
        with transaction(self._connection, self.path):
            self._connection.executemany(
                f"INSERT INTO profiles ({', '.join(COLUMNS)}) VALUES ({marks}) {_NEWER_WINS}",
                [tuple(getattr(profile, column) for column in COLUMNS) for profile in profiles],
            )
            if profiles and seconds:
                self._connection.execute(
                    "UPDATE recipes SET seconds = seconds + ?, tokens = tokens + ? WHERE recipe = ?",
                    (seconds, sum(p.n_prompt_tokens + p.n_tokens for p in profiles), profiles[0].recipe),
                )

    def speed(self, recipe: Recipe) -> float | None:
        """Tokens per second (read and written) that this recipe reached so far, or None."""
        rows = self._rows("SELECT seconds, tokens FROM recipes WHERE recipe = ?", (recipe.digest,))
        return rows[0][1] / rows[0][0] if rows and rows[0][0] and rows[0][1] else None

    def recipes(self) -> dict[str, Recipe]:
        """How the texts were made, by recipe digest."""
        return {digest: Recipe.parse(info) for digest, info in self._rows("SELECT recipe, info FROM recipes")}

    def former_recipes(self, recipe: Recipe, engine: Engine) -> list[str]:
        """Digests under which earlier versions of this package kept what `recipe` makes."""
        like = {
            digest: known.in_current_terms(engine.in_current_terms)
            for digest, known in self.recipes().items()
            if (known.template_digest, known.sampling) == (recipe.template_digest, recipe.sampling)
        }
        return [digest for digest, known in like.items() if known.digest == recipe.digest != digest]

    def recipes_of(self, kind: str, names: Sequence[str]) -> dict[str, int]:
        """How many of some names have a good text, by recipe digest."""
        found: Counter[str] = Counter()
        statement = (
            "SELECT p.recipe, count(DISTINCT e.entity) FROM entities e JOIN profiles p USING (key) "
            "WHERE e.kind = ? AND p.status = 'ok' AND e.entity IN ({keys}) GROUP BY p.recipe"
        )
        for recipe, n in chosen(self._connection, self.path, statement, names, [kind]):
            found[recipe] += n
        return dict(found)

    def frame(
        self, *, kind: str | None = None, recipe: str | None = None, names: Iterable[str] | None = None
    ) -> pd.DataFrame:
        """All profiles with the names they belong to.

        Parameters
        ----------
        kind
            Of this kind only.
        recipe
            By the recipe whose digest begins so.
        names
            Of these names only.

        Returns
        -------
        pandas.DataFrame
            One row per (name, profile): ``kind``, ``entity``, the fields of `Profile`, and ``info`` (recipe, JSON).

        Raises
        ------
        InputError
            If no recipe, or several, begin so.
        """
        import pandas as pd

        chosen = None if recipe is None else self.recipe_digest(recipe)
        columns = ["kind", "entity", *COLUMNS, "info"]
        statement = (
            f"SELECT e.kind, e.entity, {', '.join(f'p.{column}' for column in COLUMNS)}, r.info FROM entities e "
            "JOIN profiles p USING (key) JOIN recipes r USING (recipe) "
            "WHERE (?1 IS NULL OR e.kind = ?1) AND (?2 IS NULL OR p.recipe = ?2) ORDER BY e.kind, e.entity, p.created"
        )
        frame = pd.DataFrame(self._rows(statement, (kind, chosen)), columns=columns)
        return frame if names is None else frame[frame["entity"].isin(set(names))].reset_index(drop=True)

    def recipe_digest(self, beginning: str) -> str:
        """The digest of the recipe that begins so.

        Raises
        ------
        InputError
            If there is none, or several.
        """
        known = self.recipes()
        found = matching(known, beginning)
        if len(found) == 1:
            return found[0]
        lines = [f"{digest[:8]}  {known[digest].words}" for digest in found or known]
        what = "Several recipes begin" if found else "No recipe begins"
        msg = "\n".join([f"{what} with `{beginning}` in `{self.path}`:", *lines])
        raise InputError(msg)

    def export(self, path: str | Path, **only: Any) -> int:
        """Write profiles to a file and give the number of names.

        Parameters
        ----------
        path
            ``.parquet`` (which `load` reads), ``.csv`` or ``.tsv``.
        only
            ``kind``, ``recipe``, ``names`` as in `frame`; by default all.

        Raises
        ------
        InputError
            If the suffix is another.
        StoreError
            If the file cannot be written.
        """
        target = export_target(path)
        frame = self.frame(**only)
        write_export(frame, target)
        return len(frame)

    def load(self, path: str | Path) -> int:
        """Add the profiles of a Parquet file made by `export` and give how many were new.

        Raises
        ------
        InputError
            If it is no such file or its schema is another.
        """
        frame = read_export(path)
        before = len(self)
        with transaction(self._connection, self.path):
            self._connection.executemany(
                "INSERT OR IGNORE INTO recipes (recipe, info) VALUES (?, ?)",
                frame[["recipe", "info"]].drop_duplicates().itertuples(index=False, name=None),
            )
            self._connection.executemany(
                "INSERT OR IGNORE INTO entities VALUES (?, ?, ?)",
                frame[["kind", "entity", "key"]].itertuples(index=False, name=None),
            )
        rows = frame[list(COLUMNS)].astype(object).where(frame[list(COLUMNS)].notna(), None)
        self.add([Profile(*row) for row in rows.itertuples(index=False, name=None)])
        return len(self) - before
