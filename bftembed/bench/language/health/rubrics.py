"""Dialogues with criteria for the last reply, as HealthBench has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bftembed.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_Text = Annotated[str, Field(min_length=1)]


class _Row(BaseModel):
    """What a line of the file holds has more fields: those that are not read here are left alone."""

    model_config = ConfigDict(frozen=True)


class Message(_Row):
    """One turn."""

    role: Literal["system", "user", "assistant"]
    content: str


class Criterion(_Row):
    """What a reply may do, and the points that it gets for it; below zero for what it had better not do."""

    criterion: _Text
    points: Annotated[float, Field(allow_inf_nan=False)]
    tags: tuple[str, ...] = ()


class Dialogue(_Row):
    """A dialogue that waits for a reply, and what is asked of that.

    Raises
    ------
    pydantic.ValidationError
        If the last turn is not the user's.
    """

    prompt_id: _Text
    prompt: Annotated[tuple[Message, ...], Field(min_length=1)]
    rubrics: tuple[Criterion, ...]
    example_tags: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _waits(self) -> Dialogue:
        roles = [message.role for message in self.prompt]
        if roles[-1] != "user" or "system" in roles[1:]:
            msg = f"the dialogue has the roles {roles}; the last is `user`, and `system` may stand first alone"
            raise ValueError(msg)
        return self

    @property
    def theme(self) -> str:
        """Its theme, of the tag ``theme:NAME``; empty without one."""
        return next(iter(tagged(self.example_tags, "theme")), "")

    @property
    def most(self) -> float:
        """Points of a reply that does all that it should and nothing else."""
        return sum(each.points for each in self.rubrics if each.points > 0)

    def score(self, met: Sequence[bool | None], *, axis: str | None = None) -> float:
        """Points of the criteria that are met, as a share of all points that can be earned.

        Parameters
        ----------
        met
            Of each criterion, whether it is met; one that nobody knows of (None) counts on neither side.
        axis
            Only criteria with the tag ``axis:NAME``.

        Returns
        -------
        At most 1, below 0 where penalties outweigh; NaN where nothing that is known can be earned.

        Examples
        --------
        >>> rubrics = [{"criterion": "Names a dose", "points": 6}, {"criterion": "Is rude", "points": -3}]
        >>> prompt = [{"role": "user", "content": "How much?"}]
        >>> dialogue = Dialogue.model_validate({"prompt_id": "1", "prompt": prompt, "rubrics": rubrics})
        >>> dialogue.score([True, False]), dialogue.score([True, True]), dialogue.score([None, False])
        (1.0, 0.5, nan)
        """
        kept = [
            (each.points, is_met)
            for each, is_met in zip(self.rubrics, met, strict=True)
            if is_met is not None and (axis is None or axis in tagged(each.tags, "axis"))
        ]
        most = sum(points for points, _ in kept if points > 0)
        return sum(points for points, is_met in kept if is_met) / most if most else np.nan


def tagged(tags: Iterable[str], kind: str) -> list[str]:
    """Names of the tags of a kind.

    Examples
    --------
    >>> tagged(["level:example", "axis:accuracy"], "axis")
    ['accuracy']
    """
    return [tag.removeprefix(f"{kind}:") for tag in tags if tag.startswith(f"{kind}:")]


def read_dialogues(path: Path) -> tuple[list[Dialogue], dict[str, int]]:
    """Dialogues of a file of JSON lines, by their ids, and what was removed.

    Parameters
    ----------
    path
        Lines with ``prompt_id``, ``prompt`` (messages of ``role`` and ``content``), ``rubrics`` (``criterion``,
        ``points``, ``tags``) and ``example_tags``, as OpenAI's HealthBench has them.

    Raises
    ------
    DataError
        If the file cannot be read, a line is none of these, or no dialogue is left.
    """
    found: dict[str, Dialogue] = {}
    removed = {"id that was there before": 0, "nothing to earn": 0}
    for n, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            dialogue = Dialogue.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "all of it"
            msg = f"Line {n} of `{path}` is no dialogue with criteria: {where}: {first['msg']}."
            raise DataError(msg) from error
        if dialogue.prompt_id in found:
            removed["id that was there before"] += 1
        elif dialogue.most <= 0:
            removed["nothing to earn"] += 1
        else:
            found[dialogue.prompt_id] = dialogue
    if not found:
        msg = f"`{path}` holds no dialogue whose criteria give points."
        raise DataError(msg)
    return [found[id] for id in sorted(found)], {why: n for why, n in removed.items() if n}


def _lines(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            return list(file)
    except (OSError, UnicodeDecodeError) as error:
        msg = f"`{path}` cannot be read: {error}"
        raise DataError(msg) from error
