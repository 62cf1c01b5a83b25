"""What is wrong with a configuration, in words: by keys as they stand in the file, and once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel

from bftembed._near import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

_MODEL, _VALUE = "model_type", "Value error, "


class _Place(NamedTuple):
    """Keys as the file has them, the model that the last one is of, and which part of the place is no key.

    That part is the name by which pydantic calls an alternative of a union.
    """

    keys: list[str]
    section: type[BaseModel] | None
    tag: int | None


def mistakes(errors: Sequence[Any], model: type[BaseModel]) -> list[str]:
    """What is wrong by the entries of a `ValidationError` of `model`, with the keys that may have been meant.

    Of a value that may be of several kinds, the complaints are those about the kind that has the fewest; that a list
    is too short is not said where its items are wrong.

    Examples
    --------
    >>> from pydantic import BaseModel, ConfigDict, ValidationError
    >>> class Inner(BaseModel, extra="forbid"):
    ...     size: int
    >>> class Outer(BaseModel):
    ...     parts: dict[str, Inner]
    >>> try:
    ...     Outer.model_validate({"parts": {"a": {"size": 1, "sise": 2}}})
    ... except ValidationError as error:
    ...     mistakes(error.errors(), Outer)
    ['there is no key `parts.a.sise`; did you mean `size`?']
    """
    placed = [(item, _place(item["loc"], model)) for item in errors if not _follows(item, errors)]
    counts: Counter[tuple[Any, ...]] = Counter()
    for item, place in placed:
        if place.tag is not None:  # of two kinds with as many complaints, the one whose values fit, or which it is
            of_keys, of_all = item["type"] in {"missing", "extra_forbidden"}, len(item["loc"]) == place.tag + 1
            counts[item["loc"][: place.tag + 1]] += 10 if of_keys else 12 if of_all else 11
    fewest: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for kind in sorted(counts, key=lambda each: counts[each]):  # sorting keeps the order of those that are alike
        fewest.setdefault(kind[:-1], kind)
    kept = [(item, place) for item, place in placed if place.tag is None or _chosen(item, place.tag, fewest)]
    return list(dict.fromkeys(_sentence(item, place, model) for item, place in kept))


def _follows(item: Any, errors: Sequence[Any]) -> bool:
    """Whether a list is too short only since items of it are wrong."""
    loc = item["loc"]
    return item["type"] == "too_short" and any(len(e["loc"]) > len(loc) and e["loc"][: len(loc)] == loc for e in errors)


def _chosen(item: Any, tag: int, fewest: dict[tuple[Any, ...], tuple[Any, ...]]) -> bool:
    return bool(fewest[item["loc"][:tag]] == item["loc"][: tag + 1])


def _place(loc: Sequence[int | str], model: type[BaseModel]) -> _Place:
    section: type[BaseModel] | None = model
    owner: type[BaseModel] | None = model
    kinds: dict[str, type[BaseModel]] = {}
    keys: list[str] = []
    is_mapping, is_field, tag = False, False, None
    for number, part in enumerate(loc):
        owner, before = section, is_field
        is_field = False
        if part == "[key]":  # pydantic says it behind a key of a mapping that is no text
            continue
        if isinstance(part, int) or is_mapping:
            keys.append(str(part))
            is_mapping = is_mapping and isinstance(part, int)
        elif part in kinds:
            section, tag = kinds[part], number if len(kinds) > 1 and tag is None else tag
        elif section is not None and part in section.model_fields:
            annotation = section.model_fields[part].annotation
            keys.append(part)
            kinds, is_mapping, is_field = _models(annotation), _has_mapping(annotation), True
            section = next(iter(kinds.values()), None)
        elif before and not kinds:
            tag = number  # the kind of a plain value, as `str`
        elif section is None or number == len(loc) - 1:
            keys.append(part)
    return _Place(keys, owner, tag)


def _sentence(item: Any, place: _Place, model: type[BaseModel]) -> str:
    key = ".".join(place.keys)
    if item["type"] == "missing":
        return f"`{key}` is missing"
    if item["type"] == _MODEL:
        return f"`{key}` is {item['input']!r}: it has to be a mapping of keys to values"
    if item["type"] != "extra_forbidden":
        reason = item["msg"].removeprefix(_VALUE).removesuffix(".")
        reason = f"{reason[:1].lower()}{reason[1:]}"
        return f"`{key}` is {item['input']!r}: {reason}" if item["loc"] else reason
    fields = list((place.section or model).model_fields)
    near = did_you_mean(place.keys[-1], fields).replace(" Did", "did", 1)
    return f"there is no key `{key}`; {near or 'known are ' + ', '.join(fields)}"


def _models(annotation: Any) -> dict[str, type[BaseModel]]:
    """All models in the type of a field, by their names."""
    waiting, found = [annotation], {}
    while waiting:
        kind = waiting.pop(0)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found[kind.__name__] = kind
        waiting += get_args(kind)
    return found


def _has_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict or any(map(_has_mapping, get_args(annotation)))
