import re
import sys
import tomllib
from pathlib import Path

import pytest

import bftembed
from bftembed._optional import require
from bftembed.errors import BftembedError, MissingExtraError


def test_an_installed_module_is_imported():
    assert require("json.decoder", extra="bench") is sys.modules["json.decoder"]


@pytest.mark.parametrize("module", ["bftembed_no_such_package", "bftembed_no_such_package.part"])
def test_a_missing_package_names_the_extra(module):
    with pytest.raises(
        MissingExtraError, match=r'`bftembed_no_such_package`: pip install "bftembed\[tune\]"'
    ) as caught:
        require(module, extra="tune")
    assert isinstance(caught.value, BftembedError)
    assert isinstance(caught.value, ImportError)


def test_a_package_that_lacks_a_package_of_its_own_says_so_itself(tmp_path, monkeypatch):
    (tmp_path / "broken_package_of_a_test.py").write_text("import another_missing_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="another_missing_package") as caught:
        require("broken_package_of_a_test", extra="tune")
    assert not isinstance(caught.value, MissingExtraError)


def test_every_advice_names_an_extra_that_brings_the_package():
    root = Path(bftembed.__file__).parent
    project = tomllib.loads((root.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    brings = {extra: {re.split(r"[<>=\[]", each)[0].replace("-", "_") for each in project[extra]} for extra in project}
    distribution = {"scvi": "scvi_tools", "sklearn": "scikit_learn"}
    asked = [
        (module.split(".")[0], extra)
        for path in root.rglob("*.py")
        for module, extra in re.findall(r'require\("([\w.]+)", extra="(\w+)"', path.read_text(encoding="utf-8"))
    ]
    assert len(asked) > 10
    assert [(m, e) for m, e in asked if distribution.get(m, m) not in brings.get(e, set())] == []
    assert "dev" not in {extra for _, extra in asked}
