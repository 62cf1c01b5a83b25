import sys
from types import ModuleType

import pytest

from bftembed.engines.vllm_faults import explained, faults, imported
from bftembed.errors import EngineError, InputError, MissingExtraError


class PydanticError(ValueError):
    """Its own words begin with a count."""

    def errors(self):
        return [
            {"loc": (), "msg": "Value error, float32 is not supported"},
            {"loc": ("dtype", "literal"), "msg": "Input should be 'auto'"},
        ]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (RuntimeError("CUDA out of memory\nand more"), "CUDA out of memory. Give it less to hold: a smaller `max_mo"),
        (ValueError("No available memory for the cache blocks."), "cache blocks. Give it less"),
        (RuntimeError("Unsupported attention configuration: head_dim=16"), "16. The `transformers` engine runs this"),
        (
            RuntimeError("\n  Before its bootstrapping phase."),
            'put what the script does under `if __name__ == "__main__":`.',
        ),
        (RuntimeError("Engine core failed. See root cause above."), "The cause stands in vLLM's log above."),
        (TypeError("Unexpected keyword argument 'logprob_token_ids'"), "This vLLM is too old to score options; update"),
        (PydanticError("2 validation errors"), "vLLM failed: float32 is not supported; dtype: Input should be 'auto'."),
        (KeyError("0-90"), "vLLM failed: KeyError: '0-90'."),
        (AssertionError(), "vLLM failed: AssertionError."),
    ],
)
def test_what_vllm_says_and_what_helps(fault, said):
    assert isinstance(fault, faults())
    error = explained(fault, "failed")
    assert isinstance(error, EngineError)
    assert str(error).startswith("vLLM failed: ")
    assert said in str(error)
    assert "\n" not in str(error)


def test_an_option_that_vllm_does_not_have():
    error = explained(TypeError("EngineArgs.__init__() got an unexpected keyword argument 'swop_space'"), "failed")
    assert isinstance(error, InputError)
    assert str(error).startswith("vLLM does not take these options: ")


@pytest.mark.parametrize(("module", "name"), [("exceptions", "VLLMError"), ("v1.engine.exceptions", "EngineDeadError")])
def test_errors_of_vllms_own_classes(monkeypatch, module, name):
    own = type(name, (Exception,), {})
    there = ModuleType(f"vllm.{module}")
    setattr(there, name, own)
    monkeypatch.setitem(sys.modules, there.__name__, there)
    assert issubclass(own, faults())


@pytest.mark.parametrize("fault", [RuntimeError("operator torchvision::nms does not exist"), ImportError("libcuda")])
def test_a_vllm_whose_packages_do_not_fit_each_other(monkeypatch, fault):
    class Broken(ModuleType):
        def __getattr__(self, name):
            raise fault

    monkeypatch.setitem(sys.modules, "vllm", Broken("vllm"))
    with pytest.raises(EngineError, match=rf"cannot be imported.*: {fault}\. Install .*uninstall all three"):
        imported()


def test_no_vllm(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingExtraError, match=r'pip install "bftembed\[vllm\]"'):
        imported()
