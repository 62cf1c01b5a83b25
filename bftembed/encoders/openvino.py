"""The transformer of a sentence-transformers model, compiled by OpenVINO for this CPU."""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

from bftembed._optional import require
from bftembed.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Callable

_PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
#: Tokens are told apart from padding by these; what else a tokenizer gives, a model of texts does not need.
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
#: Most that a component of a token may differ from torch's, as a share of the largest.
_TOLERANCE = {"float32": 1e-4, "bfloat16": 0.1}


def compile_transformer(model: Any, *, dtype: str, threads: int | None) -> None:
    """Have OpenVINO compute the first module of a sentence-transformers model in place of torch.

    The model is traced by the front end that `openvino.convert_model` uses; that function itself reports its use to the
    maker of OpenVINO, and is not called. Tokens, pooling and what follows stay with sentence-transformers, whose own
    ``backend="openvino"`` needs optimum-intel, which forbids transformers 5.6 and later.

    Parameters
    ----------
    model
        ``SentenceTransformer`` in float32 on the CPU; changed.
    dtype
        ``"float32"`` or ``"bfloat16"``, in which matrices are multiplied.
    threads
        CPU threads; by default those that OpenVINO chooses.

    Raises
    ------
    MissingExtraError
        If openvino is not installed.
    EncoderError
        If OpenVINO cannot convert the model, or what it computes is not what torch computes.
    """
    import torch

    require("openvino")
    front = require("openvino.frontend")
    decoder = require("openvino.frontend.pytorch.ts_decoder")
    transformer: Any = getattr(model[0], "model", None)
    if transformer is None:
        what = type(model[0]).__name__
        msg = f"OpenVINO computes transformers, and this model begins with a {what}; use backend='torch'."
        raise EncoderError(msg)
    features = model.preprocess(["A text that is longer than the other one.", "A text."])
    inputs = {name: features[name] for name in _INPUTS if name in features}

    class Tokens(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.transformer = transformer

        def forward(self, *values: Any) -> Any:
            return self.transformer(**dict(zip(inputs, values, strict=True)))[0]

    tokens = Tokens().eval()
    settings = {"INFERENCE_PRECISION_HINT": _PRECISIONS[dtype], "PERFORMANCE_HINT": "LATENCY"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = str(threads)
    try:
        with torch.inference_mode():
            expected = tokens(*inputs.values())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the trace, whose result is compared below
            traced = decoder.TorchScriptPythonDecoder(tokens, example_input=tuple(inputs.values()))
            frontend = front.FrontEndManager().load_by_framework("pytorch")
            converted = frontend.convert(frontend.load(traced))
        compiled = _core().compile_model(converted, "CPU", settings)
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        msg = f"OpenVINO cannot convert this model ({str(error).splitlines()[0][:200]}); use backend='torch'."
        raise EncoderError(msg) from error
    forward = _forward(compiled, list(inputs))
    there = features["attention_mask"].bool()
    found = forward(**inputs)["last_hidden_state"]
    if (found - expected)[there].abs().max() > _TOLERANCE[dtype] * expected.abs().max():
        msg = "OpenVINO computes something else than torch with this model; use backend='torch'."
        raise EncoderError(msg)
    transformer.forward = forward


@cache
def _core() -> Any:
    """OpenVINO for the whole process; it is never unloaded.

    Its CPU plugin gives the thread that loads it another stack for signals, and takes that stack away with the last
    model, in whatever thread that is collected. The next signal of the first thread, such as Ctrl-C, would then end
    the process with a segmentation fault.
    """
    return require("openvino").Core()


def _forward(compiled: Any, names: list[str]) -> Callable[..., dict[str, Any]]:
    import torch

    def forward(**features: Any) -> dict[str, Any]:
        result = compiled([features[name].numpy() for name in names])
        return {"last_hidden_state": torch.from_numpy(result[0])}

    return forward
