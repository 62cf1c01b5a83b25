import importlib

import pytest

from bftembed._plugins import load_plugin, plugin_names
from bftembed.errors import PluginError


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
