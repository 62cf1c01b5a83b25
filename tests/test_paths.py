from pathlib import Path

import platformdirs

import bftembed
from bftembed import _paths


def test_the_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path / "here"))
    assert _paths.cache_dir() == tmp_path / "here"
    monkeypatch.setenv("BFTEMBED_CACHE", "~/there")
    assert _paths.cache_dir() == Path.home() / "there"


def test_without_it_the_platform_decides(monkeypatch):
    monkeypatch.setenv("BFTEMBED_CACHE", "")
    assert _paths.cache_dir() == Path(platformdirs.user_cache_dir("bftembed"))


def test_manifests_lie_beside_the_package_in_a_checkout():
    checkout = Path(bftembed.__file__).parents[1]
    assert _paths.shipped_dir("data_manifests") == checkout / "data_manifests"


def test_in_a_wheel_they_lie_inside_the_package(monkeypatch, tmp_path):
    shipped = tmp_path / "bftembed" / "_shipped" / "tasks"
    shipped.mkdir(parents=True)
    monkeypatch.setattr(_paths, "__file__", str(tmp_path / "bftembed" / "_paths.py"))
    assert _paths.shipped_dir("tasks") == shipped
    assert _paths.shipped_dir("data_manifests") == tmp_path / "data_manifests"
