"""`Bundle`: profile texts that came as a directory which others can read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from bftembed._html import Shown
from bftembed.encoders import KnownVectors
from bftembed.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

INDEX, CARD, NAMES, PROFILES, VECTORS = "bundle.json", "README.md", "names.txt", "profiles.parquet", "vectors.parquet"
FORMAT, SCHEMA = "bftembed bundle", 1
_Line = Annotated[str, Field(pattern=r"^\P{Cc}*$")]  # it is printed: nothing that moves a cursor or ends a line


class BundledFile(BaseModel):
    """Size and checksum of a file of a bundle.

    Examples
    --------
    >>> from bftembed.profiles import BundledFile
    >>> BundledFile(sha256="0" * 64, bytes=12).bytes
    12
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(gt=0)


class BundleVersion(BaseModel):
    """What ``bundle.json`` says in every version.

    Examples
    --------
    >>> from bftembed.profiles import BundleVersion
    >>> BundleVersion.model_validate_json('{"format": "bftembed bundle", "schema_version": 2}').schema_version
    2
    """

    model_config = ConfigDict(frozen=True)

    format: str = Field(pattern=f"^{FORMAT}$")
    schema_version: int = Field(ge=1)


class BundleIndex(BundleVersion):
    """What ``bundle.json`` says; it fixes all files that are read, so that its own checksum fixes the bundle.

    Examples
    --------
    >>> from bftembed.profiles import BundledFile, BundleIndex
    >>> files = {"profiles.parquet": BundledFile(sha256="0" * 64, bytes=12)}
    >>> how = {"format": "bftembed bundle", "schema_version": 1, "recipe": "0" * 64, "made_by": "bftembed"}
    >>> BundleIndex(name="mine", kind="gene", n=1, licence="CC0", files=files, **how).n
    1
    """

    name: _Line
    kind: _Line
    n: int = Field(gt=0)
    recipe: str
    made_by: _Line
    licence: _Line
    sources: list[_Line] = []
    encoder: dict[str, str] = {}
    files: dict[str, BundledFile]


@dataclass(frozen=True, eq=False)
class Bundle(Shown):
    """Profile texts of one kind by one recipe, as `bftembed.datasets.load_bundle` reads them.

    Give it as ``profiles=`` to any function that embeds.

    Attributes
    ----------
    profiles
        One row per name: ``entity`` (the name), ``ensembl`` and ``entrez`` (of genes), ``kind``, ``text``, ``recipe``
        (digest), ``engine`` (in words), and what else the store knew of the text.
    vectors
        float32, shape (n, d), in the order of `profiles`; None where the bundle has none.
    index
        What ``bundle.json`` says: name, licence, sources of the facts, how texts and vectors were made.
    path
        The directory on this machine.
    sha256
        Of ``bundle.json``; as ``load_bundle(..., sha256=)`` it makes sure that it is this bundle.

    Examples
    --------
    >>> import tempfile
    >>> import bftembed as bft
    >>> from bftembed.profiles import Entity, ProfileStore, write_profiles
    >>> gene = Entity("gene", "TP53", {"full name": "tumor protein p53"})
    >>> with tempfile.TemporaryDirectory() as home:
    ...     with ProfileStore(f"{home}/s.sqlite") as store:
    ...         _ = write_profiles([gene], bft.engines.get_engine("annotation"), store=store)
    ...     bundle = bft.sharing.bundle_profiles(f"{home}/s.sqlite", f"{home}/bundle", check=False)
    >>> bundle.index.n, bundle.profiles["entity"].tolist()
    (1, ['TP53'])
    """

    profiles: pd.DataFrame
    vectors: NDArray[np.float32] | None
    index: BundleIndex
    path: Path
    sha256: str = field(default="")

    def __len__(self) -> int:
        return len(self.profiles)

    def __repr__(self) -> str:
        """In words, a line for each thing."""
        vectors = "no vectors" if self.vectors is None else f"vectors of {self.vectors.shape[1]} dimensions"
        lines = [
            f"Bundle {self.index.name!r}: {len(self):,} texts ({self.index.kind}), {vectors}",
            f"made by: {self.index.made_by}",
            f"licence: {self.index.licence}",
            f"sha256: {self.sha256}",
        ]
        return "\n".join(lines)

    def _parts(self) -> dict[str, Any]:
        vectors = "none" if self.vectors is None else " x ".join(map(str, self.vectors.shape))
        told = self.index.model_dump(include={"name", "kind", "n", "made_by", "licence", "sources"})
        return {**told, "vectors": vectors, "sha256": self.sha256, "profiles": self.profiles}

    @property
    def origin(self) -> dict[str, dict[str, Any]]:
        """What of it stands in the provenance of an embedding."""
        said = self.index.model_dump(include={"name", "licence", "made_by", "sources"})
        return {"bundle": {"sha256": self.sha256, **said}}

    def encoder(self) -> KnownVectors:
        """The vectors of the bundle in place of an encoder: ``embed_genes(adata, profiles=b, encoder=b.encoder())``.

        Raises
        ------
        InputError
            If the bundle has no vectors.

        Examples
        --------
        >>> import numpy as np, pandas as pd
        >>> from bftembed.profiles import Bundle, BundleIndex
        >>> index = BundleIndex(
        ...     format="bftembed bundle", schema_version=1, name="mine", kind="gene", n=1, recipe="", made_by="me",
        ...     licence="cc0-1.0", files={},
        ... )
        >>> texts = pd.DataFrame({"entity": ["TP53"], "kind": "gene", "text": "Guards the genome.", "recipe": ""})
        >>> bundle = Bundle(texts, np.ones((1, 2), dtype=np.float32), index, path=None)
        >>> bundle.encoder().encode(["Guards the genome."])[0]
        array([[1., 1.]], dtype=float32)
        """
        if self.vectors is None:
            msg = f"The bundle {self.index.name!r} has texts alone: give an encoder, e.g. encoder='default'."
            raise InputError(msg)
        made_with: dict[str, Any] = self.index.encoder
        return KnownVectors(self.profiles["text"].tolist(), self.vectors, made_with)
