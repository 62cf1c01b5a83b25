"""Every public name is in the reference, and every public function shows a call that runs."""

import doctest
import importlib
import importlib.util
import inspect
from pathlib import Path

import pytest

import bftembed

ROOT = Path(__file__).parents[2]


def loaded(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NAMES = loaded(ROOT / "docs" / "_extensions" / "names.py")
#: What no example can run within a second, and where it is run instead.
ELSEWHERE = {
    "bench.read_answers": "needs the answers of a model: tests/bench/test_stored_answers.py",
    "scale.embed_names": "starts a Ray cluster: tests/scale/test_names.py",
    "tune.diagnose": "runs a language model: tests/tune/diagnosis/test_analysis.py",
    "tune.tune": "trains a language model: tests/tune/test_run.py",
}


def calls(docstring, names):
    """Examples that are run and call the function by one of its names."""
    for example in doctest.DocTestParser().get_examples(docstring):
        if not example.options.get(doctest.SKIP) and any(f"{name}(" in example.source for name in names):
            yield example


@pytest.mark.parametrize("package", NAMES.PACKAGES)
def test_functions_show_a_call_that_runs(package):
    module = importlib.import_module(f"bftembed.{package}")
    for name in module.__all__:
        function = getattr(module, name)
        if not inspect.isroutine(function) or f"{package}.{name}" in ELSEWHERE:
            continue
        names = {name, function.__name__}
        assert any(calls(inspect.getdoc(function) or "", names)), f"{package}.{name} has no example that runs"


def test_what_is_run_elsewhere_is_public_and_run_there():
    for name, why in ELSEWHERE.items():
        package, _, function = name.partition(".")
        assert function in importlib.import_module(f"bftembed.{package}").__all__
        assert f"{function}" in (ROOT / why.partition(": ")[2]).read_text()


def test_an_example_that_is_skipped_or_of_another_function_does_not_count():
    text = ">>> embed(1)  # doctest: +SKIP\n>>> other(1)\n"
    assert not list(calls(text, {"embed"}))
    assert list(calls(text, {"other"}))


def test_the_reference_has_a_page_of_every_public_package():
    page = (ROOT / "docs" / "api" / "index.md").read_text()
    packages = {name for name in bftembed.__all__ if inspect.ismodule(getattr(bftembed, name))}
    for package in NAMES.PACKAGES:
        assert f"   bftembed.{package}\n" in page
    for name in set(bftembed.__all__) - packages:
        assert f"   bftembed.{name}\n" in page
    assert "automodule:: bftembed.errors" in page
