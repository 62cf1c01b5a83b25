"""No vectors, or vectors that were computed elsewhere: encoders that run no model."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bftembed.encoders.base import Encoder
from bftembed.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


class _Given(Encoder):
    """An encoder without a model: any text fits, and nothing is worth a cache."""

    cached = False
    max_seq_length = 2**31

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Characters of each text: nothing is ever split."""
        return [len(text) for text in texts]


class NoEncoder(_Given):
    """Texts without vectors, as ``encoder="none"``: vectors of length 0.

    Examples
    --------
    >>> from bftembed.encoders import get_encoder
    >>> get_encoder("none").encode(["A text."])[0].shape
    (1, 0)
    """

    name = spec = "none"

    def describe(self) -> dict[str, str]:
        """Only its name."""
        return {"encoder": self.name}

    def _encode(self, texts: Sequence[str], *, query: bool) -> NDArray[np.float32]:
        return np.empty((len(texts), 0), dtype=np.float32)


class FileEncoder(_Given):
    r"""Vectors of texts from a file, as ``encoder="file:vectors.parquet"``.

    So texts can be written here (``encoder="none"``), encoded on another machine or by another program, and their
    vectors brought back.

    Parameters
    ----------
    path
        .csv or .parquet with a column ``text`` and d columns of numbers, a row per text.

    Raises
    ------
    EncoderError
        If the file cannot be read or is not as above; on use, if it lacks a text.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from bftembed.encoders import get_encoder
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     file = Path(directory) / "vectors.csv"
    ...     _ = file.write_text("text,0,1\nTP53 is a tumour suppressor.,0.6,0.8\n")
    ...     encoder = get_encoder(f"file:{file}")
    >>> encoder.encode(["TP53 is a tumour suppressor."])[0]
    array([[0.6, 0.8]], dtype=float32)
    """

    name = "file"

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path).expanduser()
        self.spec = f"file:{path}"
        try:
            self._digest = hashlib.sha256(self._path.read_bytes()).hexdigest()
        except OSError as error:
            msg = f"The vectors `{path}` cannot be read: {error.strerror or error}."
            raise EncoderError(msg) from error
        self._rows, self._vectors = _read(self._path)

    def describe(self) -> dict[str, str]:
        """Digest of the file."""
        return {"encoder": self.name, "digest": f"sha256:{self._digest}"}

    def provenance(self) -> dict[str, str]:
        """Where the file was."""
        return {"path": str(self._path)}

    def _encode(self, texts: Sequence[str], *, query: bool) -> NDArray[np.float32]:
        if absent := [text for text in texts if text not in self._rows]:
            msg = f"`{self._path}` has no vector of {len(absent)} of {len(texts)} texts, e.g. {absent[0][:80]!r}."
            raise EncoderError(msg)
        return self._vectors[[self._rows[text] for text in texts]]


class KnownVectors(_Given):
    """Vectors of texts that an encoder made elsewhere, in its place: what is embedded so was embedded by that encoder.

    Parameters
    ----------
    texts
        n texts.
    vectors
        Their vectors: float32, shape (n, d).
    made_with
        What `Encoder.record` said of the encoder that made them.

    Raises
    ------
    EncoderError
        On use, if a text is none of these.

    Examples
    --------
    >>> import numpy as np
    >>> from bftembed.encoders import KnownVectors
    >>> known = KnownVectors(["Guards the genome."], np.ones((1, 2), dtype=np.float32), {"encoder": "mine"})
    >>> known.encode(["Guards the genome."])[0]
    array([[1., 1.]], dtype=float32)
    """

    def __init__(self, texts: Sequence[str], vectors: NDArray[np.float32], made_with: Mapping[str, str]) -> None:
        self._rows = {text: row for row, text in enumerate(texts)}
        self._vectors = vectors
        self._described = {name: value for name, value in made_with.items() if name != "spec"}
        self.name = self._described.get("encoder", "unknown")
        self.spec = made_with.get("spec", "")
        self.query_prompt = made_with.get("query_prompt", "")

    def describe(self) -> dict[str, str]:
        """What the encoder that made the vectors said of itself."""
        return dict(self._described)

    def _encode(self, texts: Sequence[str], *, query: bool) -> NDArray[np.float32]:
        if absent := [text for text in texts if query or text not in self._rows]:
            msg = (
                f"Vectors of {len(self._rows):,} texts are known, and none of {absent[0][:80]!r}: give the encoder "
                "that made them."
            )
            raise EncoderError(msg)
        return self._vectors[[self._rows[text] for text in texts]]


def _read(path: Path) -> tuple[dict[str, int], NDArray[np.float32]]:
    import pandas as pd

    if path.suffix not in {".csv", ".parquet"}:
        msg = f"Vectors of texts are read from .csv and .parquet, not from `{path}`."
        raise EncoderError(msg)
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, keep_default_na=False)
        texts = frame.pop("text").astype(str).tolist()
        vectors = frame.to_numpy(dtype=np.float32)
    except KeyError as error:
        msg = f"`{path}` has no column `text`; it has {', '.join(map(str, frame.columns[:5]))}."
        raise EncoderError(msg) from error
    except (ValueError, OSError) as error:
        msg = f"`{path}` is no table of a column `text` and columns of numbers: {str(error)[:200]}"
        raise EncoderError(msg) from error
    if not np.isfinite(vectors).all():
        msg = f"`{path}` has numbers that are missing or infinite; leave out the rows of such texts."
        raise EncoderError(msg)
    return {text: row for row, text in enumerate(texts)}, vectors
