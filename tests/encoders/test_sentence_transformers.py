import gc
import json
import os
import signal

import numpy as np
import pytest

from bftembed.encoders import SentenceTransformersEncoder
from bftembed.errors import EncoderError, InputError, ModelError

SHORT = ["TP53 is a tumour suppressor.", "BRCA1 repairs double-strand breaks.", "INS"]
#: About 2,000 characters: far more than the default encoder's window of 256 tokens.
LONG = "The gene product binds DNA and regulates the transcription of its target genes. " * 25


def test_short_texts_are_what_sentence_transformers_gives(encoder, direct):
    vectors, split = encoder.encode(SHORT)
    assert (vectors.shape, vectors.dtype, split.tolist()) == ((3, 384), np.float32, [False] * 3)
    np.testing.assert_allclose(vectors, direct.encode(SHORT), atol=1e-6)


def test_tokens_are_counted_without_the_special_ones(encoder, direct):
    assert encoder.count_tokens(SHORT) == [len(direct.tokenizer.tokenize(text)) for text in SHORT]
    assert encoder.max_seq_length == direct.get_max_seq_length() - 2 == 254


def test_long_texts_are_the_token_weighted_mean_of_parts_that_fit(encoder, direct):
    parts = encoder._split(LONG, 254)
    assert len(parts) > 1
    lengths = np.array([len(direct.tokenizer.tokenize(part)) for part, _ in parts])
    assert [tokens for _, tokens in parts] == lengths.tolist()
    assert lengths.max() <= 254
    assert "".join(part for part, _ in parts).split() == LONG.split()
    mean = lengths @ direct.encode([part for part, _ in parts]).astype(np.float64) / lengths.sum()
    vectors, split = encoder.encode([SHORT[0], LONG])
    assert split.tolist() == [False, True]
    np.testing.assert_allclose(vectors[1], mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_nothing_is_cut_off_in_silence(encoder, direct):
    endings = ["It causes anaemia.", "It is found in yeast."]
    ours = encoder.encode([LONG + ending for ending in endings])[0]
    cut = direct.encode([LONG + ending for ending in endings])
    np.testing.assert_array_equal(cut[0], cut[1])  # what the library does by itself
    assert np.abs(ours[0] - ours[1]).max() > 1e-3


def test_a_text_without_blanks_is_split_too(encoder):
    vectors, split = encoder.encode(["Gly-Ala-Ser-" * 170])
    assert split.all()
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize("n", [500, 509, 510, 511, 600])
def test_a_declared_length_beyond_the_positions_is_not_trusted(direct, embedded_dir, variant, n):
    """512 positions, 514 declared."""
    declared = {"max_seq_length": 514, "do_lower_case": False}
    tokenizer = json.loads((embedded_dir / "tokenizer_config.json").read_text()) | {"model_max_length": 514}
    long = SentenceTransformersEncoder(
        variant(
            sentence_bert_config__json=json.dumps(declared).encode(),
            tokenizer_config__json=json.dumps(tokenizer).encode(),
        )
    )
    assert long.max_seq_length == 510
    vectors, split = long.encode(["gene " * n])
    assert split.all() == (n > 510)
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize("length", [None, 0, -1, 2, "512", 512.0, 1e30])
def test_a_declared_length_that_is_none_leaves_that_of_the_positions(embedded_dir, variant, length):
    tokenizer = json.loads((embedded_dir / "tokenizer_config.json").read_text()) | {"model_max_length": 10**30}
    encoder = SentenceTransformersEncoder(
        variant(
            sentence_bert_config__json=json.dumps({"max_seq_length": length}).encode(),
            tokenizer_config__json=json.dumps(tokenizer).encode(),
        )
    )
    assert encoder.max_seq_length == 510
    vectors, split = encoder.encode(["gene " * 600])
    assert split.all()
    assert np.isfinite(vectors).all()


def test_threads_are_used_and_given_back(embedded_dir):
    import torch

    before, seen = torch.get_num_threads(), []
    one = SentenceTransformersEncoder(threads=before + 1)
    one._load().register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
    one.encode(SHORT)
    assert (seen, torch.get_num_threads()) == ([before + 1], before)


@pytest.mark.parametrize("model", ["./nowhere", "/nowhere/at/all", "~/nowhere-at-all"])
def test_a_directory_that_is_not_there(model):
    with pytest.raises(ModelError, match=f"There is no model directory `{model}`"):
        SentenceTransformersEncoder(model)


def test_the_order_of_texts_is_kept(encoder):
    texts = [*SHORT, LONG, "x"]
    forward, backward = encoder.encode(texts)[0], encoder.encode(texts[::-1])[0]
    np.testing.assert_allclose(forward, backward[::-1], atol=1e-6)


@pytest.mark.parametrize("progress", [True, False])
def test_a_bar_is_shown_where_it_is_asked_for(encoder, capsys, progress):
    encoder.encode(SHORT, progress=progress)
    assert bool(capsys.readouterr().err) is progress


def test_no_bar_outside_a_terminal(encoder, capsys):
    encoder.encode(SHORT * 40)
    assert not capsys.readouterr().err


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_on_a_cpu_without_it_is_refused(embedded_dir, monkeypatch, dtype):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": False}, raising=False)
    encoder = SentenceTransformersEncoder(dtype=dtype, device="cpu")
    with pytest.raises(EncoderError, match=f"`cpu`, where {dtype} is slow and inexact; use float32"):
        encoder.encode(SHORT)


def test_bfloat16_on_a_cpu_that_has_it(encoder):
    import torch

    if not getattr(torch.cpu, "get_capabilities", dict)().get("avx512_bf16"):
        pytest.skip("this CPU (or this torch) has no avx512_bf16")
    half = SentenceTransformersEncoder(dtype="bfloat16", device="cpu")
    assert half.describe() == encoder.describe() | {"dtype": "bfloat16"}
    exact, vectors = encoder.encode([*SHORT, LONG])[0], half.encode([*SHORT, LONG])[0]
    assert vectors.dtype == np.float32
    assert np.abs(vectors - exact).max() > 1e-5  # it is another number format
    assert (np.sum(vectors * exact, axis=1) / np.linalg.norm(vectors, axis=1)).min() >= 0.999


@pytest.mark.parametrize(("batch_size", "expected"), [(None, [4, 4, 4, 9]), (8, [8, 8, 5]), (1, [1] * 21), (64, [21])])
def test_a_batch_holds_as_many_texts_as_fill_it(embedded_dir, batch_size, expected):
    """254 tokens and 2 special ones make 256, of which a batch of 1,024 takes four; 98 + 2 make 100."""
    one, seen = SentenceTransformersEncoder(device="cpu", batch_size=batch_size), []
    one._load().register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]["input_ids"].shape))
    texts = ["gene " * 254] * 10 + ["gene " * 98] * 10 + ["x"]
    vectors, _ = one.encode([texts[i] for i in np.random.default_rng(0).permutation(21)])
    assert [shape[0] for shape in seen] == expected
    assert np.isfinite(vectors).all()
    if batch_size is None:
        assert [shape[1] for shape in seen] == [256, 256, 256, 100]


def test_two_processes_give_the_same_vectors_and_stay_for_the_next_texts(encoder, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    texts = [*SHORT, LONG, *(f"gene {i} of many" for i in range(40))]
    two = SentenceTransformersEncoder(device=["cpu", "cpu"], batch_size=2)
    assert two.describe() == encoder.describe()
    np.testing.assert_allclose(two.encode(texts)[0], encoder.encode(texts)[0], atol=1e-6)
    processes = two._pool["processes"]
    np.testing.assert_allclose(two.encode(SHORT, query=True)[0], encoder.encode(SHORT)[0], atol=1e-6)
    assert two._pool["processes"] is processes
    os.kill(processes[0].pid, signal.SIGKILL)
    processes[0].join()
    np.testing.assert_allclose(two.encode(SHORT)[0], encoder.encode(SHORT)[0], atol=1e-6)  # by two new ones
    blocks = two._encode(texts, query=False)
    next(blocks)
    for process in two._pool["processes"]:
        os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(EncoderError, match=r"Encoding on cpu, cpu came to an end: .*died.*exit code -9.*run it again"):
        list(blocks)
    np.testing.assert_allclose(two.encode(SHORT)[0], encoder.encode(SHORT)[0], atol=1e-6)
    last = [process.pid for process in two._pool["processes"]]
    del two, processes
    gc.collect()
    for pid in last:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("device", [[], "", 0, 1])
def test_no_device_at_all(device, embedded_dir):
    with pytest.raises(InputError, match="names no device"):
        SentenceTransformersEncoder(device=device)


@pytest.mark.parametrize("device", ["gpu", "cpu,cpu", "cuda:99", ["cpu", "cuda:99"]])
def test_a_device_that_is_not_there(device, embedded_dir):
    with pytest.raises(EncoderError, match=r"There is no device `(gpu|cpu,cpu|cuda:99)`"):
        SentenceTransformersEncoder(device=device).encode(SHORT)


@pytest.mark.parametrize("size", [0, -1, 1.5, "8"])
def test_a_batch_size_that_is_none(size, embedded_dir):
    with pytest.raises(InputError, match=f"`batch_size` is a whole number, 1 or more, got {size!r}"):
        SentenceTransformersEncoder(batch_size=size)


def test_description_follows_the_files_and_loads_nothing(embedded_dir, variant):
    encoder = SentenceTransformersEncoder()
    described = encoder.describe()
    assert encoder.provenance()["model"] == "sentence-transformers/all-MiniLM-L6-v2"
    other = SentenceTransformersEncoder(variant(modules__json=b"[]"))
    assert other.describe()["weights"] != described["weights"]
    assert SentenceTransformersEncoder(dtype="float16").describe() != described
    assert encoder._loaded is None


def test_a_directory_without_weights(variant):
    with pytest.raises(ModelError, match="variant` has no weights"):
        SentenceTransformersEncoder(variant(weights=False))


@pytest.mark.parametrize("weights", [b"", b"junk" * 100])
def test_damaged_weights(variant, weights):
    encoder = SentenceTransformersEncoder(variant(weights=False, model__safetensors=weights))
    with pytest.raises(EncoderError, match=r"cannot load .*variant"):
        encoder.encode(SHORT)


def test_unknown_model_and_default_without_its_package(monkeypatch):
    with pytest.raises(ModelError, match="There is no model `nobody/nothing`"):
        SentenceTransformersEncoder("nobody/nothing")
    monkeypatch.setattr("bftembed.encoders.sentence_transformers._embedded", lambda: None)
    with pytest.raises(ModelError, match="sentence-transformers/all-MiniLM-L6-v2"):
        SentenceTransformersEncoder()


def test_a_model_of_the_hub_is_identified_by_its_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(
        "bftembed.encoders.sentence_transformers.download", lambda model, revision: tmp_path / f"{revision}-commit"
    )
    origin = SentenceTransformersEncoder("some/model", revision="v1").provenance()
    assert (origin["model"], origin["revision"]) == ("some/model", "v1-commit")


def test_code_of_a_model_is_not_run_unless_asked_for(variant, tmp_path):
    mark = tmp_path / "was-run"
    modules = [{"idx": 0, "name": "0", "path": "", "type": "own.Own"}]
    encoder = SentenceTransformersEncoder(
        variant(
            modules__json=json.dumps(modules).encode(),
            own__py=f"from pathlib import Path\nPath({str(mark)!r}).touch()\n".encode(),
        )
    )
    with pytest.raises(EncoderError, match="cannot load"):
        encoder.encode(SHORT)
    assert not mark.exists()
