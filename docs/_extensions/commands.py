"""A page for each command, written from the command line itself before the build: `docs/commands/<verb>.md`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bftembed.cli.main import app as command_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx


def pages() -> dict[str, str]:
    """Make the Markdown of each verb's page."""
    group: Any = typer.main.get_command(command_line)
    return {verb: _page(f"bftembed {verb}", command) for verb, command in group.commands.items()}


def _page(path: str, command: Any) -> str:
    lines = [f"# {path}", "", command.help or "", ""]
    if hasattr(command, "commands"):
        for verb, child in command.commands.items():
            lines += [f"## {path} {verb}", "", child.help or "", "", *_body(f"{path} {verb}", child)]
    else:
        lines += _body(path, command)
    return "\n".join(lines).rstrip() + "\n"


def _body(path: str, command: Any) -> Iterator[str]:
    context = typer.Context(command)
    yield from ["```text", " ".join([path, *command.collect_usage_pieces(context)]), "```", ""]
    if command.epilog:
        examples = command.epilog.removeprefix("Examples:").split("\n")
        yield from ["```console", *(f"$ {line}" for line in examples if line), "```", ""]
    panels: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.params:
        if record := parameter.get_help_record(context):  # what `--help` shows; none of what is hidden
            title = parameter.rich_help_panel or f"{parameter.param_type_name}s".capitalize()
            panels.setdefault(title, []).append(record)
    for panel, records in panels.items():
        yield from [f"**{panel}**", ""]
        for term, meaning in records:
            yield from [f"`{term}`", f": {meaning}", ""]


def write(app: Sphinx) -> None:
    """Write the pages that changed."""
    directory = Path(app.confdir) / "commands"
    directory.mkdir(exist_ok=True)
    made = {f"{verb}.md": text for verb, text in pages().items()}
    for stale in {path.name for path in directory.glob("*.md")} - set(made):
        (directory / stale).unlink()
    for name, text in made.items():
        if not (path := directory / name).exists() or path.read_text("utf8") != text:
            path.write_text(text, "utf8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
