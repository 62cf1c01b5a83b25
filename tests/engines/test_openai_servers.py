"""Several servers that share requests: real processes that are killed, and stand-ins that misbehave."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from bftembed.engines import OpenAIEngine, Request
from bftembed.errors import EngineError, ServerError
from bftembed.profiles import ProfileStore
from bftembed.profiles.entity import Entity
from bftembed.profiles.write import write_profiles

REQUESTS = [Request(str(i), f"question {i}") for i in range(40)]


class Process:
    """A server in a process of its own."""

    def __init__(self, port, log, seconds=0.02):
        self.url, self.log = f"http://127.0.0.1:{port}/v1", log
        script = Path(__file__).with_name("answering_server.py")
        self.process = subprocess.Popen([sys.executable, script, str(port), log, str(seconds)])
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except ConnectionRefusedError:
                assert self.process.poll() is None
                time.sleep(0.05)

    @property
    def answered(self):
        return self.log.read_text().splitlines() if self.log.exists() else []

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def start(tmp_path, monkeypatch, free_port):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    started = []

    def process(port=None, **options):
        started.append(Process(port or free_port(), tmp_path / f"{len(started)}.log", **options))
        return started[-1]

    yield process
    for each in started:
        each.kill()


def spec_of(*servers):
    return "m@" + ",".join(server.url for server in servers)


def answered(spec, requests=REQUESTS, **options):
    """Answers by id; none is given twice."""
    engine = OpenAIEngine(spec, **{"max_retries": 0, "concurrency": 4, **options})
    got = [done for batch in engine.generate(requests) for done in batch]
    assert len({done.id for done in got}) == len(got)
    return {done.id: done for done in got}


def fine(answer_with):
    return lambda body: (200, answer_with("fine " + body["messages"][-1]["content"]))


def all_fine(answers, requests=REQUESTS):
    assert {id: (done.text, done.error) for id, done in answers.items()} == {
        request.id: (f"fine {request.user}", None) for request in requests
    }


def test_a_killed_server_loses_and_doubles_nothing(start, caplog):
    one, two = start(), start()
    got = []
    for batch in OpenAIEngine(spec_of(one, two), concurrency=4, max_retries=1).generate(REQUESTS):
        got += batch
        if len(got) == 10:
            one.kill()
    assert Counter(done.id for done in got) == Counter(request.id for request in REQUESTS)
    assert all(done.text == f"about question {done.id}" for done in got)
    assert f"Left out for the rest of this run, after 3 failures in a row: the server at {one.url}" in caplog.text
    assert two.url not in caplog.text
    assert one.answered
    assert len(two.answered) > 20
    assert max(Counter(two.answered).values()) == 1


def test_all_servers_killed_and_started_again(start, tmp_path):
    entities = [Entity("gene", f"G{i}", {}) for i in range(30)]
    one, two = start(), start()

    def kill_both():
        while len(one.answered) + len(two.answered) < 8:
            time.sleep(0.01)
        one.kill()
        two.kill()

    engine = OpenAIEngine(spec_of(one, two), concurrency=2, max_retries=0, give_up_after=3)
    with ProfileStore(tmp_path / "store.sqlite") as store:
        killer = threading.Thread(target=kill_both)
        killer.start()
        with pytest.raises(EngineError, match=f"requests in a row failed at {one.url}, {two.url}, .*run again"):
            write_profiles(entities, engine, store=store)
        killer.join()
        kept = int((store.frame()["status"] == "ok").sum())
        before = Counter(one.answered) + Counter(two.answered)
        assert 0 < kept <= before.total() < 30
        three = start(port=int(one.url.rpartition(":")[2].removesuffix("/v1")))
        result = write_profiles(entities, engine, store=store)  # the second one is still dead
    assert all(profile.status == "ok" for profile in result.profiles)
    assert len(three.answered) == 30 - kept


def test_both_take_requests_and_a_free_one_takes_more(serve, answer_with):
    def slow(body):
        """Answer after five more of the other one, or when nothing is left."""
        seen = len(two.bodies)
        while len(two.bodies) < seen + 5 and len(one.bodies) + len(two.bodies) < 40:
            time.sleep(0.005)
        return fine(answer_with)(body)

    one, two = serve(slow), serve(fine(answer_with))
    all_fine(answered(spec_of(one, two), concurrency=1))
    assert len(one.bodies) + len(two.bodies) == 40
    assert 1 <= len(one.bodies) <= 8


@pytest.mark.parametrize(
    "fault",
    [
        (500, {"error": {"message": "out of cards"}}),
        (404, {"detail": "Not Found"}),
        (401, {"error": {"message": "no key"}}),
        (200, b"<html>Welcome</html>"),
        (200, {"error": {"message": "broken", "code": 500}}),
    ],
    ids=["500", "404", "401", "html", "error in a 200"],
)
def test_a_server_that_always_fails_is_left_out_and_named(serve, answer_with, caplog, fault):
    one, two = serve(lambda _: fault), serve(fine(answer_with))
    all_fine(answered(spec_of(one, two)))
    assert f"the server at {one.url}, the last with" in caplog.text
    assert len(one.bodies) < 12


def test_a_server_that_hangs_is_left_out(serve, answer_with, caplog):
    one = serve(lambda _: one.release.wait(60) and (200, answer_with()))
    two = serve(fine(answer_with))
    all_fine(answered(spec_of(one, two), timeout=1.0, max_retries=4))
    assert f"{one.url}, the last with: no answer of {one.url} within 1 s" in caplog.text


def test_a_taken_port_is_no_server(serve, answer_with, caplog, monkeypatch):
    """Something else listens there: it accepts, and says nothing that is HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as taken:

        def reply():
            while True:
                try:
                    with taken.accept()[0] as connection:
                        connection.recv(1000)
                        connection.sendall(b"220 mail.example.org ESMTP\r\n")
                except OSError:
                    return

        threading.Thread(target=reply, daemon=True).start()
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        two = serve(fine(answer_with))
        all_fine(answered(f"m@{url},{two.url}"))
        assert f"Left out: No server answers at {url} (" in caplog.text
        taken.shutdown(socket.SHUT_RDWR)


def test_a_wrong_address_is_left_out_from_the_start(serve, answer_with, closed_url, caplog):
    two = serve(fine(answer_with))
    all_fine(answered(f"m@{closed_url},{two.url}"))
    assert f"Left out: No server answers at {closed_url} (" in caplog.text


def test_no_server_answers(closed_url, serve):
    refusing = serve(lambda _: (200, {}), on_models=lambda: (401, {}))
    with pytest.raises(ServerError, match=f"No server answers at {closed_url} .*{refusing.url} refuses the key"):
        answered(f"m@{closed_url},{refusing.url}")


def listing(*models):
    return lambda: (200, {"object": "list", "data": [{"object": "model", **model} for model in models]})


def test_a_server_of_another_model_is_left_out(serve, answer_with, caplog):
    one = serve(fine(answer_with), on_models=listing({"id": "other"}))
    two = serve(fine(answer_with), on_models=listing({"id": "m"}))
    all_fine(answered(spec_of(one, two)))
    assert f"Left out: The server at {one.url} does not serve `m`, but other." in caplog.text
    assert not one.bodies


def test_names_that_no_server_lists_are_no_reason(serve, answer_with, caplog):
    """llama.cpp answers to any name."""
    servers = [serve(fine(answer_with), on_models=listing({"id": "file.gguf"})) for _ in range(2)]
    all_fine(answered(spec_of(*servers)))
    assert "Left out" not in caplog.text


def test_windows_that_differ_are_told_and_a_prompt_goes_where_it_fits(serve, answer_with, caplog):
    def short(body):
        fits = not body["messages"][-1]["content"].endswith("7")
        return fine(answer_with)(body) if fits else (400, {"error": {"message": "maximum context length is 8"}})

    one = serve(short, on_models=listing({"id": "m", "max_model_len": 8}))
    two = serve(fine(answer_with), on_models=listing({"id": "m", "max_model_len": 4096}))
    all_fine(answered(spec_of(one, two)))
    assert f"prompts of different lengths: 8 tokens at {one.url}, 4096 tokens at {two.url}" in caplog.text
    assert "Left out" not in caplog.text


def test_a_request_that_fails_everywhere_fails_once_and_costs_no_server(serve, answer_with, caplog):
    def poisoned(body):
        return (500, {}) if body["messages"][-1]["content"] == "question 5" else fine(answer_with)(body)

    one, two = serve(poisoned), serve(poisoned)
    answers = answered(spec_of(one, two), concurrency=1)
    assert answers.pop("5").finish_reason == "error"
    all_fine(answers, [request for request in REQUESTS if request.id != "5"])
    assert len(one.bodies) + len(two.bodies) == 41
    assert not caplog.text


def test_the_last_server_is_not_left_out(serve, caplog):
    one, two = serve(lambda _: (500, {})), serve(lambda _: (500, {}))
    answers = answered(spec_of(one, two), give_up_after=100)
    assert {done.finish_reason for done in answers.values()} == {"error"}
    assert len(answers) == 40
    assert caplog.text.count("Left out") == 1


@pytest.mark.parametrize("where", ["models", "chats"])
def test_an_interrupt_waits_for_no_server(serve, where):
    def hang(*_):
        server.release.wait(60)
        return 200, {}

    server = serve(hang, **({"on_models": hang} if where == "models" else {}))
    other = serve(hang)
    threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        answered(spec_of(server, other), timeout=1000)
    assert not [thread for thread in threading.enumerate() if thread.name == "bftembed-openai"]
    assert not server.release.is_set()
