"""The question which process the genes of a set have in common."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from bftembed.engines import Request
from bftembed.errors import InputError
from bftembed.naming.parsing import UNRELATED

if TYPE_CHECKING:
    from collections.abc import Sequence

SYSTEM = (
    "You assist a molecular biologist who reads lists of human genes. You are precise and say when you see no pattern."
)
TASK = f"""These genes were found together: {{genes}}.

Work in three steps:
1. What does each of the genes do?
2. Which role do most of them share?
3. Which single biological process do most of them take part in? Name it as specifically as the genes allow.

Begin your answer with these two lines, then give the reasons in a few sentences:
Process: the name of that process, in a few words
Confidence: a number from 0 to 1, the surer the higher

If no process covers most of the genes, the first line is:
Process: {UNRELATED}"""


def naming_request(id: str, genes: Sequence[str], *, seed: int | None = None) -> Request:
    """Ask for the process of a set of genes: one turn, in three steps, the name on the first line of the answer.

    Genes stand in it once each, sorted, so that a set has one prompt. Nothing else of the set is shown: its `id`, which
    may be its name, is the request's alone. Steps and first line follow the chain-of-thought prompt of GeneAgent
    (Wang et al., Nat. Methods 2025) and the refusal that of Hu et al. (Nat. Methods 22, 82, 2025), in other words.

    Parameters
    ----------
    id
        Id of the request.
    genes
        Symbols.
    seed
        Put them in a random order instead, the same for the same seed.

    Raises
    ------
    InputError
        If there is no gene.

    Examples
    --------
    >>> from bftembed.naming import naming_request
    >>> naming_request("1", ["MSH6", "MLH1", "MSH2", "MLH1"]).user.splitlines()[0]
    'These genes were found together: MLH1, MSH2, MSH6.'
    """
    if not (listed := sorted({gene.strip() for gene in genes} - {""})):
        msg = f"The gene set `{id}` has no genes."
        raise InputError(msg)
    if seed is not None:
        random.Random(seed).shuffle(listed)
    return Request(id, TASK.format(genes=", ".join(listed)), SYSTEM)
