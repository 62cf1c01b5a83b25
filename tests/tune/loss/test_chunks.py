"""The products of a head: what a GPU would be asked for, as far as a CPU can tell."""

import pytest
import torch

from bftembed.tune.loss import chunks as module
from bftembed.tune.loss.logprobs import token_logprobs
from tests.tune.loss.test_logprobs import picked, real_sized, relative


def test_the_gradient_of_a_head_from_bf16_operands(monkeypatch):
    """What a GPU multiplies: five times the error of float32 operands at most, and half that of bf16 autocast."""
    hidden, weight, targets = real_sized(600)
    back = torch.rand(600, generator=torch.Generator().manual_seed(1)) / 600
    leaf = weight.double().requires_grad_()
    (exact,) = torch.autograd.grad(picked(hidden.double() @ leaf.T, targets), leaf, back.double())

    def gradient(logprobs):
        leaf = weight.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            values = logprobs(hidden, leaf, targets)
        return torch.autograd.grad(values, leaf, back)[0]

    def product(total, left, right, *, out_dtype, out):
        """``torch.addmm`` with `out_dtype`, which a CPU does not have."""
        assert left.dtype == right.dtype == torch.bfloat16
        assert out is total
        assert out.dtype == out_dtype == torch.float32
        return out.add_(left.float() @ right.float())

    today = gradient(lambda *inputs: token_logprobs(*inputs).logprobs)
    plain = gradient(lambda hidden, leaf, targets: picked(torch.nn.functional.linear(hidden, leaf).float(), targets))
    monkeypatch.setattr(module, "_sums_wide", lambda device: True)
    monkeypatch.setattr(torch, "addmm", product)
    rounded = gradient(lambda *inputs: token_logprobs(*inputs).logprobs)
    assert not torch.equal(rounded, today)
    assert relative(rounded, exact) < 5 * relative(today, exact)
    assert relative(rounded, exact) < relative(plain, exact) / 2


def test_torch_takes_the_arguments_that_a_gpu_is_given(monkeypatch):
    """Tensors without values: torch checks shapes and types as for a GPU. Nothing of it was run on one."""
    monkeypatch.setattr(module, "_sums_wide", lambda device: True)
    total, error = torch.zeros(7, 4, device="meta"), torch.zeros(3, 7, device="meta")
    module._add_product(total, error, torch.zeros(3, 4, device="meta"), torch.bfloat16)
    with pytest.raises(RuntimeError, match="same reduction dim"):
        module._add_product(total, error, torch.zeros(4, 4, device="meta"), torch.bfloat16)


def test_a_cpu_multiplies_in_float32():
    assert not module._sums_wide(torch.device("cpu"))
