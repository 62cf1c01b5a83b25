"""What a profile is about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from bftembed._unicode import writable
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["gene", "cell", "cell_type", "drug", "perturbation", "gene_set", "cluster"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_LONGEST_NAME = 1000


@dataclass(frozen=True, slots=True)
class Entity:
    """One thing to be described.

    Parameters
    ----------
    kind
        ``gene``, ``cell`` (one that was measured), ``cluster`` (of cells), ``cell_type``, ``drug``, ``perturbation`` or
        ``gene_set``.
    id
        The name a prompt uses, e.g. a gene symbol.
    facts
        Ordered facts a template may use, e.g. ``{"full name": "tumor protein p53"}``.

    Examples
    --------
    >>> from bftembed.profiles import Entity
    >>> Entity("gene", "TP53", {"full name": "tumor protein p53"}).facts["full name"]
    'tumor protein p53'
    """

    kind: Kind
    id: str
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            msg = f"`{self.kind}` is no kind of entity; use one of {', '.join(KINDS)}."
            raise InputError(msg)
        if not self.id.strip():
            msg = f"A {self.kind} has an empty name."
            raise InputError(msg)
        if writable(self.id) != self.id:
            msg = f"The name {self.id!a} of a {self.kind} holds NUL or half a character, which no file can hold."
            raise InputError(msg)
        if len(self.id) > _LONGEST_NAME:
            msg = f"`{self.id[:40]}...` has {len(self.id):,} characters, which is no name of a {self.kind}."
            raise InputError(msg)
