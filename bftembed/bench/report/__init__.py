"""Reports of benchmark results: one HTML page, Markdown, or a table (CSV)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bftembed._files import replacing
from bftembed.errors import DataError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bftembed.bench.results import Result

__all__ = ["write_report"]


def write_report(
    results: Sequence[Result], output: str | Path, *, stale: Sequence[str] = (), timings: bool = True
) -> None:
    """Write what benchmark results say; the same results give the same file, but for the section of timings.

    Parameters
    ----------
    results
        From `bftembed.bench.read_results` or `bftembed.bench.run`, in any order.
    output
        A file that ends in ``.html`` (one page that needs no network), ``.md`` (scores, comparisons, published
        figures and failures) or ``.csv`` (every score in a row). Its directory is made.
    stale
        Sentences about results that were left out, from `bftembed.bench.results.without_stale`.
    timings
        Whether the HTML page says how long each result took.

    Raises
    ------
    InputError
        If the name ends otherwise, or there are two results of one task, embedding and subset.
    DataError
        If the file cannot be written.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.bench import find_tasks, read_results, run, write_report
    >>> with TemporaryDirectory() as runs:
    ...     _ = run(find_tasks(names=["gene_property.dosage"]), ["random"], runs, fast=True)
    ...     _ = write_report(read_results(runs, fast=True), f"{runs}/report.html")
    ...     "gene_property.dosage" in Path(f"{runs}/report.html").read_text("utf8")
    True
    """
    path = Path(output).expanduser()
    text = _text(results, path, stale=stale, timings=timings)
    try:
        with replacing(path) as made:
            made.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        msg = f"The report {path} cannot be written: {error}. Give another place for it."
        raise DataError(msg) from error


def _text(results: Sequence[Result], path: Path, *, stale: Sequence[str], timings: bool) -> str:
    suffix = path.suffix.lower()
    if suffix == ".csv":
        from bftembed.bench.report.csv import csv_text

        return csv_text(results)
    if suffix not in {".html", ".md"}:
        msg = f"A report ends in .html, .md or .csv; got `{path.name}`."
        raise InputError(msg)
    from bftembed.bench.report.tables import collect

    report = collect(results, stale=stale, timings=timings)
    if suffix == ".md":
        from bftembed.bench.report.markdown import markdown_text

        return markdown_text(report)
    from bftembed.bench.report.html import html_text

    return html_text(report)
