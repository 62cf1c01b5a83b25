"""Existing texts in any form: a mapping, a table, a file, a store."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bftembed._near import near_file
from bftembed._unicode import writable
from bftembed.errors import InputError
from bftembed.profiles.bundles import INDEX, Bundle
from bftembed.profiles.exports import read_export
from bftembed.profiles.recipe import Recipe, matching
from bftembed.profiles.store import ProfileStore

if TYPE_CHECKING:
    import pandas as pd

    Texts = Mapping[str, str] | pd.Series | pd.DataFrame | ProfileStore | Bundle | str | Path

log = logging.getLogger("bftembed")
_TEXT = ("text", "profile", "description", "summary")
_NAME = (
    *("entity", "name", "names", "id", "gene", "genes", "symbol", "gene_symbol", "gene_name", "drug", "compound"),
    *("perturbation", "condition", "cell_type", "gene_set", "set", "index"),
)
_FORMS = (
    "Texts are a mapping from names to texts, a Series (index: names), a DataFrame or CSV with a column of names and a "
    "column `text` (names may be the index), a Parquet export, a profile store or a bundle"
)


def read_texts(
    profiles: Texts,
    *,
    kind: str,
    recipe: str | None = None,
) -> dict[str, str]:
    """Texts by name.

    Parameters
    ----------
    profiles
        A mapping from names to texts; a Series whose index holds the names; a DataFrame, or the path of a CSV, TSV or
        Parquet file, with a column of names (``gene``, ``name``, ...; else the index) and a column ``text``; what
        `ProfileStore.frame` gives or `ProfileStore.export` wrote; a store or its path; a bundle that
        `bftembed.datasets.load_bundle` read.
    kind
        Of the names, where `profiles` says of which kind each is.
    recipe
        Beginning of the recipe's digest, where there are texts of several, see `bftembed profiles stats`.

    Returns
    -------
    dict
        Text by name, without empty ones.

    Raises
    ------
    InputError
        If `profiles` is something else or has no such columns, a name has texts of several recipes, or there is no
        such recipe.

    Examples
    --------
    >>> import pandas as pd
    >>> from bftembed.profiles import read_texts
    >>> read_texts(pd.DataFrame({"gene": ["TP53"], "text": ["Guards the genome."]}), kind="gene")
    {'TP53': 'Guards the genome.'}
    """
    frame = read_profiles(profiles, kind=kind, recipe=recipe)
    return dict(zip(frame["entity"], frame["text"], strict=True))


def read_profiles(profiles: Texts, *, kind: str, recipe: str | None = None) -> pd.DataFrame:
    """Texts as `read_texts` reads them, with all that is known about them.

    Parameters
    ----------
    profiles, kind, recipe
        As for `read_texts`.

    Returns
    -------
    pandas.DataFrame
        One row per name, ``entity`` and ``text``; of a store, its export or its frame also the fields of `Profile`,
        e.g. ``prompt``; of a table its further columns. ``attrs["unusable"]`` is the number of names whose texts are
        all empty, failed or degenerate, which have no row.

    Raises
    ------
    InputError
        As of `read_texts`.

    Examples
    --------
    >>> from bftembed.profiles import read_profiles
    >>> read_profiles({"TP53": "Guards the genome."}, kind="gene").columns.tolist()
    ['entity', 'text']
    """
    chosen = _chosen(_with_names(_table(profiles)), kind, recipe)
    usable = chosen[chosen["status"] == "ok"] if "status" in chosen else chosen
    found = _one_each(usable[usable["text"].notna()])
    found.attrs["unusable"] = len(set(chosen["entity"].map(str)) - set(found["entity"]))
    return found


def _table(profiles: Texts) -> pd.DataFrame:
    import pandas as pd

    if isinstance(profiles, ProfileStore):
        frame = profiles.frame()
    elif isinstance(profiles, Bundle):
        frame = profiles.profiles
    elif isinstance(profiles, str | Path):
        frame = _read(Path(profiles).expanduser())
    elif isinstance(profiles, Mapping):
        frame = pd.DataFrame({"entity": list(profiles), "text": list(profiles.values())}, dtype=object)
    elif isinstance(profiles, pd.Series):
        frame = profiles.rename("text").rename_axis("entity").reset_index()
    elif isinstance(profiles, pd.DataFrame):
        frame = profiles
    else:
        msg = f"{_FORMS}; got {type(profiles).__name__}."
        raise InputError(msg)
    return frame


def _read(path: Path) -> pd.DataFrame:
    """The table in a file."""
    import pandas as pd

    if (path / INDEX).is_file():
        msg = f"`{path}` is a bundle: pass bft.datasets.load_bundle({str(path)!r})."
        raise InputError(msg)
    if not path.is_file():
        hint = " A bundle at a url is read by bft.datasets.load_bundle(url)." if ":/" in str(path) else ""
        msg = f"There is no file `{path}` with texts.{hint or near_file(path)}"
        raise InputError(msg)
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".parquet"):
        return read_export(path, strict=False)
    if not name.endswith((".csv", ".tsv")):
        with ProfileStore(path, read_only=True) as store:
            return store.frame()
    try:  # "NA" is a gene
        return pd.read_csv(path, sep="\t" if name.endswith(".tsv") else ",", dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        msg = f"`{path}` cannot be read as a table of texts: {error}."
        raise InputError(msg) from error


def _with_names(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with columns ``entity`` and ``text``."""
    import pandas as pd

    known = {str(column).casefold(): column for column in reversed(frame.columns)}
    text = next((known[name] for name in _TEXT if name in known), None)
    name = next((known[name] for name in _NAME if name in known), None)
    rest = [column for column in frame.columns if column != name]
    text = rest[0] if text is None and len(rest) == 1 else text
    if text is None or (name is None and isinstance(frame.index, pd.RangeIndex)):
        lacking = "column `text`" if text is None else f"column of names ({', '.join(_NAME[:6])}, ...)"
        columns = ", ".join(map(str, frame.columns)) or "none"
        msg = f"The table of texts has no {lacking}; its columns: {columns}. {_FORMS}."
        raise InputError(msg)
    names = frame.index if name is None else frame[name]
    kept = frame.drop(columns=[name for name in ("entity", "text") if name in frame]).reset_index(drop=True)
    return kept.assign(entity=list(names), text=list(frame[text]))


def _chosen(frame: pd.DataFrame, kind: str, recipe: str | None) -> pd.DataFrame:
    """Rows of a kind and recipe."""
    if "kind" in frame:
        frame = frame[frame["kind"] == kind]
    frame = frame[frame["entity"].notna()]
    if recipe is None:
        return frame
    if "recipe" not in frame:
        msg = f"`recipe={recipe!r}` cannot be chosen: these texts do not say how they were made."
        raise InputError(msg)
    found = matching(frame["recipe"], recipe)
    if len(found) != 1:
        what = f"{len(found)} recipes begin" if found else "no recipe begins"
        msg = f"Among these texts {what} with `{recipe}`. {_choices(frame)}"
        raise InputError(msg)
    return frame[frame["recipe"] == found[0]]


def _one_each(frame: pd.DataFrame) -> pd.DataFrame:
    """One text of each name, none of them empty."""
    frame = frame.assign(entity=frame["entity"].map(str), text=frame["text"].map(lambda text: writable(str(text))))
    frame = frame[frame["text"].map(str.strip) != ""].drop_duplicates(["entity", "text"])
    doubled = frame[frame.duplicated("entity", keep=False)]
    if len(doubled):
        names = doubled["entity"].unique()
        if "recipe" not in frame:
            msg = f"{len(names)} names have several texts, e.g. {', '.join(names[:3])}. Keep one of each."
            raise InputError(msg)
        if doubled.groupby("entity")["recipe"].nunique().max() > 1:
            msg = f"{len(names)} names have texts of several recipes. {_choices(doubled)}"
            raise InputError(msg)
        log.info("%d names have several texts of one recipe, with other facts: the newest is taken.", len(names))
        frame = frame.sort_values("created") if "created" in frame else frame
    return frame.drop_duplicates("entity", keep="last").reset_index(drop=True)


def _choices(frame: pd.DataFrame) -> str:
    """The recipes of a table, each with how to choose it."""
    info: dict[str, Any] = dict(zip(frame["recipe"], frame.get("info", frame["recipe"]), strict=True))
    made = {recipe: Recipe.parse(known).words if known != recipe else "" for recipe, known in info.items()}
    lines = [f'recipe="{recipe[:8]}" (--recipe {recipe[:8]}): {words}' for recipe, words in sorted(made.items())]
    return "Choose one:\n" + "\n".join(lines) if lines else "There is none."
