import socket

import numpy as np
import pytest

from bftembed.encoders import OpenAIEncoder
from bftembed.errors import EncoderError, InputError, ServerError

TEXTS = ["one", "three", "eleven letters"]


def item(index, vector):
    return {"object": "embedding", "index": index, "embedding": vector}


def listed(items):
    return {"object": "list", "model": "m", "data": items, "usage": {"prompt_tokens": 1, "total_tokens": 1}}


def lengths(body):
    """Embed a text as its length, items in reverse order."""
    return 200, listed([item(i, [float(len(text)), 1.0]) for i, text in enumerate(body["input"])][::-1])


def test_vectors_follow_the_index_not_the_order_of_the_answer(serve):
    server = serve(lengths)
    vectors, split = OpenAIEncoder(server.spec, batch_size=2).encode(TEXTS)
    np.testing.assert_array_equal(vectors, [[3, 1], [5, 1], [14, 1]])
    assert (vectors.dtype, split.any()) == (np.float32, False)
    assert [body["input"] for body in server.bodies] == [TEXTS[:0:-1], TEXTS[:1]]
    assert server.bodies[0]["model"] == "m"
    assert server.bodies[0]["encoding_format"] == "float"


def test_long_texts_are_split_by_bytes(serve):
    server = serve(lengths)
    encoder = OpenAIEncoder(server.spec, max_seq_length=10)
    text = "Sentence one is here. Sentence two."
    _, split = encoder.encode([text])
    sent = server.bodies[0]["input"]
    assert split.all()
    assert sorted("".join("".join(sent).split())) == sorted("".join(text.split()))
    assert max(len(part.encode()) for part in sent) <= 20
    assert encoder.count_tokens(["", "a", "ab", "äöü"]) == [0, 1, 1, 3]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, listed([item(0, [1.0, 2.0])])), "gave 1 vectors for 3 texts"),
        ((200, listed([item(0, [1.0])] * 3)), "gave 1 vectors for 3 texts, or miscounted"),
        ((200, listed([item(i + 1, [1.0]) for i in range(3)])), "miscounted"),
        ((200, listed([item(i, [1.0] * (i + 1)) for i in range(3)])), "vectors of different lengths"),
        ((200, listed([])), "gave 0 vectors for 3 texts"),
        ((200, {"result": "fine"}), "no embeddings"),
        ((200, [1, 2]), "no embeddings"),
        ((200, listed([{"object": "embedding"}] * 3)), "miscounted"),
        ((200, listed([item(i, ["a", "b"]) for i in range(3)])), "no embeddings"),
        ((200, listed([item(i, [[1.0], [1.0, 2.0]]) for i in range(3)])), "no embeddings"),
        ((200, listed([item([i], [1.0]) for i in range(3)])), "no embeddings"),
        ((200, listed([item(i, [float("nan")]) for i in range(3)])), "or NaN"),
        ((200, listed([item(i, 1.0) for i in range(3)])), "array of shape"),
        ((200, b"<html>Welcome</html>", "text/html"), "no embeddings"),
        ((200, b'{"data": ['), "no embeddings"),
        ((200, b""), "no embeddings"),
        ((500, {"error": {"message": "out of cards"}}), "InternalServerError.*out of cards"),
        ((400, {"error": {"message": "too long"}}), "BadRequestError.*too long"),
        ((401, {"error": {"message": "who are you"}}), "AuthenticationError"),
    ],
)
def test_answers_that_hold_no_vector_per_text_are_errors(serve, answer, said):
    server = serve(lambda _: answer)
    with pytest.raises(EncoderError, match=said) as caught:
        OpenAIEncoder(server.spec, max_retries=0).encode(TEXTS)
    assert len(str(caught.value)) < 500


def test_a_server_that_is_down(serve):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ServerError, match=f"No server answers at http://127.0.0.1:{port}/v1") as caught:
        OpenAIEncoder(f"m@http://127.0.0.1:{port}/v1", max_retries=0).encode(TEXTS)
    assert isinstance(caught.value, EncoderError)


def test_description_follows_model_server_and_window():
    described = OpenAIEncoder("m@http://host/v1").describe()
    assert described == {"encoder": "openai", "model": "m", "server": "http://host/v1", "window": "512"}
    assert OpenAIEncoder("m@http://host/v1", max_seq_length=100).describe() != described


def test_a_spec_without_server_is_refused(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(InputError, match="does not name a model and a server"):
        OpenAIEncoder("m")


def test_several_servers_are_refused():
    with pytest.raises(InputError, match="One server makes vectors, got 2: http://a/v1, http://b/v1"):
        OpenAIEncoder("m@http://a/v1,http://b/v1")


@pytest.mark.parametrize("progress", [True, False])
def test_a_bar_is_shown_where_it_is_asked_for(serve, capsys, progress):
    OpenAIEncoder(serve(lengths).spec).encode(TEXTS, progress=progress)
    assert bool(capsys.readouterr().err) is progress


def test_prompts_are_put_before_texts_and_queries(serve):
    server = serve(lengths)
    encoder = OpenAIEncoder(server.spec, prompt="passage: ", query_prompt="query: ")
    encoder.encode(["a"])
    encoder.encode(["a"], query=True)
    assert [body["input"] for body in server.bodies] == [["passage: a"], ["query: a"]]
    assert encoder.describe()["prompt"] == "passage: "
    assert "prompt" not in OpenAIEncoder(server.spec).describe()
    assert OpenAIEncoder(server.spec, prompt="same: ").query_prompt == "same: "
