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
#: An example that needs a cluster of machines, and the test that runs it as it stands.
ELSEWHERE = {"scale.embed_names": "tests/scale/test_names.py"}


def calls(docstring, names):
    """Examples that are run and call the function by one of its names."""
    for example in doctest.DocTestParser().get_examples(docstring):
        if not example.options.get(doctest.SKIP) and any(f"{name}(" in example.source for name in names):
            yield example


@pytest.mark.parametrize("package", NAMES.PACKAGES)
def test_every_function_and_class_has_an_example_that_runs(package):
    module = importlib.import_module(f"bftembed.{package}")
    without = []
    for name in module.__all__:
        one = getattr(module, name)
        if inspect.isclass(one):
            shown = list(calls(one.__doc__ or "", {""}))  # any code: some classes are made by functions
        elif inspect.isroutine(one):
            shown = list(calls(inspect.getdoc(one) or "", {name, one.__name__}))
        else:
            continue
        if not shown and f"{package}.{name}" not in ELSEWHERE:
            without.append(name)
    assert not without


def test_what_is_run_elsewhere_is_run_there():
    for name, test in ELSEWHERE.items():
        assert f"{name}.__doc__" in (ROOT / test).read_text()


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
