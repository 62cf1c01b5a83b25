import json

import numpy as np
import pytest

from bftembed.encoders import SentenceTransformersEncoder
from bftembed.errors import BftembedWarning, InputError

SHORT = ["TP53 is a tumour suppressor.", "BRCA1 repairs double-strand breaks.", "INS"]


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
