"""Whether what the tables know goes into a prompt."""

from __future__ import annotations

from typing import Literal, cast, get_args

from bftembed._near import check_choice

Facts = Literal["auto", "none"]
"""``"auto"``: what the tables on this machine know goes into the prompt; ``"none"``: the bare name is asked for."""


def checked_facts(facts: str) -> Facts:
    """Give `facts` back.

    Raises
    ------
    InputError
        If it is neither ``"auto"`` nor ``"none"``.
    """
    check_choice("facts", facts, get_args(Facts))
    return cast("Facts", facts)
