import json
import math
import random
from inspect import signature

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from bftembed.engines import Request, TransformersEngine
from bftembed.engines.scoring import Question, encode
from bftembed.engines.transformers_scoring import score
from bftembed.errors import EngineError

#: Prompts of several lengths and kinds, each with options of its own.
ASKED = [
    (Request("letters", "Which letter?", "Be brief.", prefix="Answer:"), [" A", " B", " C", " D"]),
    (Request("words", "Is TP53 a kinase?"), ["yes", "no", "no, a factor of transcription", "maybe"]),
    (Request("raw", raw="The capital of France is"), [" Paris", " Rome", " a town"]),
    (Request("talk", messages=[("user", "Name one."), ("assistant", "EGFR."), ("user", "Another?")]), ["MET", "ERBB2"]),
    (Request("one", "Say something." * 9), [" and so it went on for a long time"]),
    (Request("unicode", "Où est la β-caténine ?"), ["在细胞质", " à la membrane 😀"]),
]
REQUESTS, OPTIONS = map(list, zip(*ASKED, strict=True))


def naive(model, question):
    """Sum and greediness of each option by a forward of its own, in float64 from the logits on."""
    found = []
    for option in question.options:
        ids = torch.tensor([[*question.prompt, *option]])
        with torch.inference_mode():
            log_p = model(ids).logits[0, len(question.prompt) - 1 : -1].double().log_softmax(-1)
        wanted = ids[0, len(question.prompt) :, None]
        found.append((float(log_p.gather(-1, wanted).sum()), bool((log_p.argmax(-1) == wanted[:, 0]).all())))
    return found


def flat(batches):
    return {done.id: done for batch in batches for done in batch}


def values(done):
    return [option.logprob for option in done.options]


def ranks(numbers):
    return sorted(range(len(numbers)), key=lambda n: -numbers[n])


def agree(done, expected):
    assert done.status == "ok", done.error
    assert values(done) == pytest.approx([value for value, _ in expected], abs=1e-4)
    assert [option.is_greedy for option in done.options] == [greedy for _, greedy in expected]


@pytest.fixture(scope="module")
def tiny(tiny_model):
    return AutoModelForCausalLM.from_pretrained(tiny_model).eval(), AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture
def forwards(monkeypatch):
    """Shapes of what a model's `forward` is given."""

    def watch(model):
        shapes, forward = [], model.forward

        def counted(*args, input_ids, **kwargs):
            out = forward(*args, input_ids=input_ids, **kwargs)
            shapes.append((*input_ids.shape, out.logits.shape[1]))
            return out

        counted.__signature__ = signature(forward)
        monkeypatch.setattr(model, "forward", counted)
        return shapes

    return watch


@pytest.mark.parametrize("batch_size", [1, 2, 64])
@pytest.mark.parametrize("end", [False, True])
def test_scores_are_those_of_a_forward_for_each_option(tiny, tiny_model, batch_size, end):
    model, tokenizer = tiny
    done = flat(TransformersEngine(str(tiny_model), batch_size=batch_size).score_many(REQUESTS, OPTIONS, end=end))
    for request, options in ASKED:
        question = encode(request, options, tokenizer, end=end)
        agree(done[request.id], naive(model, question))
        assert done[request.id].n_prompt_tokens == len(question.prompt)
        assert [option.n_tokens for option in done[request.id].options] == [len(option) for option in question.options]


def ids(largest):
    return st.lists(st.integers(0, 199), min_size=1, max_size=largest).map(tuple)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=st.lists(st.tuples(ids(12), st.lists(ids(4), min_size=1, max_size=4)), min_size=1, max_size=5),
    batch_size=st.integers(1, 5),
    begin=st.sampled_from([(), tuple(range(40, 60))]),
)
def test_any_prompts_and_options_in_any_batches(tiny, asked, batch_size, begin):
    model, _ = tiny
    questions = [Question(str(n), begin + some, tuple(given), moved=False) for n, (some, given) in enumerate(asked)]
    done = flat(score(model, questions, batch_size=batch_size))
    assert len(done) == len(questions)
    for question in questions:
        agree(done[question.id], naive(model, question))


def test_four_letters_cost_one_forward_of_the_prompts_and_one_row_of_logits(tiny_model, forwards):
    engine = TransformersEngine(str(tiny_model))
    shapes = forwards(engine.load()[0])
    list(engine.score_many([Request("a", "Which letter?", prefix="Answer:")], [" A", " B", " C", " D"]))
    [(rows, _, kept)] = shapes
    assert (rows, kept) == (1, 1)
    shapes.clear()
    requests = [Request(str(n), "Which letter?" + " Well?" * n, prefix="Answer:") for n in range(5)]
    list(engine.score_many(requests, [" A", " B", " C", " D"]))
    assert [(rows, kept) for rows, _, kept in shapes] == [(1, 1), (5, 1)]  # what all begin with, then the rest


def test_what_all_prompts_begin_with_is_read_once(tiny, tiny_model, forwards):
    examples = "Is INS a kinase? Answer: no. Is EGFR a kinase? Answer: yes. Is TP53 a kinase? Answer: no. "
    requests = [Request(str(n), examples + f"Is {gene} a kinase?") for n, gene in enumerate(["MET", "MYC", "SOX2"])]
    questions = [encode(request, ["yes", "no, not at all"], tiny[1]) for request in requests]
    engine = TransformersEngine(str(tiny_model))
    shapes = forwards(engine.load()[0])
    done = flat(engine.score_many(requests, ["yes", "no, not at all"]))
    shared = next(
        n for n, tokens in enumerate(zip(*(q.prompt for q in questions), strict=False)) if len(set(tokens)) > 1
    )
    rest = max(len(question.prompt) for question in questions) - shared
    assert [shape[:2] for shape in shapes] == [(1, shared), (3, rest), (3, len(questions[0].options[1]) - 1)]
    for question in questions:
        agree(done[question.id], naive(tiny[0], question))


def test_equal_prompts_with_other_options_keep_a_token_to_read(tiny):
    prompt = tuple(range(30, 60))
    questions = [Question(str(n), prompt, ((n,), (n, 7)), moved=False) for n in range(3)]
    done = flat(score(tiny[0], questions, batch_size=2))
    for question in questions:
        agree(done[question.id], naive(tiny[0], question))


def test_longer_options_are_read_behind_copies_of_the_prompts_cache(tiny, tiny_model, forwards):
    engine = TransformersEngine(str(tiny_model))
    shapes = forwards(engine.load()[0])
    request = Request("a", "Is it known?")
    list(engine.score_many([request], [" yes", " no, it is not known", " no"]))
    question = encode(request, [" no, it is not known"], tiny[1])
    assert shapes == [(1, len(question.prompt), 1), (1, len(question.options[0]) - 1, len(question.options[0]) - 1)]


def test_options_that_begin_one_another_and_equal_ones(tiny, tiny_model):
    request, options = Request("a", "What changed?"), ["no", "no change", "no change", "no change at all"]
    [[done]] = TransformersEngine(str(tiny_model)).score_many([request], options)
    agree(done, naive(tiny[0], encode(request, options, tiny[1])))
    no, change, again, at_all = values(done)
    assert no > change == pytest.approx(again)
    assert again > at_all


def test_the_order_of_requests_and_options_changes_nothing(tiny_model):
    engine = TransformersEngine(str(tiny_model), batch_size=4)
    first = flat(engine.score_many(REQUESTS, OPTIONS))
    turned = flat(engine.score_many(REQUESTS[::-1], [options[::-1] for options in OPTIONS[::-1]]))
    for id, done in first.items():
        assert [o.logprob for o in turned[id].options[::-1]] == pytest.approx(
            [o.logprob for o in done.options], abs=1e-4
        )


def test_what_exceeds_the_window_is_said_and_the_rest_is_scored(tiny_model):
    # 512 positions
    requests = [Request("long", raw=" word" * 511), Request("longer", raw=" word" * 510), Request("short", raw=" word")]
    done = flat(TransformersEngine(str(tiny_model)).score_many(requests, [[" a", " a b"], [" a", " a b"], [" a"]]))
    assert {id: one.status for id, one in done.items()} == {"long": "too_long", "longer": "ok", "short": "ok"}
    assert "window of 512" in done["long"].error


def test_no_numbers_are_an_error_of_the_request_alone(tiny_model):
    engine = TransformersEngine(str(tiny_model))
    model, tokenizer = engine.load()
    [token] = tokenizer(" poison", add_special_tokens=False)["input_ids"][:1]
    with torch.no_grad():
        model.get_input_embeddings().weight[token] = math.nan
        model.get_output_embeddings().weight[token] = 0
    requests = [Request("fine", raw="The cat sat"), Request("bad", raw="The poison sat on and on")]
    done = flat(engine.score_many(requests, [" down", " up and down"]))
    assert (done["fine"].status, done["bad"].status, done["bad"].options) == ("ok", "error", ())
    assert "NaN" in done["bad"].error


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), MemoryError()])
def test_out_of_memory_halves_the_batch_and_all_are_scored(tiny_model, monkeypatch, caplog, error):
    engine = TransformersEngine(str(tiny_model))
    model, _ = engine.load()
    expected = flat(engine.score_many(REQUESTS, OPTIONS))
    seen, forward = [], model.forward

    def small(*args, input_ids, attention_mask, position_ids, past_key_values, logits_to_keep=0, **kwargs):
        seen.append(len(input_ids))
        if logits_to_keep == 1 and len(input_ids) > 2:
            raise error
        return forward(
            *args,
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )

    monkeypatch.setattr(model, "forward", small)
    done = flat(engine.score_many(REQUESTS, OPTIONS))
    assert done.keys() == expected.keys()
    for id, one in done.items():
        assert values(one) == pytest.approx(values(expected[id]), abs=1e-4)
    assert "batches of 3" in caplog.text
    assert "batches of 1" in caplog.text


def test_memory_for_not_even_one_prompt_and_other_failures_end_the_run(tiny_model, monkeypatch):
    engine = TransformersEngine(str(tiny_model))
    model, _ = engine.load()

    def failing(error):
        def forward(input_ids, attention_mask, position_ids, past_key_values, logits_to_keep, use_cache):
            raise error

        return forward

    monkeypatch.setattr(model, "forward", failing(torch.OutOfMemoryError("full")))
    with pytest.raises(EngineError, match="with a batch of one; use a smaller model, fewer or shorter options"):
        list(engine.score_many(REQUESTS, OPTIONS))
    monkeypatch.setattr(model, "forward", failing(RuntimeError("a kernel failed")))
    with pytest.raises(EngineError, match="Scoring failed with a batch of 6: a kernel failed"):
        list(engine.score_many(REQUESTS, OPTIONS))


WIDTH = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 200}
GROUPED = {**WIDTH, "intermediate_size": 64, "num_key_value_heads": 1, "head_dim": 16}
FAMILIES = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2, "vocab_size": 200},  # learned positions
    "opt": {**WIDTH, "ffn_dim": 64, "word_embed_proj_dim": 32},  # positions from the mask
    "bloom": WIDTH,  # no positions: ALiBi
    "mistral": {**GROUPED, "sliding_window": 5},
    "gemma3_text": {**GROUPED, "sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]},
    "gemma2": {**GROUPED, "sliding_window": 4, "query_pre_attn_scalar": 16},  # soft cap of the logits
    "mamba": {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 200, "state_size": 4},  # recurrent
    "rwkv": {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 200},  # recurrent, knows no mask
    "qwen3_next": {
        **GROUPED,
        "layer_types": ["linear_attention", "full_attention"],
        "num_experts": 2,
        "num_experts_per_tok": 1,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    },
}


@pytest.mark.parametrize("kind", FAMILIES)
def test_models_with_other_positions_masks_and_caches(kind):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **FAMILIES[kind])).eval()
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.data.normal_(0, 0.3)
    draw = random.Random(5)

    def tokens(n):
        return tuple(draw.randrange(5, 200) for _ in range(n))

    for begin in ((), tokens(17)):
        questions = [
            Question(str(n), begin + tokens(n), (tokens(1), tokens(3), tokens(2), tokens(7)), moved=False)
            for n in (3, 7, 12, 2)
        ]
        questions.append(Question("letters", begin + tokens(9), (tokens(1), tokens(1)), moved=False))
        done = flat(score(model, questions, batch_size=8))
        for question in questions:
            agree(done[question.id], naive(model, question))


@pytest.mark.parametrize("n", [6, pytest.param(64, marks=pytest.mark.slow)])
def test_medical_questions_keep_the_ranks_of_a_forward_for_each_option(mirror, model_dir, n):
    lines = (mirror / "qa_text" / "medqa_us_4opt_test.jsonl").read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line]
    requests = [
        Request(
            str(number),
            "\n".join([row["question"], *(f"{letter}) {text}" for letter, text in row["options"].items())]),
            prefix="Answer:",
        )
        for number, row in enumerate(sorted(rows, key=lambda row: len(str(row["options"]) + row["question"]))[:n])
    ]
    letters = [" A", " B", " C", " D"]
    engine = TransformersEngine(str(model_dir))
    model, tokenizer = engine.load()
    expected = {r.id: [value for value, _ in naive(model, encode(r, letters, tokenizer))] for r in requests}
    mixed = random.Random(1).sample(requests, n)
    for asked, batch_size in ((requests, None), (mixed, 3)):
        engine._batch_size = batch_size
        done = flat(engine.score_many(asked, letters))
        assert len(done) == n
        for id, one in done.items():
            assert values(one) == pytest.approx(expected[id], abs=1e-4)
            assert ranks(values(one)) == ranks(expected[id])
