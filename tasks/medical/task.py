"""Medical questions with closed answers: what a language model knows, and what it reads out of an abstract."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bftembed import data
from bftembed.bench import ClosedQuestion, ClosedQuestions, Published, Task, TaskInfo, content_id, few_questions
from bftembed.bench.language.choices.prompts import harness_medmcqa, harness_medqa, harness_mmlu, harness_pubmedqa

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bftembed.bench.language.choices.prompts import Preset

_LETTERS = ("A", "B", "C", "D")
_FAST, _FAST_WRITTEN = 16, 4
_SUBSETS = (
    "anatomy",
    "clinical_knowledge",
    "college_biology",
    "college_medicine",
    "medical_genetics",
    "professional_medicine",
)
_CARD = "lm-eval 0-shot, huggingface.co/ChenWeiLi/MedPhi-3-mini_v1"
_GEMMA = "lm-evaluation-harness pull request 4081"
_MLORA = "0-shot, mLoRA pull request 86"


def _few(rows: Sequence[ClosedQuestion], preset: str, *, fast: bool) -> list[ClosedQuestion]:
    """The part of a set that is asked."""
    return few_questions(rows, _FAST_WRITTEN if preset == "cot" else _FAST) if fast else list(rows)


def _orders(*, fast: bool) -> dict[str, Any]:
    """A fast run asks one other order of the options, to see that it runs."""
    return {"rotations": 1} if fast else {}


def _medqa(preset: Preset, fast: bool) -> ClosedQuestions:
    rows = []
    for row in data.load("medqa"):
        options = tuple(row["options"][letter] for letter in _LETTERS)
        id = content_id(row["question"], options)
        rows.append(ClosedQuestion(id, row["question"], _LETTERS, row["answer_idx"], options, stratum=row["meta_info"]))
    return ClosedQuestions(_few(rows, preset, fast=fast), preset=preset, harness=harness_medqa, **_orders(fast=fast))


def _medmcqa(preset: Preset, fast: bool) -> ClosedQuestions:
    """`cop` counts from 1 in this file. Questions that differ in marks alone are drawn together."""
    rows = []
    for row in data.load("medmcqa"):
        options = tuple(row[f"op{letter.lower()}"] for letter in _LETTERS)
        question, *others = [" ".join(re.findall(r"\w+", text.casefold())) for text in (row["question"], *options)]
        rows.append(
            ClosedQuestion(
                row["id"],
                row["question"],
                _LETTERS,
                _LETTERS[row["cop"] - 1],
                options,
                stratum=row["subject_name"],
                group=content_id(question, sorted(others)),
            )
        )
    return ClosedQuestions(_few(rows, preset, fast=fast), preset=preset, harness=harness_medmcqa, **_orders(fast=fast))


def _pubmedqa(preset: Preset, fast: bool) -> ClosedQuestions:
    """Question and abstract without its conclusion; the other 500 questions are there to learn from."""
    files = data.load("pubmedqa")
    rows = {
        id: ClosedQuestion(
            id, row["QUESTION"], ("yes", "no", "maybe"), row["final_decision"], context=tuple(row["CONTEXTS"])
        )
        for id, row in files["questions"].items()
    }
    tested = [rows[id] for id in files["test"]]
    training = [row for id, row in rows.items() if id not in files["test"]]
    return ClosedQuestions(_few(tested, preset, fast=fast), preset=preset, harness=harness_pubmedqa, training=training)


def _mmlu(preset: Preset, fast: bool) -> ClosedQuestions:
    """The six subsets; what stands in clinical_knowledge too is left out of college_medicine."""
    rows, released, seen = [], [], set()
    for subset in _SUBSETS:
        table = data.load("mmlu_medical", subset)
        kept = []
        for question, *options, answer in table.itertuples(index=False):
            id = content_id(question, options, of=subset)
            row = ClosedQuestion(id, question, _LETTERS, answer, tuple(options), stratum=subset)
            key = (question, *sorted(options))
            if subset == "college_medicine" and key in seen:
                released.append(row)
            else:
                kept.append(row)
            if subset == "clinical_knowledge":
                seen.add(key)
        rows += _few(kept, preset, fast=fast)
    return ClosedQuestions(
        rows,
        preset=preset,
        harness=harness_mmlu,
        released=[] if fast else released,
        removed={"also in clinical_knowledge": len(released)},
        subsets=True,
        **_orders(fast=fast),
    )


def _bioasq(preset: Preset, fast: bool) -> ClosedQuestions:
    """Without the snippets, out of which the ideal answers are copied."""
    rows = [
        ClosedQuestion(row["id"], row["body"], ("yes", "no"), row["exact_answer"], stratum=batch)
        for batch in ("batch1", "batch2")
        for row in data.load("bioasq", batch)["questions"]
        if row["type"] == "yesno"
    ]
    return ClosedQuestions(_few(rows, preset, fast=fast), preset=preset)


def _figure(model: str, value: float, source: str, *, spread: float | None = None, of: str = "") -> Published:
    metric = f"accuracy{', ' if of else ''}{of}"
    return Published(model=model, metric=metric, value=value, spread=spread, source=source)


def _medphi(value: float, *, spread: float | None = None, of: str = "") -> Published:
    return _figure("MedPhi-3-mini v1", value, _CARD, spread=spread, of=of)


_HUMAN = _figure("one person, from the abstract without its conclusion", 0.78, "reasoning_required_pred of the data")
#: By task and preset: a figure of one protocol never stands beside scores of another.
_PUBLISHED = {
    "medqa.harness": (
        _medphi(0.5711, spread=0.0139),
        _figure("medgemma-4b-it", 0.5522, f"{_GEMMA}, log-probabilities"),
    ),
    "medqa.cot": (
        _figure("medgemma-4b-it", 0.6551, f"{_GEMMA}, reasoning, 0-shot"),
        _figure("medgemma-4b-it, by its makers", 0.644, f"Google, as quoted in {_GEMMA}"),
    ),
    "medmcqa.harness": (
        _medphi(0.5408, spread=0.0077),
        _figure("medgemma-4b-it", 0.519, f"{_GEMMA}, log-probabilities"),
    ),
    "medmcqa.cot": (
        _figure("medgemma-4b-it", 0.5596, f"{_GEMMA}, reasoning, 0-shot"),
        _figure("medgemma-4b-it, by its makers", 0.557, f"Google, as quoted in {_GEMMA}"),
    ),
    "pubmedqa": (_HUMAN,),
    "pubmedqa.harness": (
        _HUMAN,
        _medphi(0.762, spread=0.0191),
        _figure("LLaMA-3.1-8B", 0.583, _MLORA),
        _figure("Gemma-2-9B", 0.556, _MLORA),
        _figure("Qwen2-7B", 0.659, _MLORA),
    ),
    "pubmedqa.cot": (_HUMAN,),
    "mmlu_medical.harness": (
        _medphi(0.6815, of="anatomy"),
        _medphi(0.7434, of="clinical_knowledge"),
        _medphi(0.8056, of="college_biology"),
        Published(
            model="MedPhi-3-mini v1", metric="accuracy as released, college_medicine", value=0.6647, source=_CARD
        ),
        _medphi(0.73, of="medical_genetics"),
        _medphi(0.7353, of="professional_medicine"),
    ),
}
_CUES = "Cues of the form earn points without knowledge: compare with `choices only` and `trained choices only`."
_MIRAGE = "US Government work / public domain notice (datasets keep own licences)"
_SETS: dict[str, dict[str, Any]] = {
    "medqa": {
        "load": _medqa,
        "title": "MedQA: US licensing examination, four options",
        "chance": 0.25,
        "licence": _MIRAGE,
        "citation": "Jin D et al. What disease does this patient have? Applied Sciences 11, 6421 (2021).",
        "known_traps": (
            _CUES,
            "The questions, and corpora built from their training part, are in the training data of many models.",
        ),
    },
    "medmcqa": {
        "load": _medmcqa,
        "title": "MedMCQA: Indian entrance examinations, four options",
        "chance": 0.25,
        "licence": _MIRAGE,
        "citation": "Pal A, Umapathi LK, Sankarasubbu M. MedMCQA. CHIL 2022.",
        "known_traps": (
            _CUES,
            "A is right in 32 %, and `All of the above` in almost half of the questions that have it.",
            "The development part is the only one with answers: no training may stop early on it.",
            "13 questions are there twice but for marks; two of these have different answers.",
        ),
    },
    "pubmedqa": {
        "load": _pubmedqa,
        "title": "PubMedQA: does the abstract answer its title with yes, no or maybe",
        "chance": 1 / 3,
        "licence": "MIT",
        "citation": "Jin Q et al. PubMedQA. EMNLP-IJCNLP 2019.",
        "known_traps": (
            "Always yes scores 0.552, a bag of words of the last paragraph about 0.60.",
            "Maybe is 11 %: who never says it loses little accuracy, but macro F1.",
        ),
    },
    "mmlu_medical": {
        "load": _mmlu,
        "title": "MMLU: six medical and biological subsets, four options",
        "chance": 0.25,
        "licence": _MIRAGE,
        "citation": "Hendrycks D et al. Measuring massive multitask language understanding. ICLR 2021.",
        "known_traps": (
            _CUES,
            "78 questions of college_medicine stand in clinical_knowledge too and count once; `as released` twice.",
            "D is right in 45 % of professional_medicine; 6.5 % of all answers of MMLU are said to be wrong.",
            "A subset has 95 to 272 questions: too few to be read by itself.",
        ),
    },
    "bioasq_yesno": {
        "load": _bioasq,
        "title": "BioASQ 11b, yes or no, without the snippets",
        "data": ("bioasq",),
        "chance": 0.5,
        "licence": _MIRAGE,
        "citation": "Tsatsaronis G et al. BioASQ. BMC Bioinformatics 16, 138 (2015).",
        "ranked": False,
        "known_traps": ("48 questions: a difference below some 18 points cannot be seen.",),
    },
}


def _task(name: str, preset: Preset) -> Task:
    fields = dict(_SETS[name])
    load = fields.pop("load")
    full = name if preset == "chat" else f"{name}.{preset}"
    info = TaskInfo(
        name=f"medical.{full}",
        kind="language",
        mode="generate" if preset == "cot" else "rank",
        preset=preset,
        is_default=preset == "chat",
        main_score="accuracy",
        best=1.0,
        published=_PUBLISHED.get(full, ()),
        **{"data": (name,), **fields},
    )
    return Task(info, lambda fast: load(preset, fast))


_PRESETS: tuple[Preset, ...] = ("chat", "harness", "cot")
#: lm-eval asks nothing of BioASQ.
TASKS = [_task(name, preset) for name in _SETS for preset in _PRESETS if (name, preset) != ("bioasq_yesno", "harness")]
