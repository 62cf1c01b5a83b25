"""What holds for every command."""

import logging
import shlex

import pytest
import typer.main
from typer.testing import CliRunner

import bftembed as bft
from bftembed.cli._common import EXAMPLES
from bftembed.cli.main import app
from bftembed.errors import InputError

ROOT = typer.main.get_command(app)


def commands(group=ROOT, prefix=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*prefix, name))
        else:
            yield (*prefix, name), command


COMMANDS = dict(commands())


@pytest.fixture(autouse=True)
def as_before():
    yield
    bft.settings.reset()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_short_help_and_common_options(words):
    result = CliRunner().invoke(app, [*words, "-h"], env={"COLUMNS": "100"})
    assert result.exit_code == 0
    for option in ("--quiet", "--verbose", "--threads"):
        assert option in result.output


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_choices_are_choices(words):
    """An option whose help lists words with bars between them lets completion offer them."""
    for option in COMMANDS[words].params:
        free = option.name in {"engine", "encoder"}  # these take an argument after a colon
        assert free or " | " not in (option.help or ""), option.name


def test_options_of_embed_are_in_groups():
    panels = {}
    for option in COMMANDS["embed",].params:
        panels.setdefault(getattr(option, "rich_help_panel", None), set()).add(option.name)
    assert panels["Genes"] == {"all_genes", "gene_symbols", "mask_var"}
    of_contrast = {"reference", "batch_key", "whiten", "table", "n_components"}
    assert panels["Cells"] == {"cells", "weights", "values", "layer", "use_raw", "empty"} | of_contrast
    assert panels["Result"] == {"output", "keep_x", "key_added", "dry_run"}
    assert panels[None] <= {"source", "help"}


def test_quiet_and_threads_stand_behind_a_command_too():
    CliRunner().invoke(app, ["data", "list", "-q", "--threads", "3"], catch_exceptions=False)
    assert bft.settings.verbosity == "warning"
    assert bft.settings.threads == 3
    CliRunner().invoke(app, ["-q", "data", "list"], catch_exceptions=False)
    assert bft.settings.verbosity == "warning"
    assert bft.settings.threads is None
    CliRunner().invoke(app, ["data", "list", "-v"], catch_exceptions=False)
    assert logging.getLogger("bftembed").level == logging.DEBUG


@pytest.mark.parametrize("example", [each for examples in EXAMPLES.values() for each in examples])
def test_the_examples_in_the_help_are_commands(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, *words = shlex.split(example.partition(" > ")[0])  # what stands behind it is the shell's
    (tmp_path / "runs" / "first").mkdir(parents=True)
    for name in words:
        if name in {"genes.txt", "sets.gmt", "profiles.sqlite"}:  # files that have to be there
            (tmp_path / name).write_text("")
    command = ROOT
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context("bftembed", words)  # fails where an option or an argument does not exist


def test_every_example_belongs_to_a_command():
    assert set(EXAMPLES) <= {" ".join(words) for words in COMMANDS}


def test_completion_can_be_installed():
    assert "--install-completion" in CliRunner().invoke(app, ["--help"]).output


def test_a_missing_package_is_one_line(monkeypatch, capsys):
    from bftembed.cli import main

    def fail():
        raise ModuleNotFoundError(name="statsmodels.api")

    monkeypatch.setattr(main, "app", fail)
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert ended.value.code == 1
    assert capsys.readouterr().err == 'error: This needs the package `statsmodels`: pip install "bftembed[bench]"\n'


def test_a_path_that_is_too_long_is_one_line(monkeypatch, capsys):
    from bftembed.cli import main

    monkeypatch.setattr("sys.argv", ["bftembed", "vectors", f"{'x' * 300}.h5ad", "-o", "y.csv"])
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("error: a path is too long for a file: 'xxx")


@pytest.mark.parametrize(
    "words",
    [
        ["study", "objectives", "embedded-cpu", "-o", "a\0b"],
        ["tune", "embedded-cpu", "--output", "a\0b"],
        ["diagnose", "refseq", "-o", "a\0b"],
        ["bench", "run", "-e", "random", "-o", "a\0b"],
        ["data", "example", "a\0b"],
    ],
    ids=lambda words: words[0],
)
def test_a_nul_byte_is_refused(words):
    with pytest.raises(InputError, match=r"'a.x00b' has a NUL byte"):
        CliRunner().invoke(app, words, catch_exceptions=False)


@pytest.mark.parametrize("words", [["demo", "-o"], ["data", "example"]], ids=" ".join)
def test_a_directory_that_cannot_be_made(words, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"The directory `.*in` cannot be made"):
        CliRunner().invoke(app, [*words, str(tmp_path / "file" / "in")], catch_exceptions=False)
