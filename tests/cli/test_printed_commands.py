"""Every command that a message or the documentation tells to run is one: its verbs and its options exist."""

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer

from bftembed.cli.main import app

ROOT = Path(__file__).parents[2]


def texts(path):
    """Strings of a source file, with ``{}`` for what is filled in; code of a page."""
    if path.suffix == ".md":
        page = path.read_text(encoding="utf-8").replace("\\\n", " ")  # a command may go on in the next line
        yield from re.findall(r"^bftembed .*", page, re.MULTILINE)
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def commands():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for path in [*sorted((ROOT / "bftembed").rglob("*.py")), *pages]:
        for text in texts(path):
            found = [text] if path.suffix == ".md" else re.findall(r"`(bftembed [^`]+)`", text)
            yield from ((path.relative_to(ROOT).as_posix(), each) for each in found)


def first(command):
    """The command itself, of a line that goes on with another one or a comment."""
    return shlex.split(re.split(r"\s+(?:#|&&|\||>)", command)[0])


@pytest.fixture(scope="module")
def root():
    return typer.main.get_command(app)


def test_every_printed_command_is_one(root):
    wrong = []
    for path, command in commands():
        words, node = first(command)[1:], root
        while words and words[0] in getattr(node, "commands", {}):
            node = node.commands[words.pop(0)]
        known = {option for param in node.params for option in (*param.opts, *param.secondary_opts)} | {"--help", "-h"}
        options = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        verb_missing = hasattr(node, "commands") and words and not words[0].startswith(("-", "{", "|"))
        if options - known or verb_missing:
            wrong.append((path, command, sorted(options - known)))
    assert wrong == []
    assert len(list(commands())) > 20
