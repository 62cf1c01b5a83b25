import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from bftembed.encoders import SentenceTransformersEncoder, restore_encoder
from bftembed.encoders.openvino import compile_transformer
from bftembed.errors import EncoderError, InputError, MissingExtraError

TEXTS = ["TP53 is a tumour suppressor.", "INS", "BRCA1 repairs double-strand breaks. " * 80, *map(str, range(60))]


@pytest.fixture
def openvino():
    return pytest.importorskip("openvino", reason='openvino is missing: pip install "bftembed[openvino]"')


@pytest.mark.parametrize("threads", [None, 1])
def test_vectors_are_those_of_torch(openvino, encoder, threads):
    fast = SentenceTransformersEncoder(backend="openvino", threads=threads)
    assert fast.describe() == encoder.describe() | {"backend": "openvino"}
    assert openvino.__version__.split("-")[0][:6] in fast.provenance()["version"]
    assert fast.former_descriptions() == []
    for texts in (TEXTS, TEXTS[:1], TEXTS[2:3]):
        np.testing.assert_allclose(fast.encode(texts)[0], encoder.encode(texts)[0], atol=1e-5)
    np.testing.assert_allclose(fast.encode(TEXTS, query=True)[0], encoder.encode(TEXTS)[0], atol=1e-5)


def test_an_embedding_is_searched_with_its_back_end(openvino, encoder):
    fast = SentenceTransformersEncoder(backend="openvino")
    again = restore_encoder(fast.record())
    assert again.describe() == fast.describe()
    assert restore_encoder(fast.record(), encoder) is encoder  # equal to rounding, and so as good


def test_bfloat16_where_the_cpu_has_it(openvino, encoder):
    if not getattr(torch.cpu, "get_capabilities", dict)().get("avx512_bf16"):
        pytest.skip("this CPU (or this torch) has no avx512_bf16")
    half = SentenceTransformersEncoder(backend="openvino", dtype="bfloat16")
    vectors, exact = half.encode(TEXTS)[0], encoder.encode(TEXTS)[0]
    assert np.abs(vectors - exact).max() > 1e-5
    assert (np.sum(vectors * exact, axis=1) / np.linalg.norm(vectors, axis=1)).min() >= 0.999


def test_what_openvino_computes_is_compared_with_torch(openvino, embedded_dir, monkeypatch):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(embedded_dir), device="cpu")
    real = openvino.Core.compile_model
    monkeypatch.setattr(openvino.Core, "compile_model", lambda *args: _wrong(real(*args)))
    with pytest.raises(EncoderError, match="computes something else than torch"):
        compile_transformer(model, dtype="float32", threads=1)


def _wrong(compiled):
    return lambda inputs: {0: np.asarray(compiled(inputs)[0]) * 1.01}


def test_a_model_that_cannot_be_converted(openvino, embedded_dir, monkeypatch):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(embedded_dir), device="cpu")

    def broken(*_args, **_settings):
        message = "no such operation"
        raise RuntimeError(message)

    monkeypatch.setattr(openvino.Core, "compile_model", broken)
    with pytest.raises(EncoderError, match=r"cannot convert this model \(no such operation\); use backend='torch'"):
        compile_transformer(model, dtype="float32", threads=1)


def test_without_openvino(embedded_dir, monkeypatch):
    real = __import__("importlib.util").util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "openvino" else real(name))
    with pytest.raises(MissingExtraError, match=r'`openvino`: pip install "bftembed\[openvino\]"'):
        SentenceTransformersEncoder(backend="openvino")


def test_back_ends_that_cannot_be_used(embedded_dir, monkeypatch):
    with pytest.raises(InputError, match=r"no back end; there are torch, openvino. Did you mean `openvino`"):
        SentenceTransformersEncoder(backend="openvin")
    monkeypatch.setattr("bftembed.encoders.sentence_transformers.needs", lambda *_: None)
    with pytest.raises(InputError, match="runs on one CPU: leave `device` out"):
        SentenceTransformersEncoder(backend="openvino", device="cuda:0")


def test_after_an_error_nothing_is_encoded_by_torch_instead(embedded_dir, monkeypatch):
    def fails(*_, **__):
        message = "OpenVINO cannot convert this model"
        raise EncoderError(message)

    monkeypatch.setattr("bftembed.encoders.sentence_transformers.needs", lambda *_: None)
    monkeypatch.setattr("bftembed.encoders.sentence_transformers.compile_transformer", fails)
    encoder = SentenceTransformersEncoder(backend="openvino")
    for _ in range(2):
        with pytest.raises(EncoderError, match="cannot convert"):
            encoder.encode(TEXTS[:1])


def test_a_model_without_a_transformer(openvino):
    with pytest.raises(EncoderError, match="begins with a Linear; use backend='torch'"):
        compile_transformer(torch.nn.Sequential(torch.nn.Linear(2, 2)), dtype="float32", threads=1)


COLLECTED_ELSEWHERE = """
import gc, os, signal, sys, threading, time

from sentence_transformers import SentenceTransformer

from bftembed.encoders.openvino import compile_transformer

models = [SentenceTransformer(sys.argv[1], device="cpu")]
compile_transformer(models[0], dtype="float32", threads=1)


def forget():
    models.clear()
    gc.collect()


thread = threading.Thread(target=forget)
thread.start()
thread.join()
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_after_another_thread_has_collected_the_model(openvino, embedded_dir):
    ended = subprocess.run(
        [sys.executable, "-c", COLLECTED_ELSEWHERE, embedded_dir],
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (ended.returncode, ended.stdout) == (0, "interrupted\n"), ended.stderr
