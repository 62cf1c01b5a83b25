import json
import shlex
import threading
import time

import pytest

from bftembed.engines import OpenAIEngine, Request, Sampling, TransformersEngine
from bftembed.errors import EngineError, InputError, ServerError
from bftembed.profiles import ProfileStore
from bftembed.profiles.entity import Entity
from bftembed.profiles.write import write_profiles

REQUESTS = [Request(gene, f"What does {gene} do?") for gene in ["TP53", "BRCA1", "INS", "CD3E"]]


def chat_answer(text):
    choices = [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}]
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": choices}


def by_id(batches):
    return {done.id: done for batch in batches for done in batch}


def test_a_real_server_gives_what_the_model_gives_in_this_process(real_server, model_dir, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    requests = [
        Request("TP53", "Describe the function of the human gene TP53."),
        Request("INS", "Describe INS.", "You are a biologist who answers in a few words."),
        Request("stop", "What is the capital of France? Answer with one word."),
    ]
    sampling = Sampling(max_new_tokens=12)
    served = by_id(OpenAIEngine(real_server, concurrency=2).generate(requests, sampling=sampling))
    here = by_id(TransformersEngine(str(model_dir)).generate(requests, sampling=sampling))
    assert {id: done.text for id, done in served.items()} == {id: done.text for id, done in here.items()}
    assert {id: done.finish_reason for id, done in served.items()} == {
        id: done.finish_reason for id, done in here.items()
    }
    assert {id: done.n_prompt_tokens for id, done in served.items()} == {
        id: done.n_prompt_tokens for id, done in here.items()
    }


def test_what_is_asked_and_what_comes_back(serve, answer_with):
    server = serve(lambda body: (200, answer_with(body["messages"][-1]["content"] * 2)))
    sampling = Sampling(max_new_tokens=9, temperature=0.5, top_p=0.8, seed=3)
    engine = OpenAIEngine(server.spec)
    answers = by_id(engine.generate([Request("a", "ab", "Be brief."), Request("b", "cd")], sampling=sampling))
    assert (answers["a"].text, answers["b"].text) == ("abab", "cdcd")
    assert (answers["a"].finish_reason, answers["a"].n_prompt_tokens, answers["a"].n_tokens) == ("stop", 5, 2)
    first, second = sorted(server.bodies, key=lambda body: body["messages"][-1]["content"])
    assert first["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "ab"}]
    assert second["messages"] == [{"role": "user", "content": "cd"}]
    asked = {"model": "m", "max_tokens": 9, "temperature": 0.5, "top_p": 0.8, "seed": 3, "repetition_penalty": 1.0}
    assert first == asked | {"top_k": -1, "min_p": 0.0, "messages": first["messages"]}
    assert engine.describe() == {"engine": "openai", "model": "m", "server": server.url}


def test_raw_text_goes_to_the_endpoint_without_template(real_server, model_dir, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    requests = [Request("a", raw="The tumour suppressor p53 is"), Request("b", raw="Insulin lowers")]
    sampling = Sampling(max_new_tokens=8)
    served = by_id(OpenAIEngine(real_server).generate(requests, sampling=sampling))
    here = by_id(TransformersEngine(str(model_dir)).generate(requests, sampling=sampling))
    assert {id: (done.text, done.n_prompt_tokens) for id, done in served.items()} == {
        id: (done.text, done.n_prompt_tokens) for id, done in here.items()
    }


def test_a_server_that_would_answer_anew_is_given_no_prefix(real_server, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    requests = [Request("a", "Name a kinase.", prefix="Answer:"), Request("b", "Name a kinase.")]
    answers = by_id(OpenAIEngine(real_server).generate(requests, sampling=Sampling(max_new_tokens=3)))
    assert "does not go on with a `prefix`, it would begin a new answer" in answers["a"].error
    assert answers["b"].text


def test_a_dialogue_is_sent_as_it_is(serve, answer_with):
    server = serve(lambda body: (200, answer_with()))
    turns = [("system", "Be brief."), ("user", "Name a kinase."), ("assistant", "EGFR."), ("user", "Another?")]
    list(OpenAIEngine(server.spec).generate([Request("a", messages=turns)]))
    assert [(turn["role"], turn["content"]) for turn in server.bodies[0]["messages"]] == turns


def test_cut_answers_are_told(serve, answer_with):
    body = answer_with("cut")
    body["choices"][0]["finish_reason"] = "length"
    server = serve(lambda _: (200, body))
    [[done]] = OpenAIEngine(server.spec).generate(REQUESTS[:1])
    assert done.finish_reason == "length"


def test_no_more_than_concurrency_are_in_flight(serve, answer_with):
    state = {"now": 0, "most": 0}
    lock = threading.Lock()

    def on_chat(_):
        with lock:
            state["now"] += 1
            state["most"] = max(state.values())
        time.sleep(0.02)
        with lock:
            state["now"] -= 1
        return 200, answer_with()

    server = serve(on_chat)
    requests = [Request(str(i), str(i)) for i in range(24)]
    assert len(by_id(OpenAIEngine(server.spec, concurrency=3).generate(requests))) == 24
    assert 2 <= state["most"] <= 3


def test_no_requests_ask_no_server(closed_url):
    assert list(OpenAIEngine(f"m@{closed_url}").generate([])) == []


def test_a_server_that_is_down(closed_url):
    engine = OpenAIEngine(f"m@{closed_url}", max_retries=0)
    with pytest.raises(
        ServerError, match=f"No server answers at {closed_url} .*Refused.*correct the address"
    ) as caught:
        next(engine.generate(REQUESTS))
    assert isinstance(caught.value, EngineError)
    assert len(str(caught.value)) < 400


def test_a_server_that_never_says_what_models_it_has(serve):
    server = serve(lambda _: (200, {}), on_models=lambda: (server.release.wait(60), (200, {}))[1])
    with pytest.raises(ServerError, match=r"takes longer than 0.2 s to answer"):
        next(OpenAIEngine(server.spec, timeout=0.2, max_retries=0).generate(REQUESTS))


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key(serve, status):
    server = serve(lambda _: (200, {}), on_models=lambda: (status, {"error": {"message": "no"}}))
    with pytest.raises(ServerError, match="refuses the key; set OPENAI_API_KEY"):
        next(OpenAIEngine(server.spec).generate(REQUESTS))


@pytest.mark.parametrize(
    "models",
    [
        (404, {"detail": "Not Found"}),
        (500, b"Internal Server Error", {"Content-Type": "text/plain", "x-should-retry": "false"}),
        (200, b"<html></html>", {"Content-Type": "text/html"}),
        (200, b"{", {}),
        (200, [1], {}),
        (200, b"", {}),
    ],
)
def test_servers_that_do_not_list_models_can_answer(serve, answer_with, models):
    server = serve(lambda _: (200, answer_with()), on_models=lambda: models)
    assert by_id(OpenAIEngine(server.spec, max_retries=0).generate(REQUESTS[:1]))["TP53"].text == "fine"


def test_a_slow_answer_is_an_error_of_that_request_alone(serve, answer_with):
    def on_chat(body):
        if "INS" in body["messages"][-1]["content"]:
            server.release.wait(60)
        return 200, answer_with()

    server = serve(on_chat)
    answers = by_id(OpenAIEngine(server.spec, timeout=5, max_retries=0).generate(REQUESTS))
    assert {id: done.finish_reason for id, done in answers.items()} == {
        "TP53": "stop",
        "BRCA1": "stop",
        "CD3E": "stop",
        "INS": "error",
    }
    assert "APITimeoutError" in answers["INS"].error
    assert answers["INS"].text == ""


def test_500_is_tried_again_then_becomes_an_error(serve):
    server = serve(lambda _: (500, {"error": {"message": "out of cards"}}, {"retry-after-ms": "1"}))
    [[done]] = OpenAIEngine(server.spec, max_retries=2).generate(REQUESTS[:1])
    assert len(server.bodies) == 3
    assert done.finish_reason == "error"
    assert "out of cards" in done.error
    assert "InternalServerError" in done.error


def test_429_then_fine(serve, answer_with):
    seen = []

    def on_chat(body):
        seen.append(body)
        busy = (429, {"error": {"message": "busy"}}, {"retry-after-ms": "1"})
        return busy if len(seen) < 3 else (200, answer_with("at last"))

    server = serve(on_chat)
    [[done]] = OpenAIEngine(server.spec).generate(REQUESTS[:1])
    assert (done.text, done.error) == ("at last", None)
    assert len(seen) == 3


HTML = {"Content-Type": "text/html"}
JUNK = {
    "html": (200, b"<html><body>Welcome</body></html>", HTML),
    "empty body": (200, b""),
    "broken JSON": (200, b'{"choices": ['),
    "other shape": (200, {"result": "fine"}),
    "a list": (200, ["fine"]),
    "no choices": (200, {"choices": []}),
    "null message": (200, {"choices": [{"index": 0, "message": None}]}),
    "content in parts without text": (200, {"choices": [{"index": 0, "message": {"content": [{"type": "text"}]}}]}),
    "content of other parts": (200, {"choices": [{"index": 0, "message": {"content": ["x", 5]}}]}),
    "a number": (200, {"choices": [{"index": 0, "message": {"content": 5}}]}),
    "400": (400, {"error": "prompt too long"}),
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK.keys())
def test_junk_is_an_error_of_that_request_alone(serve, answer_with, junk):
    server = serve(lambda body: junk if "INS" in body["messages"][-1]["content"] else (200, answer_with()))
    answers = by_id(OpenAIEngine(server.spec, max_retries=0).generate(REQUESTS))
    assert (answers["INS"].finish_reason, answers["INS"].text) == ("error", "")
    assert answers["INS"].error
    assert [answers[id].text for id in ("TP53", "BRCA1", "CD3E")] == ["fine"] * 3


def refusing(*fields, status=400, words="Unsupported parameter: '{}' is not supported with this model.", **error):
    """A server that refuses fields of a request, as most do: by name."""

    def answer(body):
        for field in fields:
            if field in body:
                detail = {"message": words.format(field), "type": "invalid_request_error", **error}
                return status, {"error": detail}
        return 200, chat_answer(json.dumps({name: body[name] for name in body if name != "messages"}))

    return answer


WORDS = [
    "Unsupported parameter: '{}' is not supported with this model.",  # OpenAI
    "Unrecognized request argument supplied: {}",  # OpenAI, Azure
    "property '{}' is unsupported",  # Groq, Cerebras
    'Invalid JSON payload received. Unknown name "{}": Cannot find field.',  # Gemini
    "[{{'type': 'extra_forbidden', 'loc': ['body', '{}'], 'msg': 'Extra inputs are not permitted'}}]",  # Mistral
    "{} must be greater than or equal to 0",
]


@pytest.mark.parametrize("words", WORDS)
def test_neutral_values_that_a_server_refuses_are_left_out(serve, words, caplog):
    server = serve(refusing("repetition_penalty", "top_k", "top_p", "seed", words=words))
    engine = OpenAIEngine(server.spec, concurrency=1)
    answers = by_id(engine.generate(REQUESTS))
    assert {id: json.loads(done.text) for id, done in answers.items()} == {
        request.id: {"model": "m", "max_tokens": 512, "temperature": 0.0} for request in REQUESTS
    }
    assert len(server.bodies) == 3 + len(REQUESTS)  # what is refused is remembered
    assert not caplog.text
    list(engine.generate(REQUESTS[:1], sampling=Sampling(temperature=0.7)))
    assert "top_k" not in server.bodies[-1]


def test_words_that_are_not_called_an_error(serve):
    server = serve(
        lambda body: (
            (422, {"detail": "Unexpected fields in the request: {'repetition_penalty'}"})
            if "repetition_penalty" in body
            else (400, {"detail": "The model is asleep."})
        )
    )
    [[done]] = OpenAIEngine(server.spec).generate(REQUESTS[:1])
    assert "The model is asleep." in done.error
    assert len(server.bodies) == 2


def test_a_model_that_knows_the_newer_limit_alone_gets_that(serve):
    said = "Unsupported parameter: '{}' is not supported with this model. Use 'max_completion_tokens' instead."
    server = serve(refusing("max_tokens", words=said, param="max_tokens", code="unsupported_parameter"))
    [[done]] = OpenAIEngine(server.spec).generate(REQUESTS[:1], sampling=Sampling(max_new_tokens=7))
    assert json.loads(done.text)["max_completion_tokens"] == 7


def test_a_negative_seed_is_one_for_servers_that_take_it_for_none(serve, answer_with):
    server = serve(lambda body: (200, answer_with("x")))
    for seed in (-1, -1, -2):
        list(OpenAIEngine(server.spec).generate(REQUESTS[:1], sampling=Sampling(temperature=0.7, seed=seed)))
    first, again, other = [body["seed"] for body in server.bodies]
    assert first == again != other
    assert min(first, other) >= 0


def test_draws_without_a_seed_are_a_warning(serve, caplog):
    server = serve(refusing("seed", status=422))
    [[done]] = OpenAIEngine(server.spec).generate(REQUESTS[:1], sampling=Sampling(temperature=0.7))
    assert json.loads(done.text)["temperature"] == 0.7
    assert "takes no `seed`: sampled texts cannot be reproduced" in caplog.text


@pytest.mark.parametrize(
    ("field", "sampling"),
    [
        ("temperature", Sampling()),
        ("top_p", Sampling(temperature=1.0, top_p=0.5)),
        ("repetition_penalty", Sampling(repetition_penalty=1.2)),
        ("stop", Sampling(stop=["References"])),
    ],
)
def test_a_value_that_matters_is_never_dropped_in_silence(serve, field, sampling):
    said = "Unsupported value: '{}' does not support this value with this model. Only the default is supported."
    server = serve(refusing(field, words=said))
    [[done]] = OpenAIEngine(server.spec).generate(REQUESTS[:1], sampling=sampling)
    assert done.finish_reason == "error"
    assert f"Unsupported value: '{field}'" in done.error
    assert f". Leave it out with `extra_body={{'{field}': None}}`; on the command line" in done.error
    option = done.error.partition("--engine-option ")[2].partition("`")[0]
    assert shlex.split(option) == [f'extra_body={{"{field}": null}}']
    [[left_out]] = OpenAIEngine(server.spec, extra_body={field: None}).generate(REQUESTS[:1], sampling=sampling)
    assert field not in json.loads(left_out.text)


def test_a_prompt_that_is_too_long_is_not_taken_for_a_refused_field(serve):
    words = (
        "'max_tokens' or 'max_completion_tokens' is too large: 512. This model's maximum context length is 128 tokens."
    )
    server = serve(lambda _: (400, {"error": {"message": words}}))
    [[done]] = OpenAIEngine(server.spec).generate(REQUESTS[:1])
    assert words in done.error
    assert "Leave it out" not in done.error
    assert len(server.bodies) == 1


def test_further_fields_are_sent_and_part_of_the_description(serve, answer_with):
    server = serve(lambda _: (200, answer_with()))
    extra = {"chat_template_kwargs": {"enable_thinking": False}, "top_p": 0.9, "seed": None}
    engine = OpenAIEngine(server.spec, extra_body=extra)
    list(engine.generate(REQUESTS[:1]))
    [body] = server.bodies
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert body["top_p"] == 0.9
    assert "seed" not in body
    plain = OpenAIEngine(server.spec).describe()
    assert engine.describe() == plain | {"extra_body": json.dumps(extra, sort_keys=True)}


@pytest.fixture
def no_pauses(monkeypatch):
    monkeypatch.setattr("bftembed.engines.openai_chat._PAUSE", 0.001)


LIMIT = {"message": "Rate limit exceeded"}
ERRORS = {
    "OpenRouter": {"id": None, "choices": None, "error": {"message": "Rate limit exceeded", "code": 429}},
    "in the choice": {
        "choices": [{"index": 0, "message": {"content": ""}, "error": {"message": "Rate limit exceeded"}}]
    },
    "text": {"error": "Rate limit exceeded"},
    "FastChat": {"object": "error", "message": "Rate limit exceeded", "code": 50001},
    "FastAPI": {"detail": "Rate limit exceeded"},
    "Cloudflare": {"success": False, "errors": [{"code": 3040, "message": "Rate limit exceeded"}]},
    "MiniMax": {"choices": None, "base_resp": {"status_code": 1002, "status_msg": "Rate limit exceeded"}},
    "Google": [{"error": {"message": "Rate limit exceeded", "code": 429, "status": "RESOURCE_EXHAUSTED"}}],
    "Zhipu": {"code": 1302, "msg": "Rate limit exceeded", "success": False},
}


@pytest.mark.parametrize("body", ERRORS.values(), ids=ERRORS.keys())
def test_an_error_inside_a_200_is_told_and_tried_again_like_a_429(serve, answer_with, no_pauses, body):
    server = serve(lambda _: (200, body))
    [[done]] = OpenAIEngine(server.spec, max_retries=2).generate(REQUESTS[:1])
    assert (done.finish_reason, done.text, len(server.bodies)) == ("error", "", 3)
    assert done.error.startswith("Rate limit exceeded")
    server.on_chat = lambda _: (200, body if len(server.bodies) < 5 else answer_with("at last"))
    [[done]] = OpenAIEngine(server.spec, max_retries=2).generate(REQUESTS[:1])
    assert (done.text, done.error) == ("at last", None)


@pytest.mark.parametrize("code", [400, "401", 402, 404])
def test_a_final_error_inside_a_200_is_not_tried_again(serve, code):
    server = serve(lambda _: (200, {"error": {"message": "Insufficient credits", "code": code}}))
    [[done]] = OpenAIEngine(server.spec).generate(REQUESTS[:1])
    assert done.error == f"Insufficient credits (code {code})"
    assert len(server.bodies) == 1


def choice(message, finish="stop"):
    return {"choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", **message}}]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (choice({"content": None, "refusal": "I can't help with that."}), "the model refuses: I can't help with that."),
        (choice({"content": ""}, "content_filter"), "filter stopped the answer"),
        (choice({"content": None}, "SAFETY"), "filter stopped the answer"),
        (choice({"content": "TP53 is"}, "error"), "broke off the answer"),
        ({"choices": [], "promptFeedback": {"blockReason": "OTHER"}}, "It says: {'promptFeedback'"),
    ],
)
def test_an_answer_that_is_none_is_an_error(serve, no_pauses, body, said):
    server = serve(lambda _: (200, body))
    [[done]] = OpenAIEngine(server.spec, max_retries=1).generate(REQUESTS[:1])
    assert (done.finish_reason, done.text) == ("error", "")
    assert said in done.error


PARTS = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "A gene."}]


@pytest.mark.parametrize(
    ("body", "text", "finish"),
    [
        (choice({"content": PARTS}), "A gene.", "stop"),
        (choice({"content": "A gene.", "reasoning_content": "Hm."}), "A gene.", "stop"),
        (choice({"content": None, "reasoning_content": "Hm."}, "length"), "<think>\nHm.", "length"),
        (choice({"content": "", "reasoning": "Hm."}, "length"), "<think>\nHm.", "length"),
        (choice({"content": "A gene"}, "model_length"), "A gene", "length"),
        (choice({"content": "A gene"}, "MAX_TOKENS"), "A gene", "length"),
        (choice({"content": "Gene \ud83d encodes."}), "Gene \ud83d encodes.", "stop"),
    ],
)
def test_shapes_of_answers(serve, body, text, finish):
    server = serve(lambda _: (200, body))
    [[done]] = OpenAIEngine(server.spec).generate(REQUESTS[:1])
    assert (done.text, done.finish_reason, done.error) == (text, finish, None)


def test_half_a_surrogate_pair_in_a_prompt_breaks_no_request(serve, answer_with):
    server = serve(lambda body: (200, answer_with(body["messages"][-1]["content"])))
    [[done]] = OpenAIEngine(server.spec).generate([Request("a", "Gene \ud83d and \x00")])
    assert done.text == "Gene \ufffd and \ufffd"


def test_long_words_of_a_server_are_cut(serve):
    server = serve(lambda _: (500, b"<html>" + b"\n<p>no</p>" * 500 + b"</html>", HTML))
    [[done]] = OpenAIEngine(server.spec, max_retries=0).generate(REQUESTS[:1])
    assert len(done.error) < 600
    assert "\n" not in done.error


@pytest.mark.parametrize("usage", [None, "many", {}, {"prompt_tokens": "few"}])
def test_strange_token_counts_do_not_matter(serve, answer_with, usage):
    server = serve(lambda _: (200, answer_with("fine", usage=usage)))
    [[done]] = OpenAIEngine(server.spec).generate(REQUESTS[:1])
    assert (done.text, done.n_prompt_tokens, done.n_tokens, done.error) == ("fine", 0, 0, None)


@pytest.mark.parametrize("text", ["", None])
def test_an_empty_answer_is_an_empty_text(serve, answer_with, text):
    server = serve(lambda _: (200, answer_with(text)))
    [[done]] = OpenAIEngine(server.spec).generate(REQUESTS[:1])
    assert (done.text, done.finish_reason) == ("", "stop")


def test_gives_up_after_failures_in_a_row_and_keeps_what_came_before(serve, answer_with):
    def on_chat(body):
        fine = int(body["messages"][-1]["content"]) < 2
        return (200, answer_with()) if fine else (400, {"error": {"message": "gone"}})

    server = serve(on_chat)
    requests = [Request(str(i), str(i)) for i in range(50)]
    got = []
    with pytest.raises(EngineError, match=r"3 requests in a row failed at .*gone.*run again"):
        got.extend(
            done
            for batch in OpenAIEngine(server.spec, concurrency=1, give_up_after=3).generate(requests)
            for done in batch
        )
    assert [done.finish_reason for done in got] == ["stop", "stop", "error", "error", "error"]
    assert len(server.bodies) < 50


def test_failures_that_are_not_in_a_row_do_not_end_the_run(serve, answer_with):
    def on_chat(body):
        fine = int(body["messages"][-1]["content"]) % 2
        return (200, answer_with()) if fine else (400, {})

    requests = [Request(str(i), str(i)) for i in range(12)]
    engine = OpenAIEngine(serve(on_chat).spec, concurrency=1, give_up_after=2)
    assert len(by_id(engine.generate(requests))) == 12


def test_closing_early_waits_for_nobody(serve, answer_with):
    waited_for = []

    def on_chat(body):
        if body["messages"][-1]["content"] != "0" and not server.release.wait(20):
            waited_for.append(body)
        return 200, answer_with()

    server = serve(on_chat)
    answers = OpenAIEngine(server.spec, concurrency=4).generate([Request(str(i), str(i)) for i in range(9)])
    assert [done.id for done in next(answers)] == ["0"]
    answers.close()
    assert not waited_for
    assert not [thread for thread in threading.enumerate() if thread.name == "bftembed-openai"]


def test_an_error_of_our_own_is_not_swallowed(serve, answer_with, monkeypatch):
    def broken(*args, **options):
        raise ZeroDivisionError

    server = serve(lambda _: (200, answer_with()))
    monkeypatch.setattr("bftembed.engines.openai_chat.completion_of", broken)
    with pytest.raises(ZeroDivisionError):
        list(OpenAIEngine(server.spec).generate(REQUESTS))


def test_the_key_is_sent(serve, monkeypatch, answer_with):
    keys = []
    server = serve(lambda _: (200, answer_with()))
    handler = server.RequestHandlerClass
    reply = handler.do_POST

    def do_post(self):
        keys.append(self.headers["Authorization"])
        reply(self)

    monkeypatch.setattr(handler, "do_POST", do_post)
    list(OpenAIEngine(server.spec, api_key="secret").generate(REQUESTS[:1]))
    monkeypatch.setenv("OPENAI_API_KEY", "other")
    list(OpenAIEngine(server.spec).generate(REQUESTS[:1]))
    assert keys == ["Bearer secret", "Bearer other"]


def test_addresses(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert OpenAIEngine("m", base_url="https://host/v1").describe()["server"] == "https://host/v1"
    assert OpenAIEngine("a@b@http://host/v1").describe()["model"] == "a@b"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://other/v1")
    assert OpenAIEngine("m").describe()["server"] == "http://other/v1"
    assert OpenAIEngine("m@http://host/v1").describe()["server"] == "http://host/v1"
    with pytest.raises(InputError, match="does not name a model and a server"):
        OpenAIEngine("m@http://host/v1,other/v1")


def test_texts_are_found_again_when_servers_are_added(tmp_path, serve, answer_with):
    one, two = (serve(lambda _: (200, answer_with())) for _ in range(2))
    entities = [Entity("gene", "TP53", {}), Entity("gene", "INS", {})]

    def generated(spec, **options):
        engine = OpenAIEngine(spec, max_retries=0, **options)
        with ProfileStore(tmp_path / "store.sqlite") as store:
            return write_profiles(entities, engine, store=store).counts["generated"]

    assert generated(f"m@{one.url}") == 2
    assert generated(f"m@{one.url},{two.url}") == 0
    assert generated(f"m@{two.url},{one.url}") == 0
    assert generated(f"m@{one.url}", server="ours") == 0
    assert generated(f"other@{one.url},{two.url}") == 2
    assert generated(f"m@{two.url}") == 2  # it may be another model of that name
    assert generated(f"m@{two.url}", server="cluster", extra_body={"top_k": 1}) == 2
    assert generated("m@http://elsewhere/v1", server="cluster", extra_body={"top_k": 1}) == 0


def test_addresses_that_the_key_does_not_say_are_told():
    assert OpenAIEngine("m@http://host/v1").provenance() == {}
    assert OpenAIEngine("m@http://a/v1,http://b/v1").describe()["server"] == "http://a/v1"
    assert OpenAIEngine("m@http://a/v1, http://b/v1").provenance() == {"servers": "http://a/v1, http://b/v1"}
    assert OpenAIEngine("m@http://a/v1", server="ours").provenance() == {"servers": "http://a/v1"}


@pytest.mark.parametrize("spec", ["m", "m@ftp://host", "@http://host/v1", ""])
def test_a_spec_without_model_or_server_is_refused(monkeypatch, spec):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(InputError, match="does not name a model and a server"):
        OpenAIEngine(spec)


@pytest.mark.parametrize("bad", ["concurrency", "give_up_after"])
def test_sizes_below_one_are_refused(bad):
    with pytest.raises(InputError, match=f"{bad} must be at least 1, got 0"):
        OpenAIEngine("m@http://host/v1", **{bad: 0})


def test_fields_that_are_no_mapping_are_refused():
    with pytest.raises(InputError, match="extra_body is a mapping"):
        OpenAIEngine("m@http://host/v1", extra_body="temperature")
