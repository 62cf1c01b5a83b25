import importlib
import sys

import pytest

from bftembed._plugins import load_plugin, plugin_names
from bftembed.errors import PluginError


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Put packages with entry points on the path, as an installer would."""

    def install(package, code, entry_points):
        (tmp_path / f"{package}.py").write_text(code)
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        importlib.invalidate_caches()

    monkeypatch.syspath_prepend(tmp_path)
    yield install
    for name in ("plug_one", "plug_two"):
        sys.modules.pop(name, None)


def test_what_a_package_registers_is_found_and_loaded(installed):
    installed("plug_one", "class Mine: ...\n", "[bftembed.engines]\nmine = plug_one:Mine\n")
    assert "mine" in plugin_names("engines")
    assert load_plugin("engines", "mine") is importlib.import_module("plug_one").Mine
    assert load_plugin("encoders", "mine") is None
    assert load_plugin("engines", "other") is None


def test_a_package_that_cannot_be_imported_is_named(installed):
    installed("plug_one", "import no_such_module\n", "[bftembed.sources]\nmine = plug_one:Mine\n")
    with pytest.raises(PluginError, match=r"`mine` of `plug_one` cannot be loaded.*no_such_module"):
        load_plugin("sources", "mine")


def test_a_name_that_two_packages_register_is_refused(installed):
    for package in ("plug_one", "plug_two"):
        installed(package, "class Mine: ...\n", f"[bftembed.tasks]\nmine = {package}:Mine\n")
    with pytest.raises(PluginError, match=r"more than once.*plug_one:Mine.*plug_two:Mine"):
        load_plugin("tasks", "mine")
    assert plugin_names("tasks").count("mine") == 1
