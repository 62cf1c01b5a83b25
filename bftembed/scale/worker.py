"""What one worker does: a batch of names to a part, a Parquet file of texts and vectors."""

from __future__ import annotations

import hashlib
import json
import pickle
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.errors import BftembedError, ClusterError
from bftembed.profiles import ProfileStore, write_profiles
from bftembed.profiles.exports import write_export

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bftembed.encoders import Encoder
    from bftembed.engines import Engine, Sampling
    from bftembed.profiles import Entity, Profile, Recipe


@dataclass(frozen=True, slots=True)
class Job:
    """What all batches of one run share.

    Parameters
    ----------
    engine, encoder
        Write and encode texts. Nothing of them is loaded before the first batch.
    template, sampling
        As of `write_profiles`.
    parts
        Directory of the parts, the same on every node.
    described
        Of engine and encoder, where the run was started: the keys of its texts and vectors hold it.
    """

    engine: Engine
    encoder: Encoder
    template: str | Path | None
    sampling: Sampling | None
    parts: Path
    described: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(
        cls,
        engine: Engine,
        encoder: Encoder,
        *,
        template: str | Path | None = None,
        sampling: Sampling | None = None,
        parts: Path,
    ) -> Job:
        """Put the parts together and describe engine and encoder as they are here."""
        described = {"engine": engine.describe(), "encoder": encoder.describe()}
        return cls(engine, encoder, template, sampling, parts, described)

    @property
    def encoder_digest(self) -> str:
        """SHA-256 of what fixes the vectors."""
        return hashlib.sha256(json.dumps(self.described["encoder"], sort_keys=True).encode()).hexdigest()

    def check(self) -> None:
        """Refuse to write texts or vectors that would be filed as something else than they are.

        Raises
        ------
        ClusterError
            If engine or encoder describe themselves otherwise than where the run was started, or their model is not
            there.
        """
        for what, there in self.described.items():
            try:
                here = getattr(self, what).describe()
            except OSError as error:
                msg = f"the model of the {what} is not here ({error}): it has to lie under the same path on every node."
                raise ClusterError(msg) from error
            odd = sorted(name for name in {*here, *there} if here.get(name) != there.get(name))
            if odd:
                name = odd[0]
                msg = (
                    f"the {what} has {name}={here.get(name)} here and {there.get(name)} where the run began: give "
                    f"both the same model, or say `{name}` as an option of the {what}."
                )
                raise ClusterError(msg)


@dataclass(frozen=True, slots=True)
class Batch:
    """Names of one batch, and what the store knew of them when it was sent.

    ``entities`` have different ``keys``; ``profiles`` are those stored already, which are encoded only, or asked for
    again where they failed with an error; ``recipes`` say how these were made.
    """

    keys: list[str]
    entities: list[Entity]
    profiles: list[Profile]
    recipes: list[Recipe]

    def part(self, job: Job) -> Path:
        """The file of the batch, named by its contents: who writes it twice writes the same file."""
        failed = {profile.key: profile.created for profile in self.profiles if profile.status == "error"}
        named = [job.encoder_digest, [[key, failed.get(key)] for key in self.keys]]
        return job.parts / f"{hashlib.sha256(json.dumps(named).encode()).hexdigest()[:32]}.parquet"


class Writer:
    """Writes the parts of batches; Ray Data makes an actor of it.

    Parameters
    ----------
    job
        What all batches share.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._checked = False

    def __call__(self, rows: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Write the part of every batch; a row says how many names it has, or what went wrong.

        Errors are rows, because Ray would wrap an exception in the trace of its own machinery.
        """
        done = [self._attempt(pickle.loads(row)) for row in rows["batch"]]
        return {name: [row[name] for row in done] for name in ("n", "kind", "error")}

    def _attempt(self, batch: Batch) -> dict[str, Any]:
        try:
            if not self._checked:
                self._job.check()
                self._checked = True
            write_part(batch, self._job)
        except (BftembedError, OSError) as error:
            kind = type(error).__name__ if isinstance(error, BftembedError) else "StoreError"
            return {"n": 0, "kind": kind, "error": f"On {socket.gethostname()}: {error}"}
        return {"n": len(batch.entities), "kind": "", "error": ""}


def write_part(batch: Batch, job: Job) -> None:
    """Write and encode the texts of a batch, and put them into its part under its final name.

    A part that is there already is left: its worker died after it had written it.

    Raises
    ------
    BftembedError, OSError
        If engine, encoder or a disk cannot be used.
    """
    target = batch.part(job)
    if target.exists():
        return
    with tempfile.TemporaryDirectory() as directory, ProfileStore(Path(directory) / "profiles.sqlite") as store:
        for recipe in batch.recipes:
            store.add_recipe(recipe)
        store.add(batch.profiles)
        write_profiles(
            batch.entities, job.engine, store=store, template=job.template, sampling=job.sampling, progress=False
        )
        frame = store.frame()
    usable = np.flatnonzero(frame["status"] == "ok")
    vectors, split = job.encoder.encode(frame["text"].iloc[usable].tolist(), progress=False)
    held: list[Any] = [None] * len(frame)
    for row, vector in zip(usable, vectors, strict=True):
        held[row] = vector
    was_split = np.zeros(len(frame), dtype=bool)
    was_split[usable] = split
    write_export(frame.assign(encoder=job.encoder_digest, split=was_split, vector=held), target)
