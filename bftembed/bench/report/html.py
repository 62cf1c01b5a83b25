"""The report as one HTML page that needs nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from bftembed.bench.report import text
from bftembed.bench.report.forest import forest_svg

if TYPE_CHECKING:
    from bftembed.bench.report.tables import Report


def html_text(report: Report) -> str:
    """Lay out the page; all text of results is escaped."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "number": text.number,
        "key": text.sort_key,
        "interval": text.interval,
        "p": text.p_value,
        "span": text.span,
        "breaks": _with_breaks,
        "forest": forest_svg,
    }
    environment.globals |= {"count": text.count, "share": text.share, "DASH": text.DASH}
    template = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
    return environment.from_string(template).render(report=report)


def _with_breaks(name: str) -> Markup:
    """A name that may be broken where its words end."""
    return escape(name).replace("_", Markup("_<wbr>")).replace(".", Markup(".<wbr>"))
