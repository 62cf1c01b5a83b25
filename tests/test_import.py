"""What `import bftembed` costs, in a process of its own."""

import json
import subprocess
import sys

import pytest

import bftembed

HEAVY = {"torch", "transformers", "sentence_transformers", "scanpy", "anndata", "numba", "pandas", "numpy"}


def modules_after(statement):
    code = f"import sys, json\n{statement}\nprint(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_import_brings_nothing_heavy():
    assert not modules_after("import bftembed") & HEAVY


def test_the_command_line_brings_no_model_libraries():
    heavy = {"torch", "transformers", "sentence_transformers", "scanpy", "anndata", "numba"}
    assert not modules_after("import bftembed.cli.main") & heavy


def test_the_cell_stage_brings_no_torch():
    assert "torch" not in modules_after("import bftembed as bft\nbft.tl.embed_cells")


def test_every_public_name_is_there():
    for name in bftembed.__all__:
        assert getattr(bftembed, name) is not None
        assert name in dir(bftembed)


NO_PACKAGES = {"embed", "read_vectors", "settings", "write_vectors"}


@pytest.mark.parametrize("package", [name for name in bftembed.__all__ if name not in NO_PACKAGES])
def test_completion_offers_what_a_package_has(package):
    """A session of its own: what another test imported would show up in `dir()` too."""
    code = (
        f"import bftembed as bft, json\nfrom bftembed.errors import MissingExtraError\n"
        f"module = bft.{package}\noffered = dir(module)\n"
        "public, absent = getattr(module, '__all__', offered), []\n"
        "for name in public:\n"
        "    try:\n        absent += [name] * (getattr(module, name, None) is None)\n"
        "    except MissingExtraError:\n        pass  # it is there for those who install the extra\n"
        "print(json.dumps([sorted(public), offered, absent]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    public, offered, absent = json.loads(done.stdout)
    assert not absent
    assert set(public) <= set(offered)
    assert not {"Any", "TYPE_CHECKING", "annotations", "importlib"} & set(offered)


@pytest.mark.parametrize("room", ["bftembed", "bftembed.tl", "bftembed.engines", "bftembed.encoders"])
def test_unknown_names_are_attribute_errors(room):
    import importlib

    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = importlib.import_module(room).no_such_thing
