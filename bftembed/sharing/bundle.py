"""Profile texts as a directory for others: texts, vectors, and a card."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bftembed import datasets
from bftembed._files import refuse_nul, remove_stale, replacing
from bftembed._places import without_places
from bftembed._unicode import writable
from bftembed.encoders import encode_cached, get_encoder
from bftembed.errors import DataError, InputError, StoreError
from bftembed.profiles import Bundle, BundledFile, BundleIndex, ProfileStore, Recipe, read_profiles
from bftembed.profiles.bundles import CARD, FORMAT, INDEX, NAMES, PROFILES, SCHEMA, VECTORS
from bftembed.profiles.exports import read_export, write_export
from bftembed.quality import MAIN, check_profiles
from bftembed.quality.result import as_markdown
from bftembed.sharing.card import CardParts, card, counted
from bftembed.sharing.facts import fact_sources
from bftembed.sharing.places import shared_encoder, shared_recipe, under

if TYPE_CHECKING:
    from bftembed.encoders import Encoder

#: What of the profile check stands in the card.
_CHECKED = (
    MAIN,
    "masked first (TF-IDF)",
    *(f"{name} right of stated" for name in ("chromosome", "band", "full name", "family")),
    *("unknown symbols", "refusal", "repetition", "copied", "n_words"),
)


def bundle_profiles(
    store: ProfileStore | Bundle | str | Path,
    output: str | Path,
    *,
    kind: str | None = None,
    recipe: str | None = None,
    encoder: str | Encoder | None = None,
    licence: str = "unknown",
    name: str | None = None,
    check: bool = True,
    progress: bool | None = None,
) -> Bundle:
    """Write profile texts of a store, and their vectors, into a directory that others can read.

    The texts of one kind by one recipe: ``profiles.parquet``; with an encoder ``vectors.parquet``; ``names.txt``;
    ``bundle.json`` with the checksum of each; and ``README.md``, a card in the form of the Hugging Face hub, which says
    how the texts were made, which facts stood in the prompts, licences, counts, how accurate they are, and how to make
    them again. Directories, addresses of servers, errors and unfinished answers of the machine that made them are left
    out. The same store gives the same files.

    Parameters
    ----------
    store
        Profile store or its path, a Parquet export of one, or a bundle or its directory, e.g. to add vectors.
    output
        Directory to write: a new one, or one that holds a bundle, which is replaced as a whole.
    kind
        Of this kind; by default the only one of the store.
    recipe
        Beginning of the digest of the recipe; by default the only one of that kind.
    encoder
        Encodes the texts; by default there are no vectors.
    licence
        Identifier of a licence on the hub, e.g. ``"cc-by-4.0"``.
    name
        What the bundle is called; by default the name of the directory.
    check
        Hold texts of genes against the gene tables (`bftembed.quality.check_profiles`), where these are there.
    progress
        Show bars; by default only on a terminal.

    Returns
    -------
    Bundle
        What :func:`bftembed.datasets.load_bundle` reads; ``.sha256`` is what others pass to it.

    Raises
    ------
    InputError
        If the store holds several kinds or recipes and none was chosen, no text can be used, or the directory holds
        other files.
    StoreError
        If the store cannot be read, or the directory not be written.

    Examples
    --------
    >>> import tempfile
    >>> import bftembed as bft
    >>> from bftembed.profiles import Entity, ProfileStore, write_profiles
    >>> engine = bft.engines.get_engine("annotation")
    >>> with tempfile.TemporaryDirectory() as home:
    ...     with ProfileStore(f"{home}/s.sqlite") as store:
    ...         _ = write_profiles([Entity("gene", "TP53", {"full name": "tumor protein p53"})], engine, store=store)
    ...         bundle = bft.sharing.bundle_profiles(store, f"{home}/texts", check=False)
    >>> bundle.profiles[["entity", "text"]].to_numpy().tolist()
    [['TP53', 'TP53. tumor protein p53.']]
    """
    target = _checked_target(output)
    called = _checked_name(target.name if name is None else name)
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", str(licence)):
        msg = f"licence={licence!r} is no identifier of a licence; the hub writes them as 'cc-by-4.0', 'apache-2.0'."
        raise InputError(msg)
    made_by = None if encoder is None else get_encoder(encoder)
    everything = _all_of(store)
    chosen = _one_kind(everything, kind)
    frame = read_profiles(everything, kind=chosen, recipe=recipe)
    unusable = int(frame.attrs["unusable"])
    known = _one_recipe(frame, chosen)
    shared = shared_recipe(known)
    frame = _with_ids(under(shared, frame.sort_values("entity", kind="stable").reset_index(drop=True)), chosen)
    sentences, sources = fact_sources(frame, chosen, known)
    index: dict[str, Any] = {
        "format": FORMAT,
        "schema_version": SCHEMA,
        "name": called,
        "kind": chosen,
        "n": len(frame),
        "recipe": shared.digest,
        "made_by": " ".join(shared.words.split()),
        "licence": licence,
        "sources": sources,
        "encoder": {} if made_by is None else shared_encoder(made_by.record()),
    }
    parts = CardParts(
        recipe=shared,
        facts=sentences,
        check=_accuracy(frame, chosen, asked=check, progress=progress),
        counts=counted(frame, unusable),
        with_facts=bool(sources) or not sentences[0].startswith("No facts"),
        options={"encoder": index["encoder"].get("spec"), "licence": licence if licence != "unknown" else None},
    )
    vectors = None if made_by is None else _encoded(frame, made_by, progress=progress)
    try:
        remove_stale(target)
        with replacing(target) as made:
            made.mkdir()
            _write(made, frame, vectors, index, parts)
            bundle = datasets.load_bundle(made)  # what cannot be read takes nobody's place
    except (OSError, StoreError, DataError) as error:
        msg = f"`{target}` cannot be written ({error.__cause__ or error}). Free space, or choose another directory."
        raise StoreError(msg) from error
    return replace(bundle, path=target)


def _checked_target(output: str | Path) -> Path:
    """The directory, which no link stands for, where nothing but a bundle would be lost."""
    target = Path(output).expanduser()
    try:
        refuse_nul(target)
        target = target.resolve()
        if target.exists() and not target.is_dir():
            msg = f"`{target}` is a file; give a directory for the bundle."
            raise InputError(msg)
        others = {entry.name for entry in target.iterdir()} if target.is_dir() else set()
        known = INDEX in others and FORMAT.encode() in (target / INDEX).read_bytes()
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError
        msg = f"The directory {str(output)!a} cannot be written: {error}. Choose another one."
        raise InputError(msg) from error
    if writable(str(target)) != str(target):
        msg = f"The directory {str(target)!a} has half a character in its name: choose another one."
        raise InputError(msg)
    if foreign := others - ({INDEX, CARD, NAMES, PROFILES, VECTORS} if known else set()):
        shown = ", ".join(sorted(foreign)[:3])
        msg = f"`{target}` holds other things than a bundle ({shown}): give a new directory, and copy its files there."
        raise InputError(msg)
    if Path.cwd().is_relative_to(target):
        msg = f"`{target}` is the directory you are in, and would be replaced: give another, or go elsewhere."
        raise InputError(msg)
    return target


def _checked_name(name: str) -> str:
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        msg = f"name={name!a} is no name of a bundle: give a line of text."
        raise InputError(msg)
    return name


def _one_kind(frame: pd.DataFrame, kind: str | None) -> str:
    there = frame["kind"].value_counts()
    listed = ", ".join(f"{n:,} {each}" for each, n in there.items()) or "nothing"
    if kind is None and len(there) != 1:
        msg = f"The store holds {listed}: choose one by `kind` (--kind)." if len(there) else "The store is empty."
        raise InputError(msg)
    if kind is not None and kind not in there:
        msg = f"The store holds no texts of kind {kind!r}: {listed}."
        raise InputError(msg)
    return kind or str(there.index[0])


def _all_of(store: ProfileStore | Bundle | str | Path) -> pd.DataFrame:
    """All rows of a store, of its export, or of a bundle."""
    if isinstance(store, ProfileStore):
        return store.frame()
    if isinstance(store, Bundle):
        return store.profiles
    path = Path(store).expanduser()
    if (path / INDEX).is_file():
        return datasets.load_bundle(path).profiles
    if path.suffix == ".parquet":
        return read_export(path)
    with ProfileStore(path, read_only=True) as opened:
        return opened.frame()


def _one_recipe(frame: pd.DataFrame, kind: str) -> Recipe:
    if frame.empty:
        msg = f"The store has no text of kind {kind!r} that can be used: all are empty, failed or degenerate."
        raise InputError(msg)
    recipes = frame[["recipe", "info"]].drop_duplicates("recipe")
    if len(recipes) > 1:
        lines = [f"{digest[:8]}  {Recipe.parse(info).words}" for digest, info in recipes.itertuples(index=False)]
        msg = "\n".join(["These texts are by several recipes: choose one by `recipe` (--recipe).", *lines])
        raise InputError(msg)
    return Recipe.parse(recipes["info"].iloc[0])


def _with_ids(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """With Ensembl and Entrez ids of genes, where the tables are on this machine, and the engine in words."""
    table, facts = (datasets.gene_table(), datasets.gene_facts()) if kind == "gene" else (None, None)
    names = frame["entity"]
    entrez = {} if facts is None else dict(zip(facts.frame["symbol"], facts.frame["gene_id"], strict=True))
    ensembl = {} if table is None else table.ensembl_ids
    ids = {"ensembl": names.map(ensembl), "entrez": names.map(entrez)}
    words = Recipe.parse(frame["info"].iloc[0]).words
    made = frame.assign(**{label: column.fillna("").astype(object) for label, column in ids.items()}, engine=words)
    first = ["entity", "ensembl", "entrez", "kind", "text", "recipe", "engine"]
    return made[[*first, *(name for name in made.columns if name not in {*first, "schema"})]]


def _accuracy(frame: pd.DataFrame, kind: str, *, asked: bool, progress: bool | None) -> str:
    """The summary of the profile check, or why there is none."""
    if not asked:
        return "Not checked: the maker left it out."
    if kind != "gene":
        return "Not checked: the check of `bftembed profiles check` is of genes alone."
    try:
        checked = check_profiles({"these texts": frame}, progress=progress)
    except InputError as error:
        return f"Not checked: {without_places(str(error))}"
    table = checked.table()
    shown = as_markdown(table.loc[[name for name in _CHECKED if name in table.index]])
    told = "By `bftembed profiles check`, which holds texts against the gene tables: means with 95 % intervals."
    flagged = int((checked.genes["flags"] != "").sum())
    count = f"{flagged:,} of {len(checked.genes):,} texts say something that the tables contradict or do not know."
    return "\n".join([told, "", shown, "", count, *(f"\n{note}" for note in checked.notes)])


def _encoded(frame: pd.DataFrame, encoder: Encoder, *, progress: bool | None) -> pd.DataFrame:
    """Vectors (n, d) by name."""
    vectors, _ = encode_cached(frame["text"].tolist(), encoder, progress=progress)
    if not vectors.shape[1]:
        msg = "The encoder `none` makes no vectors: leave it out, or name one."
        raise InputError(msg)
    return pd.DataFrame(vectors, index=pd.Index(frame["entity"], name="name")).rename(columns="d{}".format)


def _write(
    directory: Path, frame: pd.DataFrame, vectors: pd.DataFrame | None, index: dict[str, Any], parts: CardParts
) -> None:
    write_export(frame, directory / PROFILES)
    lines = [" ".join(name.split()) for name in frame["entity"]]
    (directory / NAMES).write_bytes("".join(f"{name}\n" for name in lines).encode())
    if vectors is not None:  # not as other tables of vectors, which take no names such as 0, 1, 2 of clusters
        vectors.reset_index().to_parquet(directory / VECTORS, index=False, use_dictionary=False)
    files = {}
    for made in sorted(directory.iterdir()):
        content = made.read_bytes()
        files[made.name] = BundledFile(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    known = BundleIndex(**index, files=files)
    text = known.model_dump_json(indent=1).encode()
    (directory / INDEX).write_bytes(text)
    said = card(known, hashlib.sha256(text).hexdigest(), parts)
    (directory / CARD).write_text(said, encoding="utf-8")
