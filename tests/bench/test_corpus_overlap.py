"""Questions of a task that stand in a corpus."""

import json
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from bftembed.bench import Evaluation, Item, LanguageProblem, Question, Score, Task, TaskInfo, overlap, run
from bftembed.bench.corpus_overlap import shares
from bftembed.bench.sources.model import Model
from bftembed.data import given_file, load
from bftembed.engines import Engine, Request, Scored, Scores
from bftembed.errors import DataError, InputError
from bftembed.tune import build_corpus
from bftembed.tune.data.texts import corpus_texts

WORDS = [f"w{i}" for i in range(100)]


def sentence(begin, end):
    return " ".join(WORDS[begin:end])


def test_shares_of_sequences():
    corpus = [f"{sentence(0, 12)}. And {sentence(40, 52)}", sentence(12, 20)]
    table = shares({"whole": sentence(0, 12), "part": sentence(5, 25), "none": sentence(60, 80)}, corpus)
    # Of 13 sequences of 8 words of "part" those from words 5 and 12 stand in one text; nothing spans two texts.
    assert table["share_8"].tolist() == [1.0, pytest.approx(1 / 13), 0.0]
    assert table["share_13"].fillna(-1).tolist() == [-1, 0.0, 0.0]
    assert table["flagged"].tolist() == [True, False, False]
    assert table.index.tolist() == ["whole", "part", "none"]


def test_flagged_from_three_tenths():
    texts = {f"{n}": " ".join(f"{word}x{n}" for word in WORDS[:17]) for n in range(4)}  # 10 sequences of 8 words
    corpus = [" ".join(text.split()[: 7 + int(n)]) for n, text in texts.items()]
    table = shares(texts, corpus)
    assert table["share_8"].tolist() == [0, 0.1, 0.2, 0.3]
    assert table["flagged"].tolist() == [False, False, False, True]


def test_case_punctuation_and_letters_of_options_do_not_count():
    question = {"q": "Which of these drugs is given first?\nA) Aspirin\nB) Iron (II)\nC) Zinc\nD) None of these"}
    open_ended = "which of THESE drugs is given first?! aspirin / iron II / zinc; none of these"
    assert shares(question, [open_ended])["share_8"].item() == 1
    assert shares(question, ["Which of these drugs is given first?\n(A) Aspirin (B) Iron II (C) Zinc"])[
        "flagged"
    ].item()


@pytest.mark.parametrize("n_items", [2, 5, 30])
def test_the_wording_of_a_task_does_not_count(n_items):
    instruction = "Answer this question with the letter of the one right option, A or B, and with nothing else."
    phrase = "which of the following is the most appropriate next step in the management of this patient"
    own = {f"{n}": " ".join(f"{word}x{n}" for word in WORDS[:20]) for n in range(n_items)}
    texts = {item: f"{instruction}\n{text} {phrase}?\n{instruction}" for item, text in own.items()}
    assert shares(texts, [f"{instruction} {phrase} {instruction}"])["share_8"].max() == 0
    # 13 sequences within and 7 that end in the phrase.
    assert shares(texts, [f"{own['0']} {phrase}"])["share_8"].tolist() == [1.0] + [0.0] * (n_items - 1)


def test_a_question_that_stands_twice_is_still_a_question():
    texts = {f"{n}": " ".join(f"{word}x{n % 15}" for word in WORDS[:20]) for n in range(30)}
    assert shares(texts, [texts["3"]]).query("flagged").index.tolist() == ["3", "18"]


def test_a_short_text_tells_nothing():
    table = shares({"short": "Name the largest organ.", "long": sentence(0, 9)}, ["Name the largest organ."])
    assert np.isnan(table.loc["short", "share_8"])
    assert not table["flagged"].any()


@given(
    st.lists(st.lists(st.sampled_from("abc"), max_size=20).map(" ".join), min_size=1, max_size=6),
    st.lists(st.lists(st.sampled_from("abc"), max_size=40).map(" ".join), max_size=3),
)
def test_equals_a_search_for_each_sequence(texts, corpus):
    def grams(text):
        words = text.split()
        return {" ".join(words[i : i + 8]) for i in range(len(words) - 7)}

    counts = Counter(gram for text in texts for gram in grams(text))
    lines = Counter(texts)
    most = max(1, len(texts) // 2)
    for text, share in zip(texts, shares(dict(enumerate(texts)), corpus)["share_8"], strict=True):
        own = [gram for gram in grams(text) if counts[gram] <= most and lines[text] <= most]
        there = [gram for gram in own if any(re.search(rf"\b{gram}\b", other) for other in corpus)]
        assert np.isnan(share) if not own else share == len(there) / len(own)


class Letters(Engine):
    """Always takes the first option."""

    name = "letters"

    def describe(self):
        return {"engine": self.name}

    def _generate(self, requests, sampling):
        raise NotImplementedError

    def _score(self, requests, options, *, end):
        for request, given_ in zip(requests, options, strict=True):
            yield [Scores(request.id, tuple(Scored(-float(rank + 1), 1, rank == 0) for rank in range(len(given_))))]


class Toy(LanguageProblem):
    """Twelve questions; those of an even number have the first option as answer."""

    def __init__(self, *, said=True, share=True):
        self.removed = {}
        ids = [f"q{n:02d}" for n in range(12)]
        self.said, self.share = said, share
        self.texts = {id: " ".join(f"{word}x{id}" for word in WORDS[:12]) for id in ids}
        self.items = [
            Item(id, " A" if int(id[1:]) % 2 == 0 else " B", text=self.texts[id] if said else "") for id in ids
        ]

    def questions(self):
        return list(self._asked())

    def _asked(self):
        ask = "Answer the question above with the letter A or the letter B and nothing else at all."
        for row in ("rotated", ""):
            for item in self.items:
                text = f"{self.texts[item.id]}\n{ask}" if not row else "no question"
                yield Question(Request(f"{item.id}{row}", text, "You are a model."), item.id, (" A", " B"), row)

    def evaluate(self, answers, *, encoder):
        right = [item.gold == " A" and answers[item.id].logprobs[0] > -2 for item in self.items]
        score = Score("model", "accuracy", np.array([[np.mean(right)]]))
        return Evaluation([score], [], [item.id for item in self.items], right=right if self.share else None)


def toy(name="toy.letters", load=None, **options):
    fields = {"kind": "language", "title": "T", "data": (), "main_score": "accuracy", "licence": "-", "citation": "-"}
    return Task(TaskInfo(name=name, mode="rank", preset="chat", **fields), load or (lambda fast: Toy(**options)))


@pytest.fixture
def corpus(tmp_path):
    """Holds questions 0, 1 and 3, and of question 4 one sequence of 8 words."""
    texts = Toy().texts
    rows = [{"prompt": texts[f"q{n:02d}"].upper(), "response": "A"} for n in (0, 1, 3)]
    rows.append({"text": " ".join(texts["q04"].split()[:8])})
    path = tmp_path / "corpus.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize("said", [True, False])
def test_items_of_a_task(corpus, said):
    found = overlap(corpus, toy(said=said))
    assert found.items.query("flagged").index.tolist() == ["q00", "q01", "q03"]
    assert found.items["share_8"]["q04"] == pytest.approx(1 / 5)
    assert found.counts == {
        "items": 12,
        "flagged": 3,
        "with 8 words in a row in the corpus": 4,
        "with 13 words in a row in the corpus": 0,
        "without 8 words in a row of their own": 0,
    }
    assert (found.task, found.corpus, len(found.scores), found.notes) == ("toy.letters", str(corpus), 0, ())
    assert "q03" in (shown := found._repr_html_())
    assert "q04" not in shown


def test_scores_with_and_without_flagged_items(corpus, tmp_path):
    run([toy()], [Model(Letters(), label="first")], tmp_path / "run")
    found = overlap(corpus, toy(), results=tmp_path / "run")
    assert found.scores["items"].tolist() == ["all", "not flagged", "flagged"]
    assert found.scores["n"].tolist() == [12, 9, 3]
    assert found.scores["share"].tolist() == [6 / 12, 5 / 9, 1 / 3]
    low, high = proportion_confint(5, 9, method="wilson")
    assert found.scores.iloc[1][["low", "high"]].tolist() == [pytest.approx(low), pytest.approx(high)]
    assert found.notes == ()


def test_results_that_tell_nothing(corpus, tmp_path):
    run([toy(share=False)], [Model(Letters(), label="first")], tmp_path / "auc")
    assert overlap(corpus, toy(), results=tmp_path / "auc").notes == (
        "first: the main score of the task is no share of right items.",
    )
    run([toy()], [Model(Letters(), label="first"), "random"], tmp_path / "run")
    fewer = Toy()
    fewer.items = fewer.items[1:]
    assert overlap(corpus, toy(load=lambda fast: fewer), results=tmp_path / "run").notes == (
        "first: its result is of other items than the task has now; run it again.",
        "random: not applicable.",
    )
    (note,) = overlap(corpus, toy("toy.other"), results=tmp_path / "run").notes
    assert note.endswith("has no result of toy.other.")
    with pytest.raises(DataError, match="only 2 results of whole runs"):
        overlap(corpus, toy(), results=tmp_path / "run", fast=True)


def test_files_of_the_user(corpus):
    def load(fast):
        assert given_file("pairs").exists()
        return Toy()

    assert overlap(corpus, toy(load=load), files={"pairs": corpus}).counts["flagged"] == 3
    with pytest.raises(DataError, match="pairs=PATH"):
        overlap(corpus, toy(load=load))


def test_what_is_no_language_task(corpus, planted_task):
    with pytest.raises(InputError, match=r"`toy.parity` asks no language model"):
        overlap(corpus, planted_task())
    with pytest.raises(InputError, match="`gene_property` is no single task; there are gene_property"):
        overlap(corpus, "gene_property")
    with pytest.raises(InputError, match="There is no task 'medicine'"):
        overlap(corpus, "medicine")


@pytest.mark.parametrize("split", ["train", "validation"])
def test_the_official_test_of_pubmedqa_is_not_in_our_corpus(mirror, tmp_path, split):
    build_corpus("pubmedqa", tmp_path / "corpus")
    questions, official = load("pubmedqa", "questions"), load("pubmedqa", "test")
    texts = {id: "\n".join([*questions[id]["CONTEXTS"], questions[id]["QUESTION"]]) for id in official}
    found = shares(texts, corpus_texts(tmp_path / "corpus", split=split))
    assert len(found) == 500
    assert found["share_8"].max() < 0.03
    assert shares(texts, corpus_texts(tmp_path / "corpus", split="test"))["flagged"].all()


def test_what_the_demonstration_of_huatuogpt_holds(mirror):
    path = mirror / "qa_text" / "huatuogpt_o1_demo_data.json"
    medmcqa = {row["id"]: [row["question"], *(row[f"op{o}"] for o in "abcd")] for row in load("medmcqa", "dev")}
    rows = load("medqa", "test")
    medqa = {f"{n}": [row["question"], *row["options"].values()] for n, row in enumerate(rows)}
    mmlu = {
        f"{subject} {n}": row[["question", *"ABCD"]].tolist()
        for subject, table in load("mmlu_medical").items()
        for n, (_, row) in enumerate(table.iterrows())
    }
    flagged = []
    for texts in (medmcqa, medqa, mmlu):
        found = shares({name: "\n".join(map(str, parts)) for name, parts in texts.items()}, corpus_texts(path))
        flagged.append(int(found["flagged"].sum()))
        assert (found.loc[found["flagged"], "share_8"] == 1).all()
    assert [len(medmcqa), len(medqa), len(mmlu)] == [4183, 1273, 1089]
    assert flagged == [3, 0, 0]
