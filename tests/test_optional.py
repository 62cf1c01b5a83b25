import re
import sys
import tomllib
from pathlib import Path

import pytest

import bftembed
from bftembed import _optional
from bftembed._optional import EXTRAS, advice, needs, require
from bftembed.errors import BftembedError, MissingExtraError

#: Modules whose distribution has another name.
DISTRIBUTIONS = {"scib_metrics": "scib-metrics", "scvi": "scvi-tools"}


@pytest.fixture
def missing(monkeypatch):
    monkeypatch.setitem(_optional.EXTRAS, "tune", ("bftembed_no_such_package",))


def test_an_installed_module_is_imported():
    assert require("json.decoder") is sys.modules["json.decoder"]
    needs("json", "sys")


@pytest.mark.parametrize("module", ["bftembed_no_such_package", "bftembed_no_such_package.part"])
@pytest.mark.usefixtures("missing")
def test_a_missing_package_names_the_extra(module):
    with pytest.raises(
        MissingExtraError, match=r'`bftembed_no_such_package`: pip install "bftembed\[tune\]"'
    ) as caught:
        require(module)
    assert isinstance(caught.value, BftembedError)
    assert isinstance(caught.value, ImportError)


@pytest.mark.usefixtures("missing")
def test_packages_can_be_asked_for_before_the_work():
    with pytest.raises(MissingExtraError, match="bftembed_no_such_package"):
        needs("json", "bftembed_no_such_package")
    with pytest.raises(MissingExtraError, match=r"bftembed\[all\]"):
        needs("bftembed_no_such_package", extra="all")
    assert advice("bftembed_unknown") == ""


def test_a_package_that_lacks_a_package_of_its_own_says_so_itself(tmp_path, monkeypatch):
    (tmp_path / "broken_package_of_a_test.py").write_text("import another_missing_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="another_missing_package") as caught:
        require("broken_package_of_a_test")
    assert not isinstance(caught.value, MissingExtraError)


@pytest.mark.parametrize(("extra", "module"), [(e, m) for e, modules in EXTRAS.items() for m in modules])
def test_every_extra_brings_what_the_advice_says(extra, module):
    project = tomllib.loads((Path(bftembed.__file__).parents[1] / "pyproject.toml").read_text())["project"]
    brought = {re.split(r"[\[<>=!~ ]", each)[0] for each in project["optional-dependencies"][extra]}
    assert DISTRIBUTIONS.get(module, module).replace("_", "-") in brought
