"""The harness' own tasks and its own model, beside `EngineLM`: they run where lm-eval is installed."""

import json
import re
from pathlib import Path

import pytest
import yaml

from bftembed import data
from bftembed.bench import find_tasks
from bftembed.bench.asking.asker import Asker
from bftembed.engines import AnswerStore, Engine, OpenAIEngine, TransformersEngine
from bftembed.engines.values import Completion, Scored, Scores
from bftembed.errors import EngineError, InputError

lm_eval = pytest.importorskip("lm_eval", reason="pip install 'bftembed[lm-eval]'")

from lm_eval.api.instance import Instance  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

from bftembed.engines import EngineLM  # noqa: E402

N = 32


def asked(kind, *arguments):
    return [Instance(kind, {}, each, 0, ("a_task", n, 1)) for n, each in enumerate(arguments)]


@pytest.fixture
def ask(tmp_path):
    """Make a model of an engine that keeps its answers in a store of this test."""
    return lambda engine: EngineLM(engine, store=tmp_path / "answers.sqlite")


class Echo(Engine):
    """Says which prompt and how; scores an option by its length; the last prompt comes back first."""

    name = "echo"

    def __init__(self, **changes):
        self.calls, self.changes = [], changes

    def describe(self):
        return {"engine": "echo"}

    def _generate(self, requests, sampling):
        self.calls.append((sampling, [request.raw for request in requests]))
        for request in reversed(requests):
            finish = "error" if self.changes else "stop"
            yield [Completion(request.id, f"{request.raw}/{sampling.seed}", finish, **self.changes)]

    def _score(self, requests, options, *, end):
        self.calls.append([(request.raw, given) for request, given in zip(requests, options, strict=True)])
        for request, given in reversed(list(zip(requests, options, strict=True))):
            scored = tuple(
                Scored(-len(text), 1, text.endswith("B"), self.changes.get("censored", False)) for text in given
            )
            yield [Scores(request.id, scored, **{k: v for k, v in self.changes.items() if k != "censored"})]


def test_continuations_of_a_prompt_are_scored_together_and_come_back_in_their_places(ask):
    engine = Echo()
    pairs = [("p", " A"), ("q", " yes"), ("p", " BB"), ("r", " B"), ("q", " no"), ("p", " A")]
    pairs.append(("r\n", "B"))  # white space at the end of a prompt goes to the continuation
    found = ask(engine).loglikelihood(asked("loglikelihood", *pairs), disable_tqdm=True)
    assert engine.calls == [[("p", (" A", " BB")), ("q", (" yes", " no")), ("r", (" B", "\nB"))]]
    assert found == [(-2, False), (-4, False), (-3, True), (-2, True), (-3, False), (-2, False), (-2, True)]


def test_texts_are_written_as_the_task_says(ask):
    engine = Echo()
    greedy = {"until": ["\n", ""], "max_gen_toks": 7, "do_sample": False, "temperature": 0.9, "num_beams": 1}
    drawn = {"until": "Q:", "do_sample": True, "temperature": 0.5, "top_p": 0.9, "max_new_tokens": 5}
    cases = [("p", greedy), ("p", drawn), ("q", {}), ("p", drawn), ("q", greedy), ("p", greedy), ("q", drawn)]
    found = ask(engine).generate_until(asked("generate_until", *cases))
    # A prompt that is drawn from twice has two seeds: the answers are no copies of one.
    assert found == ["p/0", "p/0", "q/0", "p/1", "q/0", "p/0", "q/0"]
    calls = {(s.stop, s.max_new_tokens, s.temperature, s.top_p, s.seed): prompts for s, prompts in engine.calls}
    assert calls == {
        (("\n",), 7, 0.0, 1.0, 0): ["p", "q"],
        (("Q:",), 5, 0.5, 0.9, 0): ["p", "q"],
        ((), 256, 0.0, 1.0, 0): ["q"],
        (("Q:",), 5, 0.5, 0.9, 1): ["p"],
    }


def test_what_was_answered_is_not_asked_again(ask):
    pairs, texts = [("p", " A"), ("p", " B")], [("p", {"max_gen_toks": 7})]
    first, second = Echo(), Echo()
    for run, cases in (("loglikelihood", pairs), ("generate_until", texts)):
        answers = [getattr(ask(engine), run)(asked(run, *cases)) for engine in (first, second)]
        assert answers[0] == answers[1]
    assert len(first.calls) == 2
    assert not second.calls


@pytest.mark.parametrize(("name", "value"), [("num_beams", 4), ("top_k", 50)])
def test_a_way_of_drawing_that_engines_do_not_have_is_refused(ask, name, value):
    with pytest.raises(InputError, match=f"do not know these arguments of a task's generation: {{'{name}': {value}}}"):
        ask(Echo()).generate_until(asked("generate_until", ("p", {name: value})))


def test_what_has_no_answer_ends_the_run_and_is_never_a_number(ask):
    pair = asked("loglikelihood", ("p", " A"), ("q", " A"))
    long = Echo(status="too_long", error="600 tokens exceed the model's window")
    with pytest.raises(EngineError, match="item 0 of the task `a_task`: 600 tokens exceed the model's window"):
        ask(long).loglikelihood(pair)
    with pytest.raises(EngineError, match="tells its likeliest tokens alone"):
        ask(Echo(censored=True)).loglikelihood(asked("loglikelihood", ("r", " A")))
    with pytest.raises(EngineError, match="item 0 of the task `a_task`: no room"):
        ask(Echo(error="no room")).generate_until(asked("generate_until", ("p", {})))
    for run, arguments in (("loglikelihood", (" ", "A")), ("generate_until", ("", {}))):
        with pytest.raises(EngineError, match="item 0 of the task `a_task` is empty"):
            getattr(ask(Echo()), run)(asked(run, arguments))


def test_what_engines_cannot_do_is_said(tmp_path):
    model = EngineLM(OpenAIEngine("m@http://127.0.0.1:1/v1"))
    with pytest.raises(EngineError, match="perplexity tasks"):
        model.loglikelihood_rolling(asked("loglikelihood_rolling", ("A text.",)))
    with pytest.raises(EngineError, match="`openai` engine has no chat template at hand"):
        model.apply_chat_template([{"role": "user", "content": "Is TP53 a gene?"}])
    with pytest.raises(InputError, match="Leave out `use_cache`"):
        lm_eval.api.model.CachingLM(model, str(tmp_path / "cache.db"))
    with pytest.raises(InputError, match="none by the name of `rag`"):
        model.chat_template("rag")


def test_a_dialogue_is_laid_out_by_the_model(model_dir):
    model = EngineLM("default")
    talk = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Is TP53 a gene?"}]
    begun = [*talk, {"role": "assistant", "content": "Answer:"}]
    text = model.apply_chat_template(talk)
    assert text.startswith("<|im_start|>system\nBe brief.<|im_end|>")
    assert text.endswith("<|im_start|>assistant\n")
    assert model.apply_chat_template(begun, add_generation_prompt=False) == text + "Answer:"
    assert model.chat_template() == ""
    assert model.chat_template(True).endswith("user\n{question}<|im_end|>\n<|im_start|>assistant\n")
    assert model.tokenizer_name.startswith("transformers-")
    assert model.engine._loaded is None


def test_texts_are_those_of_the_harness_own_model(ask, tiny_model):
    from lm_eval.models.huggingface import HFLM

    prompts = ["Question: Is TP53 a gene?\nAnswer:", "The capital of France is", "A list: one, two,"]
    how = {"until": ["\n", " the"], "max_gen_toks": 24, "do_sample": False}
    cases = asked("generate_until", *((prompt, how) for prompt in prompts))
    own = HFLM(pretrained=str(tiny_model), dtype="float32", device="cpu", batch_size=1)
    assert ask(TransformersEngine(str(tiny_model))).generate_until(cases) == own.generate_until(cases, True)


def test_the_page_s_example_runs_as_it_stands(model_dir, mirror, tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parents[2] / "docs" / "lm_eval.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    exec(code, {})
    assert float(capsys.readouterr().out.split()[-1]) in {0, 0.25, 0.5, 0.75, 1}


# The harness' definitions of four tasks, on the files that `data_manifests/` describe. Its copies of the data are laid
# out otherwise, and its MedMCQA counts the right option from 0.


def medqa():
    for row in data.load("medqa", "test"):
        endings = {f"ending{n}": row["options"][letter] for n, letter in enumerate("ABCD")}
        yield {"sent1": row["question"], **endings, "label": "ABCD".index(row["answer_idx"])}


def medmcqa():
    for row in data.load("medmcqa", "dev"):
        options = {name: row[name] for name in ("question", "opa", "opb", "opc", "opd")}
        yield {**options, "cop": int(row["cop"]) - 1}


def pubmedqa():
    rows = data.load("pubmedqa", "questions")
    for id in data.load("pubmedqa", "test"):
        yield {name: rows[id][name] for name in ("CONTEXTS", "QUESTION", "final_decision")}


def mmlu():
    for row in data.load("mmlu_medical", "clinical_knowledge").astype(str).to_dict("records"):
        choices = [row[letter] for letter in "ABCD"]
        yield {"question": row["question"], "choices": choices, "answer": "ABCD".index(row["answer"])}


#: File of the harness' definition, its name, and the items as it wants them.
TASKS = {
    "medqa": ("medqa/medqa.yaml", "medqa_4options", medqa),
    "medmcqa": ("medmcqa/medmcqa.yaml", "medmcqa", medmcqa),
    "pubmedqa": ("pubmedqa/pubmedqa.yaml", "pubmedqa", pubmedqa),
    "mmlu_medical": ("mmlu/default/mmlu_clinical_knowledge.yaml", "mmlu_clinical_knowledge", mmlu),
}


@pytest.fixture(scope="module")
def shortest(mirror, tmp_path_factory):
    """Write the shortest items of a task and a definition that includes the harness'; give the latter's file."""
    folder = tmp_path_factory.mktemp("lm_eval")

    def write(name, n):
        file, _, rows = TASKS[name]
        items = sorted(rows(), key=lambda row: len(json.dumps(row)))[:n]
        lines = folder / f"{name}.jsonl"
        lines.write_text("".join(f"{json.dumps(row)}\n" for row in items))
        files = {"data_files": {"test": str(lines)}, "cache_dir": str(folder / "cache")}
        changes = {"include": str(Path(lm_eval.__file__).parent / "tasks" / file), "dataset_path": "json"}
        changes |= {"dataset_name": None, "training_split": None, "validation_split": None, "test_split": "test"}
        (folder / f"{name}.yaml").write_text(
            yaml.safe_dump({**changes, "fewshot_split": None, "dataset_kwargs": files})
        )
        return str(folder / f"{name}.yaml")

    return write


def evaluated(model, files, *, chat):
    return lm_eval.simple_evaluate(
        model,
        tasks=files,
        task_manager=TaskManager(include_defaults=False),
        apply_chat_template=chat,
        bootstrap_iters=0,
    )


def check_parity(directory, files, *, chat):
    from lm_eval.models.huggingface import HFLM

    engine = TransformersEngine(str(directory), dtype="float32", device="cpu")
    own = evaluated(HFLM(pretrained=str(directory), dtype="float32", device="cpu", batch_size=1), files, chat=chat)
    ours = evaluated(EngineLM(engine), files, chat=chat)
    assert {name for _, name, _ in TASKS.values()} == set(ours["samples"])
    for name, samples in ours["samples"].items():
        assert len(samples) == N
        for one, other in zip(samples, own["samples"][name], strict=True):
            assert one["arguments"] == other["arguments"]
            pairs = zip(one["filtered_resps"], other["filtered_resps"], strict=True)
            for (logprob, greedy), (expected, own_greedy) in pairs:
                assert logprob == pytest.approx(expected, abs=1e-4)
                assert greedy == own_greedy
        assert ours["results"][name]["acc,none"] == own["results"][name]["acc,none"]


def test_the_preset_harness_asks_what_the_harness_asks(tiny_model, shortest, tmp_path):
    engine = TransformersEngine(str(tiny_model), dtype="float32", device="cpu")
    found = evaluated(EngineLM(engine), [shortest(name, N) for name in TASKS], chat=False)["samples"]
    for name, (_, own_name, _) in TASKS.items():
        [task] = find_tasks(names=[f"medical.{name}.harness"])
        problem = task.load(False)
        gold = {item.id: item.gold for item in problem.items}
        asked_here = {each.request.raw: each for each in problem.questions() if not each.row}
        samples = found[own_name]
        questions = [asked_here[sample["arguments"][0][0]] for sample in samples]
        with AnswerStore(tmp_path / f"{name}.sqlite") as store:
            answers = Asker(engine, store).answer(questions)
        for sample, question in zip(samples, questions, strict=True):
            logprobs = answers[question.request.id].logprobs
            assert question.options == tuple(continuation for _, continuation in sample["arguments"])
            assert logprobs == pytest.approx([logprob for logprob, _ in sample["filtered_resps"]], abs=1e-4)
            best = question.options[max(range(len(logprobs)), key=logprobs.__getitem__)].strip()
            assert sample["acc"] == (best == gold[question.item])


@pytest.mark.parametrize("chat", [False, True], ids=["raw", "chat"])
def test_four_medical_tasks_score_as_with_the_harness_own_model(tiny_model, shortest, chat):
    check_parity(tiny_model, [shortest(name, N) for name in TASKS], chat=chat)


@pytest.mark.slow
@pytest.mark.parametrize("chat", [False, True], ids=["raw", "chat"])
def test_four_medical_tasks_score_as_with_the_harness_own_model_by_the_default_model(model_dir, shortest, chat):
    check_parity(model_dir, [shortest(name, N) for name in TASKS], chat=chat)
