"""A page for each command, written from the command line itself before the build: `docs/commands/<verb>.md`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import typer

from bftembed.cli.main import app as command_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

_TYPES = {"str": "TEXT", "int": "N", "float": "X"}


def pages(program: str = "bftembed") -> dict[str, str]:
    """Make the Markdown of each verb's page.

    Parameters
    ----------
    program
        Name of the program in the usage lines.

    Returns
    -------
    Verb to page.
    """
    group: Any = typer.main.get_command(command_line)
    return {verb: _page(f"{program} {verb}", command) for verb, command in group.commands.items()}


def _page(path: str, command: Any) -> str:
    lines = [f"# {path}", "", command.help or "", ""]
    if hasattr(command, "commands"):
        for verb, child in command.commands.items():
            lines += [f"## {path} {verb}", "", child.help or "", "", *_body(f"{path} {verb}", child)]
    else:
        lines += _body(path, command)
    return "\n".join(lines).rstrip() + "\n"


def _body(path: str, command: Any) -> Iterator[str]:
    shown = [each for each in command.params if not getattr(each, "hidden", False)]
    arguments = [each for each in shown if each.param_type_name == "argument"]
    names = " ".join(each.name.upper() if each.required else f"[{each.name.upper()}]" for each in arguments)
    yield from ["```text", f"{path} {names} [OPTIONS]".replace("  ", " "), "```", ""]
    if command.epilog:
        examples = command.epilog.removeprefix("Examples:").removeprefix("Example:")
        yield from ["```console", *(f"$ {line}" for line in examples.split("\n") if line), "```", ""]
    panels: dict[str, list[Any]] = {}
    for each in shown:
        default = "Arguments" if each in arguments else "Options"
        panels.setdefault(getattr(each, "rich_help_panel", None) or default, []).append(each)
    for panel, parameters in panels.items():
        yield from [f"**{panel}**", ""]
        for each in parameters:
            yield from [f"`{_term(each)}`", f": {_meaning(each)}", ""]


def _term(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.name.upper())
    names = ", ".join(sorted(parameter.opts, key=len))
    if parameter.secondary_opts:
        names += " / " + ", ".join(parameter.secondary_opts)
    return names if getattr(parameter, "is_flag", False) else f"{names} {parameter.metavar or _type(parameter)}"


def _type(parameter: Any) -> str:
    annotation = parameter.type_descriptor.annotation
    if get_origin(annotation) is Literal:
        return "|".join(map(str, get_args(annotation)))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "|".join(str(each.value) for each in annotation)
    name = getattr(annotation, "__name__", str(annotation))
    return _TYPES.get(name, name.upper())


def _meaning(parameter: Any) -> str:
    text = " ".join((parameter.help or "").split())
    default = parameter.default
    if default in {None, False, True, ""} or callable(default) or default == []:
        return text or "."
    return f"{text} Default: `{default}`."


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
