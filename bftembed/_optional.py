"""Optional packages: which extra brings them, and importing them where they are needed."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING

from bftembed.errors import MissingExtraError

if TYPE_CHECKING:
    from types import ModuleType

#: Modules that an extra of this package brings, as ``pip install "bftembed[EXTRA]"``.
EXTRAS: dict[str, tuple[str, ...]] = {
    "local": ("torch", "transformers", "sentence_transformers", "gguf", "jinja2"),
    "tune": ("accelerate", "datasets", "filelock", "peft", "trl"),
    "scanpy": ("scanpy",),
    "bench": ("statsmodels", "harmonypy", "scib", "scib_metrics", "markupsafe", "openpyxl"),
    "bench-language": ("rouge_score",),
    "lm-eval": ("lm_eval",),
    "openai": ("openai",),
    "openvino": ("openvino",),
    "vllm": ("vllm",),
    "scvi": ("scvi",),
    "ray": ("ray",),
}


def advice(module: str, extra: str = "") -> str:
    """One line that says how to get `module`, or an empty one where no extra brings it."""
    package = module.partition(".")[0]
    extra = extra or next((extra for extra, modules in EXTRAS.items() if package in modules), "")
    return f'This needs the package `{package}`: pip install "bftembed[{extra}]"' if extra else ""


def needs(*modules: str, extra: str = "") -> None:
    """Ask for packages before any work; nothing is imported.

    Parameters
    ----------
    modules
        What is needed.
    extra
        The extra that brings all of them; by default the one of the missing module.

    Raises
    ------
    MissingExtraError
        Names the first that is not installed, and the extra that brings it.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(advice(module, extra))


def require(module: str) -> ModuleType:
    """Import `module`, or say which extra of this package brings it.

    Raises
    ------
    MissingExtraError
        If the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise
        raise MissingExtraError(advice(module)) from error
