"""Profile texts that others have shared: a directory, or a url of one."""

from __future__ import annotations

import hashlib
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import numpy as np
from pydantic import ValidationError

from bftembed._files import replacing
from bftembed._paths import cache_dir
from bftembed.data import download_url
from bftembed.errors import BftembedError, DataError
from bftembed.profiles import Bundle, BundledFile, BundleIndex
from bftembed.profiles.bundles import INDEX, PROFILES, SCHEMA, VECTORS
from bftembed.profiles.exports import read_export

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

log = logging.getLogger("bftembed")
_IDS = ("ensembl", "entrez", "engine")


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
    if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256 := str(sha256).strip().lower()):
        msg = f"sha256={sha256!r} is no SHA-256: it has 64 digits from 0 to f, and stands in the card of the bundle."
        raise DataError(msg)
    text = str(source)
    if text.startswith("file://"):
        text = unquote(urlsplit(text).path)
    if re.match(r"https?://", text):
        return _from_url(text.rstrip("/").removesuffix(f"/{INDEX}"), sha256)
    path = Path(text).expanduser()
    path = path.parent if path.name == INDEX else path
    if not (path / INDEX).is_file():
        raise DataError(_no_bundle(path))
    return _read(path, *_index(path, sha256))


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
        arriving = held / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.{INDEX}"
        download_url(f"{url}/{INDEX}", arriving, sha256=sha256)
        content = arriving.read_bytes()
        arriving.unlink(missing_ok=True)
        sha256 = hashlib.sha256(content).hexdigest()
        _parsed(content, url)  # nothing is kept, or fetched, for what is no bundle
        log.info("Bundle %s: pass sha256='%s' to be sure of the same one next time.", url, sha256)
        path = held / sha256
        _keep(path / INDEX, content)
    path = held / sha256
    index, digest = _index(path, sha256)
    for name in _wanted(index):
        if not _whole(path / name, index.files[name]):
            download_url(f"{url}/{name}", path / name, sha256=index.files[name].sha256, n_bytes=index.files[name].bytes)
    return _read(path, index, digest)


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
        index = BundleIndex.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        msg = f"{INDEX} of `{where}` is not of a bundle of profiles, or is damaged ({place}: {first['msg']})."
        raise DataError(msg) from error
    if index.schema_version > SCHEMA:
        msg = f"The bundle `{where}` was made by a later version of bftembed: update it to read this one."
        raise DataError(msg)
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
    texts = frame[["entity", "text", "kind", "recipe"]]
    wrong = [str(name) for name in texts if not texts[name].map(lambda value: isinstance(value, str)).all()]
    if wrong or (frame["text"].str.strip() == "").any() or frame["entity"].duplicated().any():
        what = f"`{wrong[0]}` is no text" if wrong else "a name stands twice, or has no text"
        msg = f"{PROFILES} is not what this package writes: {what}."
        raise DataError(msg)
    if len(frame) != index.n or set(frame["kind"]) != {index.kind} or set(frame["recipe"]) != {index.recipe}:
        msg = f"{PROFILES} has {len(frame):,} texts of {', '.join(sorted(set(frame['kind'])))}, and {INDEX} says other."
        raise DataError(msg)
    return frame


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
    values: NDArray[np.float32] = numbers.to_numpy(dtype=np.float32)
    if frame["name"].tolist() != names or not np.isfinite(values).all():
        msg = f"{VECTORS} has vectors of other names than {PROFILES}, or numbers that are missing."
        raise DataError(msg)
    return values
