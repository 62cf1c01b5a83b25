"""``--ray [ADDRESS]``: the work of a command on a Ray cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from anndata import AnnData

_PANEL = "Many machines"
#: What stands behind `--ray` and is its address, though perhaps a wrong one, and not the file of names.
_ADDRESS = re.compile(r"auto|local(host)?|(\d+\.){3}\d+|[^/\\]*:\w+|\w+://.*")
#: In place of the address where none is given.
_NONE = "default"

RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="[ADDRESS]",
        rich_help_panel=_PANEL,
        help="Names only: write and encode on the workers of a Ray cluster at HOST:PORT, of the one on this machine "
        "(auto), or of one that is started here (local). Without an address: RAY_ADDRESS, else local. Finished parts "
        "are kept in OUTPUT.parts, which every node has to reach.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--ray-workers",
        rich_help_panel=_PANEL,
        min=1,
        help="Processes with a model; by default one for each --ray-gpus of the cluster, without GPUs 2.",
    ),
]
CpusOption = Annotated[
    int, typer.Option("--ray-cpus", rich_help_panel=_PANEL, min=1, help="Threads (logical CPUs) of a worker.")
]
GpusOption = Annotated[float, typer.Option("--ray-gpus", rich_help_panel=_PANEL, min=0, help="GPUs of a worker.")]
RayBatchOption = Annotated[
    int, typer.Option("--ray-batch", rich_help_panel=_PANEL, min=1, help="Names in a part: most that a kill repeats.")
]


class Command(TyperCommand):
    """A command whose ``--ray`` may stand with or without an address."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give a bare ``--ray`` a value before typer looks at it: its options have a value always or never."""
        return super().parse_args(ctx, with_address(args))


def with_address(args: Sequence[str]) -> list[str]:
    """The same arguments, with a value behind every ``--ray``.

    Examples
    --------
    >>> with_address(["--ray", "genes.txt"]), with_address(["--ray", "10.0.0.1:6379"])
    (['--ray=default', 'genes.txt'], ['--ray', '10.0.0.1:6379'])
    """
    end = args.index("--") if "--" in args else len(args)
    following = [*args[1:end], ""]
    told = [
        f"--ray={_NONE}" if one == "--ray" and not _ADDRESS.fullmatch(after) else one
        for one, after in zip(args[:end], following, strict=False)
    ]
    return [*told, *args[end:]]


@dataclass(frozen=True, slots=True)
class Ray:
    """What the options say."""

    address: str
    workers: int | None = None
    cpus: int = 1
    gpus: float = 0
    batch: int = 64

    @classmethod
    def of(cls, address: str | None, **given: Any) -> Ray | None:
        """What the options say; None without ``--ray``.

        Raises
        ------
        InputError
            If others are given without it.
        """
        said = cls(address or "", **given)
        if address is None and said != cls(""):
            msg = (
                "--ray-workers, --ray-cpus, --ray-gpus and --ray-batch say how a Ray cluster is used: pass --ray, too."
            )
            raise InputError(msg)
        return None if address is None else said

    def embed(self, names: Any, output: Path, **options: Any) -> AnnData:
        """As `bftembed.embed`, on the cluster."""
        from bftembed.scale import embed_names

        return embed_names(
            names,
            parts=output.with_name(f"{output.name}.parts"),
            address=None if self.address == _NONE else self.address,
            workers=self.workers,
            num_cpus=self.cpus,
            num_gpus=self.gpus,
            batch_size=self.batch,
            **options,
        )

    def check(self, *, by_name: bool, given: bool) -> None:
        """Refuse what is not done on a cluster.

        Raises
        ------
        InputError
            If the source is an AnnData file, or the texts are given.
        """
        if not by_name:
            msg = "--ray embeds names: give a list of names (.txt, .csv, .tsv) or --all-genes; cells see docs/scale.md."
            raise InputError(msg)
        if given:
            msg = "With --profiles the texts are there, which takes no cluster: leave --ray out."
            raise InputError(msg)
