"""Beginnings of answers: servers that go on with them in the ways of public servers, and servers that do not."""

import pytest

from bftembed.engines import OpenAIEngine, Request

REQUESTS = [Request(str(i), f"question {i}", prefix="Answer:") for i in range(5)]


class Template:
    """A server with a ChatML-like template, one token for each word; it says what the model would read."""

    def __init__(self, way):
        self.way = way

    def __call__(self, body):
        messages = body["messages"]
        prompt = [token for turn in messages for token in ("<start>", turn["role"], *turn["content"].split(), "<end>")]
        last = messages[-1]
        continued = False
        if last["role"] == "assistant":
            fields = body.get("continue_final_message") is True and body.get("add_generation_prompt") is False
            continued = {
                "vllm": fields,
                "mistral": last.get("prefix") is True,
                "deepseek": last.get("prefix") is True,
                "llama.cpp": True,
                "anew": False,
                "strict": False,
                "drops": False,
            }[self.way]
            unknown = "continue_final_message" in body or "prefix" in last
            if (self.way == "strict" and unknown) or (self.way in {"mistral", "deepseek"} and not continued):
                return 400, {"error": {"message": "Expected last role User (or Assistant with prefix True)"}}
            if self.way == "drops":
                prompt = prompt[: -3 - len(last["content"].split())]
        prompt = prompt[:-1] if continued else [*prompt, "<start>", "assistant"]
        said = f"{last['content']} and so on" if self.way == "mistral" and continued else "and so on"
        usage = {"prompt_tokens": len(prompt), "completion_tokens": 3, "total_tokens": len(prompt) + 3}
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
        return 200, {"choices": [choice], "usage": usage, "continued": continued}


@pytest.mark.parametrize("way", ["vllm", "mistral", "deepseek", "llama.cpp"])
def test_servers_that_go_on_are_told_how(serve, way):
    template = Template(way)
    server = serve(template)
    answers = [done for batch in OpenAIEngine(server.spec, concurrency=2).generate(REQUESTS) for done in batch]
    assert [(done.text.strip(), done.error) for done in answers] == [("and so on", None)] * 5
    asked = [body for body in server.bodies if body["messages"][0]["content"].startswith("question")]
    assert len(asked) == 5
    assert all(template(body)[1]["continued"] for body in asked)
    assert all(body["messages"][-1]["content"] == "Answer:" for body in asked)
    assert len(server.bodies) <= 5 + 5  # what the server can do is asked once


@pytest.mark.parametrize("way", ["anew", "strict", "drops"])
def test_a_server_that_would_answer_anew_is_not_asked(serve, way):
    server = serve(Template(way))
    answers = [done for batch in OpenAIEngine(server.spec).generate(REQUESTS) for done in batch]
    assert {done.finish_reason for done in answers} == {"error"}
    assert all(f"The server at {server.url} does not go on with a `prefix`" in done.error for done in answers)
    assert not [body for body in server.bodies if "question" in str(body["messages"])]


def test_a_server_that_counts_no_tokens_is_not_trusted(serve, answer_with):
    server = serve(lambda _: (200, answer_with(usage=None)))
    [[done]] = OpenAIEngine(server.spec).generate(REQUESTS[:1])
    assert "does not go on with a `prefix`" in done.error


def test_of_two_servers_the_one_that_goes_on_answers(serve):
    servers = [serve(Template("anew")), serve(Template("vllm"))]
    spec = "m@" + ",".join(server.url for server in servers)
    answers = [done for batch in OpenAIEngine(spec, concurrency=1).generate(REQUESTS) for done in batch]
    assert [done.text for done in answers] == ["and so on"] * 5


def test_a_server_that_fails_while_it_is_asked_how_is_asked_again(serve):
    template, seen = Template("vllm"), []

    def first_fails(body):
        seen.append(body)
        return (500, {}) if len(seen) == 1 else template(body)

    server = serve(first_fails)
    engine = OpenAIEngine(server.spec, concurrency=1, max_retries=0)
    answers = {done.id: done for batch in engine.generate(REQUESTS) for done in batch}
    assert sorted(done.error is None for done in answers.values()) == [False, True, True, True, True]
