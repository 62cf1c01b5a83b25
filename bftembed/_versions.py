"""One version of this package on all machines that compute together."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from bftembed.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping


def check_versions(found: Mapping[str, str | None]) -> None:
    """Refuse to work with other processes that have no or another version of this package.

    Parameters
    ----------
    found
        Version of `bftembed` by the name of a process or machine, as a message may call it; None where it is missing.

    Raises
    ------
    ClusterError
        With the first of those that do not fit, and what to install there.

    Examples
    --------
    >>> import bftembed
    >>> check_versions({"tcp://10.0.0.7:8786": bftembed.__version__})
    """
    own = version("bftembed")
    if not (others := {name: theirs for name, theirs in found.items() if theirs != own}):
        return
    name, theirs = next(iter(others.items()))
    what = "bftembed is not installed" if theirs is None else f"bftembed is {theirs}, and {own} here"
    how = "install the same commit" if "+" in own else f"`pip install bftembed=={own}`"  # of no release
    msg = (
        f"On {len(others)} of {len(found)} processes of the cluster (first: {name}) {what}. All must run the same "
        f"version: {how} in the environment of each, and start them again."
    )
    raise ClusterError(msg)
