"""Results in notebooks: HTML that takes its colours from the page around it, with every text escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

_ROWS = 20
_ITEMS = 12
_LONGEST = 2000
_CELL = "text-align:left;vertical-align:top;padding:.15em .8em .15em 0"
_LINE = "border-top:1px solid rgba(127,127,127,.3)"


class Shown:
    """A result (a mapping, a pydantic model or a dataclass) that a notebook shows as a table of its parts."""

    __slots__ = ()

    def _parts(self) -> Mapping[str, Any]:
        """What is shown, by name."""
        return parts_of(self)

    def _repr_html_(self) -> str:
        return as_html(type(self).__name__, self._parts())


def parts_of(result: Any) -> Mapping[str, Any]:
    """What a mapping, a pydantic model or a dataclass holds, by name, without what its `repr` leaves out."""
    if isinstance(result, Mapping):
        return result
    if hasattr(result, "model_dump"):
        return dict(result.model_dump())
    return {field.name: getattr(result, field.name) for field in fields(result) if field.repr}


def as_html(title: str, parts: Mapping[str, Any]) -> str:
    """A title and what is known, by name: tables as tables, all else as rows.

    Examples
    --------
    >>> as_html("<i>", {"n": 2}).count("&lt;i&gt;")
    1
    """
    return f'<div style="overflow-x:auto"><b>{html.escape(title)}</b>{_rows(parts)}</div>'


def _rows(parts: Mapping[str, Any]) -> str:
    lines = (
        f'<tr style="background:none;{_LINE}"><th style="{_CELL};font-weight:normal;opacity:.7">'
        f'{html.escape(str(name))}</th><td style="{_CELL}">{_value(value)}</td></tr>'
        for name, value in parts.items()
        if value is not None
    )
    return f'<table style="border-collapse:collapse;margin:.3em 0">{"".join(lines)}</table>'


def _value(value: Any) -> str:
    """One value; of long ones the beginning."""
    if hasattr(value, "to_html"):  # a DataFrame
        made: str = value.to_html(max_rows=_ROWS, border=0, float_format="{:.4g}".format, show_dimensions=True)
        return made
    if _has_parts(value):
        return _rows(parts_of(value))
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        items = list(value)
        if any(map(_has_parts, items)):
            return _rows({str(i): item for i, item in enumerate(items[:_ITEMS])})
        return ", ".join(map(_value, items[:_ITEMS])) + (f" … ({len(items):,})" if len(items) > _ITEMS else "")
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    more = f" … ({len(text):,} characters)" if len(text) > _LONGEST else ""
    return f'<span style="white-space:pre-wrap">{html.escape(text[:_LONGEST])}{more}</span>'


def _has_parts(value: Any) -> bool:
    return isinstance(value, Mapping) or (is_dataclass(value) and not isinstance(value, type))
