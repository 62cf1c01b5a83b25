"""Options scored by servers: stand-ins around the tiny model, each with what one kind of server has, and real ones."""

import importlib.util
import itertools
import math
import os
import sys
import time
import warnings

import pytest

from bftembed.engines import OpenAIEngine, Request, Sampling, Scored, TransformersEngine
from bftembed.engines.openai_logprobs import from_first_tokens
from bftembed.errors import BftembedWarning, EngineError

CHATS = [
    Request("chat", "Is TP53 a kinase? A) yes B) no"),
    Request("prefix", "Is TP53 a kinase?", prefix="Answer:"),
    Request("space", "Is TP53 a kinase?", prefix="Answer: "),
    Request("dialogue", messages=[("user", "Name a kinase."), ("assistant", "EGFR."), ("user", "Another one?")]),
]
RAW = [Request("raw", raw="The answer is"), Request("umlaut", raw="Gen für 😀:")]
LETTERS = [" A", " B", " C", " D"]
WORDS = ["no", "no change", " increases strongly", "é😀", " A"]


def by_id(batches):
    return {done.id: done for batch in batches for done in batch}


def scored(server_or_spec, requests, options, *, end=False, **given):
    spec = getattr(server_or_spec, "spec", server_or_spec)
    return by_id(OpenAIEngine(spec, max_retries=0, **given).score_many(requests, options, end=end))


def local(engine, requests, options, *, end=False):
    """Scores by this process, which warns where an option joins the last token of its prompt."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BftembedWarning)
        return by_id(engine.score_many(requests, options, end=end))


def equal(found, expected):
    assert found.keys() == expected.keys()
    for id, here in expected.items():
        there = found[id]
        assert (there.status, there.error, there.n_prompt_tokens) == ("ok", None, here.n_prompt_tokens), id
        for one, other in zip(there.options, here.options, strict=True):
            assert (one.n_tokens, one.is_greedy, one.censored) == (other.n_tokens, other.is_greedy, False), id
            assert one.logprob == pytest.approx(other.logprob, abs=1e-4), id


class Tiny:
    """What servers do with a model and its tokenizer."""

    def __init__(self, directory, window=512):
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(directory)
        self.model = AutoModelForCausalLM.from_pretrained(directory, dtype="float32")
        self.window = window

    def logprobs(self, ids):
        import torch

        with torch.inference_mode():
            return self.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)

    def rendered(self, body):
        return self.tokenizer.apply_chat_template(
            body["messages"],
            tokenize=False,
            add_generation_prompt=body.get("add_generation_prompt", True),
            continue_final_message=body.get("continue_final_message", False),
        )

    def ids(self, body):
        if "messages" in body:
            return self.tokenizer(self.rendered(body), add_special_tokens=False)["input_ids"]
        return self.tokenizer(body["prompt"])["input_ids"]

    def tokenize(self, body):
        ids = self.ids(body)
        return 200, {"tokens": ids, "count": len(ids), "max_model_len": self.window}

    def detokenize(self, body):
        return 200, {"prompt": self.tokenizer.decode(body["tokens"])}

    def complete(self, body):
        """``/v1/completions`` as vLLM has it, for tokens or text, with echo, `logprobs` and `logprob_token_ids`."""
        prompts = body["prompt"]
        prompts = [prompts] if isinstance(prompts, str) or isinstance(prompts[0], int) else prompts
        return 200, {"choices": [self.choice(i, prompt, body) for i, prompt in enumerate(prompts)], "usage": None}

    def choice(self, index, prompt, body):
        ids = self.ids({"prompt": prompt}) if isinstance(prompt, str) else list(prompt)
        assert len(ids) < self.window
        table = self.logprobs(ids)
        new = [int(table[-1].argmax())] if body["max_tokens"] else []
        listed = [*ids, *new] if body.get("echo") else new
        rows = [None, *table] if body.get("echo") else [table[-1]]
        named = body.get("return_tokens_as_token_ids")
        name = (lambda token: f"token_id:{token}") if named else self.tokenizer.decode
        pieces = [name(token) for token in listed] if named else self.pieces(listed)
        tokens, values, tops, offsets, at = [], [], [], [], 0
        for token, piece, row in zip(listed, pieces, rows, strict=False):
            tokens.append(piece)
            offsets.append(at)
            at += len(tokens[-1])
            if row is None:
                values.append(None)
                tops.append(None)
                continue
            likely = body.get("logprob_token_ids") or row.topk(body["logprobs"]).indices.tolist()
            values.append(float(row[token]))
            tops.append({piece: float(row[token])} | {name(each): float(row[each]) for each in likely})
        logprobs = {"tokens": tokens, "token_logprobs": values, "top_logprobs": tops, "text_offset": offsets}
        return {"index": index, "text": "", "finish_reason": "length", "logprobs": logprobs}

    def pieces(self, ids):
        """Text of each token; what begins a character of several tokens is empty, as in vLLM."""
        so_far = [self.tokenizer.decode(ids[:n]) for n in range(len(ids) + 1)]
        whole = [text.removesuffix("\ufffd") for text in so_far]
        return [text[len(before) :] for before, text in itertools.pairwise(whole)]

    def chat(self, body):
        ids = self.ids(body)
        row = self.logprobs(ids)[-1]
        top = [
            {"token": self.tokenizer.decode(token), "logprob": float(row[token]), "bytes": []}
            for token in row.topk(body.get("top_logprobs", 1)).indices.tolist()
        ]
        choice = {"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": top[0]["token"]}}
        if body.get("logprobs"):
            choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
        usage = {"prompt_tokens": len(ids), "completion_tokens": 1, "total_tokens": len(ids) + 1}
        return 200, {"choices": [choice], "usage": usage}


@pytest.fixture(scope="module")
def tiny(tiny_model):
    return Tiny(tiny_model)


@pytest.fixture(scope="module")
def here(tiny_model):
    return TransformersEngine(str(tiny_model))


def missing(_):
    return 404, {"detail": "Not Found"}


@pytest.fixture
def like_vllm(serve, tiny):
    server = serve(tiny.chat)
    server.on_path = {
        "/tokenize": tiny.tokenize,
        "/detokenize": tiny.detokenize,
        "/v1/completions": tiny.complete,
    }
    return server


@pytest.fixture
def echoing(serve, tiny):
    """A server that echoes text, and tokenises for nobody."""
    server = serve(missing)
    server.on_path = {"/v1/completions": tiny.complete}
    return server


@pytest.fixture
def chatting(serve, tiny):
    """A server that names the likeliest tokens of an answer."""
    server = serve(missing)
    server.on_path = {"/v1/chat/completions": tiny.chat}
    return server


def asked(server, field="max_tokens"):
    return [body for body in server.bodies if field in body]


@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize("options", [LETTERS, WORDS, ["A", "B"]])
def test_a_server_like_vllm_scores_as_this_process_does(like_vllm, here, options, end):
    requests = CHATS if end else [*CHATS, *RAW]
    expected = local(here, requests, options, end=end)
    equal(scored(like_vllm, requests, options, end=end), expected)


def test_options_of_one_token_cost_one_request_for_all(like_vllm):
    scored(like_vllm, CHATS[:2], LETTERS)
    assert [body["max_tokens"] for body in asked(like_vllm)] == [1, 1]
    assert [len(body["logprob_token_ids"]) for body in asked(like_vllm)] == [4, 4]


def test_options_of_several_tokens_cost_one_request_for_all(like_vllm, tiny):
    scored(like_vllm, CHATS[:1], WORDS)
    [body] = asked(like_vllm)
    ids = [tiny.tokenizer(word)["input_ids"] for word in WORDS]
    beginnings = {tuple(each[:n]) for each in ids for n in range(len(each))}
    assert ("echo" not in body, len(body["prompt"])) == (True, len(beginnings))


def test_many_options_are_asked_for_in_parts(like_vllm, here, monkeypatch):
    monkeypatch.setattr("bftembed.engines.openai_scoring._MOST_PROMPTS", 2)
    equal(scored(like_vllm, CHATS[:1], WORDS), local(here, CHATS[:1], WORDS))
    assert len(asked(like_vllm)) > 2
    assert max(len(body["prompt"]) for body in asked(like_vllm)) == 2


def test_a_server_that_ignores_the_tokens_asked_for_is_asked_for_an_echo(like_vllm, tiny, here):
    def old(body):
        return tiny.complete({name: value for name, value in body.items() if name != "logprob_token_ids"})

    like_vllm.on_path["/v1/completions"] = old
    equal(scored(like_vllm, CHATS, LETTERS, concurrency=1), local(here, CHATS, LETTERS))
    assert [body.get("echo", False) for body in asked(like_vllm)] == [False, *[True] * len(CHATS)]


def test_an_option_that_joins_the_prompt_is_told_once(like_vllm, caplog):
    scored(like_vllm, [CHATS[2], Request("other", "Is INS?", prefix="Answer: ")], ["A", "B"])
    assert caplog.text.count("joins the last token of its prompt") == 1


@pytest.mark.parametrize("options", [LETTERS, WORDS])
def test_what_does_not_fit_is_too_long(serve, tiny_model, options):
    tiny = Tiny(tiny_model, window=60)
    server = serve(missing)
    server.on_path = {"/tokenize": tiny.tokenize, "/v1/completions": tiny.complete}
    longest = max(len(tiny.tokenizer(option)["input_ids"]) for option in options)
    lengths = sorted({60 - longest, 60 - longest + 1, 60, 300})
    found = scored(server, [Request(str(n), raw="a" + " b" * (n - 1)) for n in lengths], options)
    assert [found[str(n)].status for n in lengths] == ["ok", *["too_long"] * (len(lengths) - 1)]
    assert found["60"].error.startswith("prompt and longest option (60 +")


def test_the_words_of_servers_for_what_is_too_long(serve):
    words = [
        "This model's maximum context length is 512 tokens. However, your prompt contains 1850 input tokens.",
        "the request exceeds the available context size (512 tokens), try increasing it",
        "The decoder prompt (length 512) plus the output is longer than the maximum model length of 512.",
    ]
    for each in words:
        found = scored(serve(lambda _, each=each: (400, {"error": {"message": each}})), CHATS[:1], LETTERS)
        assert found["chat"].status == "too_long", each
    other = scored(serve(lambda _: (400, {"error": {"message": "no such model"}})), CHATS[:1], LETTERS)
    assert (other["chat"].status, "no such model" in other["chat"].error) == ("error", True)


@pytest.mark.parametrize(
    "fault",
    [
        (429, {"error": {"message": "You exceeded your rate limit."}}),
        (504, {"error": {"message": "The server took too long to answer."}}),
        (200, {"error": {"message": "You exceeded your limit of requests.", "code": 429}}),
    ],
)
def test_a_busy_server_says_nothing_of_the_prompt(serve, fault):
    """Errors are asked for again, and prompts that are too long never."""
    found = scored(serve(lambda _: fault), CHATS[:1], LETTERS)["chat"]
    assert (found.status, fault[1]["error"]["message"].rstrip(".") in found.error) == ("error", True)


def test_what_hangs_is_waited_for_by_all_at_once(serve):
    def slow(_):
        time.sleep(0.3)
        return 500, {}

    server = serve(slow)
    found = scored(server, [Request(str(n), f"question {n}") for n in range(8)], LETTERS, concurrency=8)
    assert [one.status for one in found.values()] == ["error"] * 8
    assert [body["prompt"] for body in server.bodies] == ["probe"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_gateway_that_refuses_unknown_addresses(chatting, status):
    chatting.on_chat = lambda _: (status, {"message": "Missing Authentication Token"})
    found = scored(chatting, CHATS[:1], LETTERS)["chat"]
    assert (found.status, found.error) == ("ok", None)


def test_a_server_that_counts_no_tokens(serve, tiny):
    def chat(body):
        status, answer = tiny.chat(body)
        return status, {**answer, "usage": {"prompt_tokens": None, "completion_tokens": None}}

    server = serve(missing)
    server.on_path = {"/v1/chat/completions": chat}
    found = scored(server, CHATS[:1], LETTERS)["chat"]
    assert (found.status, found.n_prompt_tokens) == ("ok", 0)


@pytest.mark.parametrize("options", [LETTERS, WORDS, ["A", "B"]])
def test_raw_text_is_scored_by_an_echo_of_text(echoing, here, options):
    expected = local(here, RAW, options)
    equal(scored(echoing, RAW, options), expected)
    assert all(body["max_tokens"] == 1 for body in asked(echoing))


def test_a_token_that_straddles_the_end_of_the_prompt_is_scored_with_all_options(echoing, tiny):
    """`` is`` and ``land`` are one token `` island``: all options of the prompt are scored from before it."""
    prompt, options = "The name of the is", ["land", " big"]
    whole = [tiny.tokenizer(prompt + option)["input_ids"] for option in options]
    n = len(tiny.tokenizer(prompt)["input_ids"]) - 1
    assert len(whole[0]) == n + 1  # joined
    found = scored(echoing, [Request("a", raw=prompt)], options)["a"]
    for option, ids in zip(found.options, whole, strict=True):
        table = tiny.logprobs(ids)
        expected = sum(float(table[i - 1, ids[i]]) for i in range(n, len(ids)))
        assert (option.logprob, option.n_tokens) == (pytest.approx(expected, abs=1e-4), len(ids) - n)


def test_likeliest_first_tokens_tell_some_options_and_bound_the_others(chatting, tiny, here):
    [request] = CHATS[:1]
    row = tiny.logprobs(tiny.ids({"messages": request.chat}))[-1]
    best = [tiny.tokenizer.decode(token) for token in row.topk(3).indices.tolist()]
    options = [*best, best[0] + " and more", "unlikely words"]
    found = scored(chatting, [request], options)["chat"]
    assert found.n_prompt_tokens == len(tiny.ids({"messages": request.chat}))
    for place, option in enumerate(found.options[:3]):
        assert (option.censored, option.is_greedy) == (False, place == 0)
        assert option.logprob == pytest.approx(float(row.topk(3).values[place]), abs=1e-5)
    assert [option.censored for option in found.options[3:]] == [True, True]
    exact = local(here, [request], options)["chat"]
    for bound, true in zip(found.options[3:], exact.options[3:], strict=True):
        assert bound.logprob >= true.logprob
    [body] = [body for body in chatting.bodies if body.get("logprobs")]
    assert (body["max_tokens"], body["top_logprobs"], body["temperature"]) == (1, 20, 0)


def test_a_prefix_is_gone_on_with_before_the_first_token(chatting, tiny):
    row = tiny.logprobs(tiny.tokenizer(tiny.rendered({"messages": CHATS[1].chat}) + "Answer:")["input_ids"])[-1]
    found = scored(chatting, CHATS[1:2], [tiny.tokenizer.decode(int(row.argmax()))])["prefix"].options[0]
    assert (found.censored, found.is_greedy) == (False, True)
    assert found.logprob == pytest.approx(float(row.max()), abs=1e-5)


def test_a_server_that_names_fewer_tokens_is_asked_for_fewer(serve, tiny):
    def at_most_five(body):
        if body["top_logprobs"] > 5:
            return 400, {"error": {"message": "top_logprobs must be between 0 and 5"}}
        return tiny.chat(body)

    server = serve(missing)
    server.on_path = {"/v1/chat/completions": at_most_five}
    requests = [Request(str(i), f"question {i}") for i in range(3)]
    found = scored(server, requests, LETTERS, concurrency=1)
    assert {done.status for done in found.values()} == {"ok"}
    assert [body["top_logprobs"] for body in asked(server, "top_logprobs")] == [20, 5, 5, 5]


def test_llama_cpp_tells_raw_text_in_the_form_of_chats(serve, tiny):
    def complete(body):
        assert not body.get("echo") or body["logprobs"] == 1
        return tiny.chat(
            {"messages": [{"role": "user", "content": body["prompt"]}], "logprobs": True, "top_logprobs": 9}
        )

    server = serve(missing)
    server.on_path = {"/tokenize": lambda _: (200, {"tokens": []}), "/v1/completions": complete}
    found = scored(server, RAW, LETTERS)
    assert all(done.status == "ok" and option.censored for done in found.values() for option in done.options)


@pytest.mark.parametrize("requests", [CHATS[:1], RAW[:1]])
def test_a_server_without_logprobs_ends_the_run(serve, answer_with, requests):
    server = serve(lambda _: (200, answer_with()))
    with pytest.raises(EngineError, match=f"{server.url} tells no log-probabilities.*`transformers` and `vllm`"):
        scored(server, requests, LETTERS)


def test_transformers_serve_tells_none(real_server, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(EngineError, match="tells no log-probabilities"):
        list(OpenAIEngine(real_server).score_many(CHATS[:1], LETTERS))


def test_an_end_that_nobody_tells_ends_the_run(like_vllm, chatting):
    with pytest.raises(EngineError, match="does not tell which token ends an answer: score without `end`"):
        scored(chatting, CHATS[:1], LETTERS, end=True)
    with pytest.raises(EngineError, match="does not tell which token ends a text: score raw text without `end`"):
        scored(like_vllm, RAW[:1], LETTERS, end=True)


@pytest.mark.parametrize(
    "junk",
    [(200, b"<html></html>"), (500, {}), (200, {"choices": []}), (200, {"error": {"message": "busy", "code": 503}})],
)
def test_junk_is_an_error_of_that_request_alone(like_vllm, tiny, junk):
    like_vllm.on_path["/v1/completions"] = lambda body: junk if len(body["prompt"][0]) > 200 else tiny.complete(body)
    found = scored(like_vllm, [*CHATS[:1], Request("long", raw="a b " * 120)], [" A", " B"])
    assert (found["chat"].status, found["long"].status, found["long"].options) == ("ok", "error", ())
    assert found["long"].error


def test_two_servers_score_and_one_that_fails_is_left_out(like_vllm, serve, here, caplog):
    broken = serve(lambda _: (500, {}))
    requests = [Request(str(i), f"question {i}") for i in range(12)]
    found = scored(f"m@{broken.url},{like_vllm.url}", requests, LETTERS, concurrency=2)
    equal(found, local(here, requests, LETTERS))
    assert f"the server at {broken.url}" in caplog.text


def test_bounds_of_tokens_that_begin_an_option():
    told = [(" increases", -0.5), (" A", -1.0), ("", -1.5), (" in", -2.0), (" B", -3.0)]
    options = [" A", " increases", " increase", " decreases", " B", " Bad"]
    assert from_first_tokens(told, options) == (
        Scored(-1.0, 1, is_greedy=False),
        Scored(-0.5, 1, is_greedy=True),
        Scored(-2.0, 1, is_greedy=False, censored=True),
        Scored(-3.0, 1, is_greedy=False, censored=True),
        Scored(-3.0, 1, is_greedy=False),
        Scored(-3.0, 1, is_greedy=False, censored=True),
    )
    assert all(math.isfinite(option.logprob) for option in from_first_tokens(told, options))


@pytest.fixture(scope="module")
def vllm_server(model_dir, tmp_path_factory, free_port, server_process, random_llama):
    """A real server of vLLM; gives ``MODEL@URL`` and the model's directory."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vllm is missing: `make test-vllm` runs this test")
    from transformers import AutoTokenizer

    # vLLM's kernels for CPUs know no heads smaller than 32
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    directory = random_llama(tmp_path_factory.mktemp("served") / "model", 32, tokenizer)
    port, log = free_port(), directory.parent / "log.txt"
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", directory, "--port", str(port)]
    command += ["--host", "127.0.0.1", "--served-model-name", "m", "--dtype", "float32", "--enforce-eager"]
    command += ["--kv-cache-memory-bytes", str(1 << 28)]
    environment = {**os.environ, "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_NO_USAGE_STATS": "1"}
    with server_process(command, port, log, environment):
        yield f"m@http://127.0.0.1:{port}/v1", directory


@pytest.mark.filterwarnings("default")
def test_a_server_of_vllm_scores_and_goes_on_as_this_process_does(vllm_server, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    spec, directory = vllm_server
    here = TransformersEngine(str(directory))
    many = [Request(f"{gene} {i}", f"What does {gene} do?") for gene in ["TP53", "INS"] for i in range(30)]
    for options in (LETTERS, WORDS):
        for requests, end in (([*CHATS, *RAW, *many], False), (CHATS, True)):
            expected = local(here, requests, options, end=end)
            equal(scored(spec, requests, options, end=end), expected)
    beyond = scored(spec, [Request("beyond", raw="a b " * 300), Request("full", raw="a" + " b" * 511)], LETTERS)
    assert {done.status for done in beyond.values()} == {"too_long"}
    just = [Request("just", raw="a" + " b" * 510)]
    equal(scored(spec, just, LETTERS), local(here, just, LETTERS))
    sampling = Sampling(max_new_tokens=16)
    there = by_id(OpenAIEngine(spec).generate([CHATS[1], RAW[0]], sampling=sampling))
    expected = by_id(here.generate([CHATS[1], RAW[0]], sampling=sampling))
    assert {id: (done.text, done.error) for id, done in there.items()} == {
        id: (done.text, done.error) for id, done in expected.items()
    }
