"""What the pages say of the program is so: messages, tables of a store, commands, versions, links."""

import importlib.util
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import typer
import yaml

from bftembed.cli.main import app
from bftembed.profiles import ProfileStore
from bftembed.profiles.store import COLUMNS
from bftembed.vectors.writing import WRITERS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def loaded(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_message_of_the_questions_is_one_of_the_program():
    code = "\n".join(path.read_text("utf8") for path in sorted((ROOT / "bftembed").rglob("*.py")))
    code = re.sub(r"""["']\s*\n\s*f?["']""", "", code).replace("`", "")
    asked = re.findall(r"^### `(.*)`$", (DOCS / "faq.md").read_text("utf8"), re.MULTILINE)
    assert len(asked) > 20
    for message in asked:
        for part in message.split("…"):
            assert part.strip(" .:") in code, message


def test_tables_and_columns_of_a_profile_store(tmp_path):
    page = (DOCS / "formats.md").read_text("utf8")
    ProfileStore(tmp_path / "texts.sqlite").close()
    with closing(sqlite3.connect(tmp_path / "texts.sqlite")) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            columns = [f"`{row[1]}`" for row in connection.execute(f"PRAGMA table_info({table})")]
            assert f"| `{table}` | {', '.join(columns)} |" in page
    assert len(tables) == 3
    assert ", ".join(f"`{column}`" for column in COLUMNS) in page


def test_suffixes_of_files_of_vectors():
    page = (DOCS / "formats.md").read_text("utf8")
    (listed,) = re.findall(r"^`write_vectors` knows (.*?);", page, re.MULTILINE)
    assert sorted(re.findall(r"`(.*?)`", listed)) == sorted(WRITERS)


def test_every_command_has_a_page_with_all_of_its_options():
    pages = loaded(DOCS / "_extensions" / "commands.py").pages()
    group = typer.main.get_command(app)
    assert set(pages) == set(group.commands)
    for verb, command in group.commands.items():
        for name, each in getattr(command, "commands", {verb: command}).items():
            assert name in pages[verb]
            for parameter in each.params:
                if not getattr(parameter, "hidden", False):
                    for option in parameter.opts:
                        assert option in pages[verb] or option.upper() in pages[verb], (verb, option)


def test_all_pages_of_the_site_are_in_its_contents():
    index = (DOCS / "index.md").read_text("utf8")
    for page in DOCS.glob("*.md"):
        if page.stem not in {"README", "index"}:
            assert re.search(rf"^{page.stem}$", index, re.MULTILINE), page.name


def test_a_broken_link_is_found(tmp_path):
    check = loaded(DOCS / "check_links.py")
    (tmp_path / "a.html").write_text('<p id="here"></p><a href="b.html#there">b</a><a href="#here">a</a>')
    (tmp_path / "b.html").write_text('<a href="a.html#gone">a</a><img src="c.png"><a href="https://x.org/y">x</a>')
    broken, elsewhere = check.check(tmp_path)
    assert broken == ["a.html: b.html#there", "b.html: a.html#gone", "b.html: c.png"]
    assert elsewhere == ["https://x.org/y"]


def test_workflow_and_forms_are_yaml():
    for path in [*(ROOT / ".github").rglob("*.yml"), ROOT / ".pre-commit-config.yaml"]:
        assert isinstance(yaml.safe_load(path.read_text("utf8")), dict), path.name


def test_what_is_run_before_a_notebook_leaves_it_no_name_and_its_warnings_no_path():
    code = loaded(DOCS / "_extensions" / "kernel.py").STARTUP
    script = f"""
import logging, warnings
names = {{}}
exec({code!r}, names)
assert list(names) == ["__builtins__"], names
warnings.warn("a reason")
logging.basicConfig(level="INFO", format="%(message)s")
logging.getLogger("bftembed").info("3 of 9, about 2 s left")
logging.getLogger("bftembed").info("9 genes")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["UserWarning: a reason", "9 genes"]
