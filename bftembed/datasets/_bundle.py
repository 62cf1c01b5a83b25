"""Profile texts that others have shared: a directory, or a url of one."""

from __future__ import annotations

import hashlib
import logging
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

import numpy as np
from pydantic import ValidationError

from bftembed._files import remove, replacing
from bftembed._paths import cache_dir
from bftembed.data import download_url, without_secrets
from bftembed.errors import BftembedError, DataError
from bftembed.profiles import Bundle, BundledFile, BundleIndex, BundleVersion, Recipe
from bftembed.profiles.bundles import INDEX, PROFILES, SCHEMA, VECTORS
from bftembed.profiles.exports import read_export

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

log = logging.getLogger("bftembed")
_IDS = ("ensembl", "entrez", "engine")
_TEXTS = ("entity", "text", "kind", "recipe", "info", "system", "prompt", *_IDS)


def load_bundle(source: str | Path, *, sha256: str | None = None) -> Bundle:
    """Read profile texts that `bftembed profiles bundle` wrote, from a directory or a url.

    Every file is compared with its checksum in ``bundle.json``; so the checksum of that file fixes all of them. What
    comes from a url is kept in the cache; with `sha256` a second call needs no network.

    Parameters
    ----------
    source
        Directory of the bundle, or its url (``https://``, ``http://``, ``file://``), with or without ``/bundle.json``:
        ``https://huggingface.co/datasets/OWNER/NAME/resolve/main`` for one that was uploaded there.
    sha256
        Of ``bundle.json``, as its maker published it. Without it a bundle that is whole is taken, whoever made it.

    Returns
    -------
    Bundle
        For ``profiles=`` of :func:`bftembed.embed`, :func:`bftembed.tl.embed_genes` and others.

    Raises
    ------
    DataError
        If there is none, it cannot be had, is damaged, is another than `sha256` says, or of a later version.

    Examples
    --------
    >>> import tempfile
    >>> import bftembed as bft
    >>> from bftembed.profiles import Entity, ProfileStore, write_profiles
    >>> engine = bft.engines.get_engine("annotation")
    >>> with tempfile.TemporaryDirectory() as home:
    ...     with ProfileStore(f"{home}/s.sqlite") as store:
    ...         _ = write_profiles([Entity("gene", "TP53", {"full name": "tumor protein p53"})], engine, store=store)
    ...     _ = bft.sharing.bundle_profiles(f"{home}/s.sqlite", f"{home}/texts", check=False)
    ...     bundle = bft.datasets.load_bundle(f"{home}/texts")
    >>> bft.embed(["TP53"], facts="none", profiles=bundle).obs["X_bft_text"].tolist()
    ['TP53. tumor protein p53.']
    """
    if sha256 is not None and not re.fullmatch(
        r"[0-9a-f]{64}", sha256 := str(sha256).strip().lower().removeprefix("sha256:")
    ):
        msg = f"sha256={sha256!r} is no SHA-256: it has 64 digits from 0 to f, and stands in the card of the bundle."
        raise DataError(msg)
    text = str(source).strip()
    scheme = re.match(r"([a-z][a-z0-9+.-]+):/", text.lower())
    if scheme and scheme[1] in {"http", "https"} and "://" in text:
        return _from_url(text, sha256)
    if scheme and scheme[1] != "file":
        msg = (
            f"`{text}` is no address that is read: give one with https://, http:// or file:// as text, or a directory."
        )
        raise DataError(msg)
    path = Path(unquote(_parts(text).path) if scheme else str(source)).expanduser()
    path = path.parent if path.name == INDEX else path
    try:
        if not (path / INDEX).is_file():
            raise DataError(_no_bundle(path))
        return _read(path, *_index(path, sha256))
    except OSError as error:
        msg = f"The bundle `{path}` cannot be read: {error}."
        raise DataError(msg) from error


def _no_bundle(path: Path) -> str:
    if path.is_dir():
        return f"`{path}` is no bundle of profiles: it holds no {INDEX}. `bftembed profiles bundle` makes one."
    if not path.exists():
        return f"There is no bundle of profiles `{path}`: check the path."
    if path.suffix in {".zip", ".gz", ".tar", ".tgz"}:
        return f"`{path}` is an archive: unpack it, and give the directory that holds {INDEX}."
    return f"`{path}` is a file, and a bundle is a directory: give a store or a table of texts as `profiles=` itself."


def _from_url(url: str, sha256: str | None) -> Bundle:
    held = cache_dir() / "bundles"
    if sha256 is None or not _is(held / sha256 / INDEX, sha256):
        content = _fetched_index(url, held, sha256)
        sha256 = hashlib.sha256(content).hexdigest()
        log.info("Bundle %s: pass sha256='%s' to be sure of the same one next time.", without_secrets(url), sha256)
        _keep(held / sha256 / INDEX, content)
    path = held / sha256
    index, digest = _index(path, sha256)
    for name in _wanted(index):
        file = index.files[name]
        if not _whole(path / name, file):
            download_url(_url_of(url, name), path / name, sha256=file.sha256, n_bytes=file.bytes)
    return _read(path, index, digest)


def _fetched_index(url: str, held: Path, sha256: str | None) -> bytes:
    """``bundle.json`` at a url; nothing is kept, or fetched, for what is no bundle."""
    arriving = held / f"{uuid.uuid4().hex}.{INDEX}"
    try:
        download_url(_url_of(url, INDEX), arriving, sha256=sha256)
        content = arriving.read_bytes()
    finally:
        remove(arriving)
    _parsed(content, without_secrets(url))
    return content


def _url_of(url: str, name: str) -> str:
    """Address of a file of the bundle; what a server is asked beside a path stays."""
    parts = _parts(url)
    if parts.hostname == "huggingface.co" and "/resolve/" not in f"{parts.path}/":
        msg = f"`{url}` is a page: files of the hub are at https://huggingface.co/datasets/OWNER/NAME/resolve/main."
        raise DataError(msg)
    path = parts.path.rstrip("/").removesuffix(f"/{INDEX}")
    return parts._replace(path=f"{path}/{name}", fragment="").geturl()


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        msg = f"`{without_secrets(url)}` is no address that can be read: {error}."
        raise DataError(msg) from error


def _is(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _keep(path: Path, content: bytes) -> None:
    try:
        with replacing(path) as made:
            made.write_bytes(content)
    except OSError as error:
        msg = f"`{path}` cannot be written ({error}). Free space, or set BFTEMBED_CACHE to another directory."
        raise DataError(msg) from error


def _index(path: Path, sha256: str | None) -> tuple[BundleIndex, str]:
    """What ``bundle.json`` of a directory says, and its checksum."""
    content = (path / INDEX).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        msg = f"`{path / INDEX}` is not the bundle that was asked for: its sha256 is {found}, not {sha256}."
        raise DataError(msg)
    return _parsed(content, path), found


def _parsed(content: bytes, where: object) -> BundleIndex:
    try:
        if BundleVersion.model_validate_json(content).schema_version > SCHEMA:
            msg = f"The bundle `{where}` was made by a later version of bftembed: update it to read this one."
            raise DataError(msg)
        index = BundleIndex.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        msg = f"{INDEX} of `{where}` is not of a bundle of profiles, or is damaged ({place}: {first['msg']})."
        raise DataError(msg) from error
    if PROFILES not in index.files:
        msg = f"{INDEX} of `{where}` names no {PROFILES}: the bundle has no texts."
        raise DataError(msg)
    return index


def _wanted(index: BundleIndex) -> list[str]:
    return [name for name in (PROFILES, VECTORS) if name in index.files]


def _whole(path: Path, file: BundledFile) -> bool:
    if not path.is_file() or path.stat().st_size != file.bytes:
        return False
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest() == file.sha256


def _read(path: Path, index: BundleIndex, digest: str) -> Bundle:
    for name in _wanted(index):
        if not _whole(path / name, index.files[name]):
            what = "damaged, or was changed" if (path / name).is_file() else "missing"
            msg = f"`{path / name}` is {what}: {INDEX} says otherwise. Get the bundle again."
            raise DataError(msg)
    try:
        profiles = _profiles(path / PROFILES, index)
        vectors = _vectors(path / VECTORS, profiles["entity"].tolist()) if VECTORS in index.files else None
    except BftembedError as error:
        msg = f"The bundle `{path}` cannot be used: {error}"
        raise DataError(msg) from error
    return Bundle(profiles, vectors, index, path, digest)


def _profiles(path: Path, index: BundleIndex) -> pd.DataFrame:
    frame = read_export(path)
    if lacking := [name for name in _IDS if name not in frame]:
        msg = f"{PROFILES} has no column `{lacking[0]}`."
        raise DataError(msg)
    wrong = [name for name in _TEXTS if not all(isinstance(value, str) for value in frame[name])]
    blank = any(not value.strip() for name in ("entity", "text") for value in frame[name] if not wrong)
    if wrong or blank or frame["entity"].duplicated().any() or set(frame["status"]) - {"ok"}:
        what = f"`{wrong[0]}` is no text" if wrong else "a name stands twice, is empty, or has no text that can be used"
        msg = f"{PROFILES} is not what this package writes: {what}."
        raise DataError(msg)
    recipes = set(map(_digest_of, set(frame["info"]))) | set(frame["recipe"])
    if len(frame) != index.n or set(frame["kind"]) != {index.kind} or recipes != {index.recipe}:
        found = f"{len(frame):,} texts ({', '.join(sorted(set(frame['kind'])))}) of {len(recipes)} recipes"
        msg = f"{PROFILES} has {found}, and {INDEX} says other: {index.n:,} ({index.kind}) of {index.recipe[:8]!r}."
        raise DataError(msg)
    return frame


def _digest_of(info: str) -> str:
    """Of the recipe that is told; ``""`` where it is none."""
    try:
        return Recipe.parse(info).digest
    except (ValueError, TypeError, AttributeError):  # no JSON, or of other parts
        return ""


def _vectors(path: Path, names: list[str]) -> NDArray[np.float32]:
    """Vectors (n, d) by name, in this order."""
    import pandas as pd
    import pyarrow as pa

    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        msg = f"{VECTORS} is no Parquet file that can be read ({str(error)[:200]})."
        raise DataError(msg) from error
    numbers: Any = frame.drop(columns="name", errors="ignore")
    if "name" not in frame or not frame.shape[1] > 1 or set(numbers.dtypes.map(lambda kind: kind.kind)) != {"f"}:
        msg = f"{VECTORS} has no column `name` and numbers beside it."
        raise DataError(msg)
    with np.errstate(over="ignore"):  # too large becomes infinite, and is refused as such
        values: NDArray[np.float32] = numbers.to_numpy(dtype=np.float32)
    if frame["name"].tolist() != names or not np.isfinite(values).all():
        msg = f"{VECTORS} has vectors of other names than {PROFILES}, or numbers that are missing or infinite."
        raise DataError(msg)
    return values
