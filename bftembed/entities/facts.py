"""Whether what the tables know goes into a prompt."""

from __future__ import annotations

from typing import Literal, cast, get_args

from bftembed._near import check_choice

Facts = Literal["auto", "auto+tissues", "none"]
"""``"auto"``: what the tables on this machine know goes into the prompt; ``"auto+tissues"``: of genes also in which
tissues they are expressed; ``"none"``: the bare name is asked for."""


def checked_facts(facts: str) -> Facts:
    """Give `facts` back.

    Raises
    ------
    InputError
        If it is none of these.
    """
    check_choice("facts", facts, get_args(Facts))
    return cast("Facts", facts)
