"""The report of a study: one HTML page that needs nothing from elsewhere, and the same as Markdown."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bftembed._files import replacing
from bftembed.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under named columns; the first column names the row."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot: `draw` is given matplotlib's axes. `note` says in words what it shows."""

    title: str
    draw: Callable[[Any], None]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Paragraphs, and then tables and figures in their order."""

    title: str
    text: Sequence[str] = ()
    parts: Sequence[Table | Figure] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A report; the verdict stands first."""

    title: str
    verdict: str
    sections: Sequence[Section]


def write_page(page: Page, directory: Path) -> Path:
    """Write ``report.html`` and ``report.md``, with the figures as SVG in the one and named in the other.

    Returns
    -------
    The HTML page.

    Raises
    ------
    DataError
        If they cannot be written.
    """
    html, markdown = directory / "report.html", directory / "report.md"
    try:
        for path, text in ((markdown, markdown_text(page)), (html, html_text(page))):
            with replacing(path) as made:
                made.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        msg = f"The report in `{directory}` cannot be written: {error}. Free some space, and run again."
        raise DataError(msg) from error
    return html


def markdown_text(page: Page) -> str:
    """The page as Markdown; of a figure its title and what it shows."""
    blocks = [f"# {page.title}", f"**{page.verdict}**"]
    for section in page.sections:
        blocks += [f"## {section.title}", *section.text]
        for part in section.parts:
            if isinstance(part, Figure):
                blocks.append(f"*Figure in report.html:* {part.title}. {part.note}".rstrip())
                continue
            lines = [_row(part.columns), "|" + "---|" * len(part.columns), *map(_row, part.rows)]
            blocks += [f"**{part.title}**", "\n".join(lines), *([part.note] if part.note else [])]
    return "\n\n".join(blocks) + "\n"


def html_text(page: Page) -> str:
    """The page as HTML; all text is escaped."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
    return environment.from_string(template).render(page=page, svg=svg, is_figure=lambda part: isinstance(part, Figure))


def svg(figure: Figure) -> Any:
    """A figure as SVG markup: the same one for the same numbers, without the time at which it was drawn."""
    import matplotlib as mpl
    from markupsafe import Markup
    from matplotlib.figure import Figure as Canvas

    with mpl.rc_context({"svg.hashsalt": figure.title, "svg.fonttype": "none"}):
        canvas = Canvas(figsize=(7.2, 4.2), layout="constrained")
        figure.draw(canvas.subplots())
        file = io.StringIO()
        canvas.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    return Markup(text[text.index("<svg") :])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
