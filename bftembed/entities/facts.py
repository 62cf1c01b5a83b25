"""Whether what the tables know goes into a prompt."""

from __future__ import annotations

from typing import Literal, cast

from bftembed.errors import InputError

Facts = Literal["auto", "none"]
"""``"auto"``: what the tables on this machine know goes into the prompt; ``"none"``: the bare name is asked for."""


def checked_facts(facts: str) -> Facts:
    """Give `facts` back.

    Raises
    ------
    InputError
        If it is neither ``"auto"`` nor ``"none"``.
    """
    if facts not in {"auto", "none"}:
        msg = f"`facts` is 'auto' or 'none', got {facts!r}."
        raise InputError(msg)
    return cast("Facts", facts)
