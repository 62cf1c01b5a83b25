"""`Profile`: one stored text; and tables of them in files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bftembed._files import replacing
from bftembed._html import Shown
from bftembed.errors import InputError, StoreError
from bftembed.profiles.recipe import SCHEMA_VERSION

if TYPE_CHECKING:
    import pandas as pd

    from bftembed.profiles.clean import Status

_SEPARATORS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True, slots=True)
class Profile(Shown):
    """One stored text.

    ``text`` is cleaned, ``raw`` as the engine gave it; ``status`` says whether it may be embedded (``ok``).

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.engines import get_engine
    >>> from bftembed.profiles import Entity, ProfileStore, write_profiles
    >>> genes = [Entity("gene", "TP53", {"full name": "tumor protein p53"})]
    >>> with TemporaryDirectory() as directory, ProfileStore(f"{directory}/texts.sqlite") as store:
    ...     [profile] = write_profiles(genes, get_engine("annotation"), store=store).profiles
    >>> profile.status, profile.prompt == profile.raw  # annotation is its own prompt
    ('ok', True)
    """

    key: str
    recipe: str
    system: str
    prompt: str
    text: str
    raw: str
    status: Status
    issues: str
    finish_reason: str
    error: str | None
    n_prompt_tokens: int
    n_tokens: int
    attempts: int
    created: float

    @property
    def pending(self) -> bool:
        """Whether another attempt is due: it failed with an error, or its text failed once."""
        return self.status == "error" or (self.status != "ok" and self.attempts < 2)


COLUMNS = tuple(Profile.__dataclass_fields__)


def export_target(path: str | Path) -> Path:
    """The path of an export; by its suffix Parquet or a table of text.

    Raises
    ------
    InputError
        If the suffix is another.
    """
    target = Path(path).expanduser()
    if target.suffix not in {".parquet", *_SEPARATORS}:
        msg = f"`{target}`: profiles are exported to .parquet, .csv or .tsv."
        raise InputError(msg)
    return target


def write_export(frame: pd.DataFrame, target: Path) -> None:
    """Write what `ProfileStore.frame` gives to a file, in the form that its suffix names.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    try:
        with replacing(target) as made:
            if target.suffix == ".parquet":
                frame.assign(schema=SCHEMA_VERSION).to_parquet(made, index=False)
            else:
                frame.to_csv(made, index=False, sep=_SEPARATORS[target.suffix])
    except OSError as error:
        msg = f"`{target}` cannot be written: {error}. Free space, or choose another path."
        raise StoreError(msg) from error


def read_export(path: str | Path, *, strict: bool = True) -> pd.DataFrame:
    """Read a Parquet file made by `ProfileStore.export` and check its columns and schema version.

    Without `strict`, a table that does not name a schema is given back as it is.
    """
    import pandas as pd
    import pyarrow as pa

    try:
        frame = pd.read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        msg = f"`{path}` is no Parquet file that can be read: {error}."
        raise InputError(msg) from error
    if not strict and "schema" not in frame:
        return frame
    missing = {"kind", "entity", "info", "schema", *COLUMNS} - set(frame.columns)
    if missing or set(frame["schema"].unique()) - {SCHEMA_VERSION}:
        msg = f"`{path}` was not made by `bftembed profiles export` of schema {SCHEMA_VERSION}" + (
            f" (columns missing: {', '.join(sorted(missing))})." if missing else "."
        )
        raise InputError(msg)
    return frame
