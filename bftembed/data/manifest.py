"""Data manifests: what a data set is, where it comes from, and how it is read."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from bftembed._html import Shown
from bftembed._near import did_you_mean
from bftembed._paths import shipped_dir
from bftembed.errors import DataError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_MAX_PROBLEMS = 8


def _inside(path: str) -> str:
    """Refuse a path that could leave the directory it is joined to, on any operating system."""
    parts = PurePosixPath(path).parts
    unsafe = path != path.strip() or "\\" in path or ":" in path or not path.isprintable()
    if not parts or parts[0] in {"/", "//", "~"} or ".." in parts or unsafe or path.endswith("/"):
        msg = f"{path!r} must be a plain relative path with `/` between its parts, so that it stays inside the cache"
        raise ValueError(msg)
    return path


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
RelativePath = Annotated[str, AfterValidator(_inside)]
Url = Annotated[str, Field(pattern=r"^(https?|file)://\S+$")]
Text = Annotated[str, Field(min_length=1)]


class ManifestFile(BaseModel):
    """One file of a data set: `path` is relative to a mirror and to the cache, `options` go to the reader.

    Examples
    --------
    >>> from bftembed.data import get_manifest
    >>> file = get_manifest("hgnc_genes").file("genes")
    >>> file.reader, len(file.sha256)
    ('tsv', 64)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    path: RelativePath
    url: Url
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(gt=0)]
    reader: Text
    options: dict[str, Any] = Field(default_factory=dict)
    known_defects: list[Text] = Field(default_factory=list)


class Manifest(Shown, BaseModel):
    """A data set of one or more files, with its licence as its source states it and whom to cite.

    `version` is the release as the source calls it, where it does.

    Examples
    --------
    >>> from bftembed.data import get_manifest
    >>> manifest = get_manifest("hgnc_genes")
    >>> manifest.licence, [file.name for file in manifest.files]
    ('MIT', ['genes'])
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    title: Text
    description: Text
    licence: Text
    citation: Text
    homepage: Url
    version: Text | None = None
    commit: Text | None = None
    files: Annotated[list[ManifestFile], Field(min_length=1)]
    known_defects: list[Text] = Field(default_factory=list)

    def __str__(self) -> str:
        """Title and version, for display: the release where the source names it, else the commit."""
        version = self.version or (self.commit or "")[:7]
        return f"{self.title} ({version})" if version else self.title

    @property
    def credit(self) -> str:
        """Title, version, licence and whom to cite, in a sentence for each."""
        return f"{self}. Licence: {self.licence}. {self.citation}"

    @model_validator(mode="after")
    def _distinct(self) -> Manifest:
        for what in ("name", "path"):
            values = [getattr(file, what) for file in self.files]
            if repeated := sorted({value for value in values if values.count(value) > 1}):
                msg = f"two files have the same {what} {repeated[0]!r}"
                raise ValueError(msg)
        return self

    def file(self, name: str) -> ManifestFile:
        """Return the file called `name`.

        Raises
        ------
        DataError
            If the data set has no such file.
        """
        by_name = {file.name: file for file in self.files}
        if name not in by_name:
            msg = f"The data set {self.name!r} has no file {name!r}; it has {', '.join(by_name)}."
            raise DataError(msg)
        return by_name[name]


def manifest_dirs() -> list[Path]:
    """Directories that are searched for ``<name>.yaml``, the user's own (``BFTEMBED_MANIFESTS``) first.

    Raises
    ------
    DataError
        If ``BFTEMBED_MANIFESTS`` is set and is not a directory.
    """
    shipped = shipped_dir("data_manifests")
    own = os.environ.get("BFTEMBED_MANIFESTS")
    if not own:
        return [shipped]
    directory = Path(own).expanduser()
    if not directory.is_dir():
        msg = f"BFTEMBED_MANIFESTS is set to {own!r}, which is not a directory; correct or unset it."
        raise DataError(msg)
    return [directory, shipped]


def list_manifests(directory: Path | str | None = None) -> list[Manifest]:
    """Read every manifest, sorted by name.

    Parameters
    ----------
    directory
        Read the ``*.yaml`` of this directory only. By default those shipped with the package and those in
        ``BFTEMBED_MANIFESTS``, where a user's manifest takes the place of a shipped one of the same name.

    Raises
    ------
    DataError
        If a manifest is malformed.

    Examples
    --------
    >>> from bftembed.data import list_manifests
    >>> "hgnc_genes" in [manifest.name for manifest in list_manifests()]
    True
    """
    return [read_manifest(path) for _, path in sorted(_paths_by_name(directory).items())]


def get_manifest(name: str) -> Manifest:
    """Read the manifest called `name`.

    Raises
    ------
    DataError
        If there is none (the message names the nearest right one), or if it is malformed.

    Examples
    --------
    >>> from bftembed.data import get_manifest
    >>> get_manifest("pbmc_stim").title
    'PBMC with and without interferon beta'
    """
    paths = _paths_by_name(None)
    if name in paths:
        return read_manifest(paths[name])
    hint = did_you_mean(name, paths, cutoff=0.5) or f" There are: {', '.join(sorted(paths)) or 'none'}."
    msg = f"There is no data set called {name!r}.{hint} `bftembed data list` shows all of them."
    raise DataError(msg)


def _paths_by_name(directory: Path | str | None) -> dict[str, Path]:
    directories = manifest_dirs() if directory is None else [Path(directory)]
    return {path.stem: path for place in reversed(directories) for path in sorted(place.glob("*.yaml"))}


def read_manifest(path: Path) -> Manifest:
    """Read and check one manifest; its `name` is the file's name without ``.yaml``.

    Raises
    ------
    DataError
        With one line per problem, if the file is no YAML, lacks a key, has an unknown one or a refused value.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        msg = f"The manifest {path} is not readable YAML: {error}"
        raise DataError(msg) from error
    if not isinstance(content, dict):
        msg = f"The manifest {path} must be a mapping of keys to values, but it holds {type(content).__name__}."
        raise DataError(msg)
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        raise DataError(_explain(path, error.errors())) from error
    if manifest.name != path.stem:
        msg = f"The manifest {path} calls itself {manifest.name!r}; its name must be that of the file, {path.stem!r}."
        raise DataError(msg)
    return manifest


def _explain(path: Path, errors: list[ErrorDetails]) -> str:
    lines = [_explain_one(error) for error in errors[:_MAX_PROBLEMS]]
    if len(errors) > _MAX_PROBLEMS:
        lines.append(f"... and {len(errors) - _MAX_PROBLEMS} more")
    return f"The manifest {path} cannot be used:\n" + "\n".join(f"  - {line}" for line in lines)


def _explain_one(error: ErrorDetails) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "the manifest"
    match error["type"]:
        case "missing":
            return f"`{where}` is missing"
        case "extra_forbidden":
            known = ManifestFile if len(error["loc"]) > 1 else Manifest
            return f"`{where}` is not a known key.{did_you_mean(str(error['loc'][-1]), known.model_fields)}"
        case "value_error":
            return f"`{where}`: {error['ctx']['error']}"
        case _:
            return f"`{where}`: {error['msg']} (found {str(error['input'])[:80]!r})"
