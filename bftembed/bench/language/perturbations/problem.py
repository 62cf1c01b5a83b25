"""What a perturbation does to a gene: asked of a language model, and scored within the gene."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd

from bftembed.bench.asking.questions import Item
from bftembed.bench.base import Evaluation, LanguageProblem
from bftembed.bench.language.perturbations.answers import N_SAMPLES, margins, ranked, sample_id, signs, written
from bftembed.bench.language.perturbations.controls import controls
from bftembed.bench.language.perturbations.evidence import Evidence, alike_by_words
from bftembed.bench.language.perturbations.pairs import asked_pairs, checked_pairs, ids_of
from bftembed.bench.language.perturbations.prompts import ANSWERS, Asked, Effect, Perturbation, Wording
from bftembed.bench.language.perturbations.questions import PRESETS, PRIOR, SHUFFLED, Preset, Prompts
from bftembed.bench.language.perturbations.scores import ANSWERED, Sample, best_threshold, less
from bftembed.bench.scoring.scores import Score, digest_of
from bftembed.engines import Sampling
from bftembed.errors import DataError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from bftembed.bench.asking.asker import Asker
    from bftembed.bench.asking.questions import Answer, Question
    from bftembed.bench.language.perturbations.answers import Reading
    from bftembed.bench.language.perturbations.evidence import Alike
    from bftembed.encoders import Encoder

    Floats = NDArray[np.float64]

#: Training pairs of each read-out that are asked too, for the threshold of F1 and for the contrast.
N_REFERENCES = 2
_REFERENCE = "training pairs"
_ABOVE_ZERO = float(np.nextafter(0, 1))
_SAMPLING = Sampling(max_new_tokens=512, temperature=0.6, top_p=0.9)
_WARNING = (
    "Pooled scores say nothing: each gene's share of yes in train, which knows no perturbation, has the pooled AUROC "
    "beside them, and exactly 0.5 within genes."
)


class PerturbationReasoning(LanguageProblem):
    """Whether a perturbation changes the expression of a gene, or in which direction, for unseen perturbations.

    The main score is the AUROC over the tested perturbations of one read-out gene, averaged over the genes that have
    both answers in the test (Wu et al. 2025). Only pairs of these genes are asked. The second main score is the
    accuracy on pairs that are balanced within the gene, where every constant answer scores 0.5.

    Answers are the log-probability of yes less that of no (of increase, less decrease). A few training pairs of each
    gene are asked too: they give the threshold of F1, and what the model says of the gene whatever is perturbed, which
    ``contrast`` takes off. With the preset ``steps`` three texts are drawn, and their answers averaged.

    Parameters
    ----------
    pairs
        ``pert``, ``gene``, ``label`` (0 or 1; in ``"dir"`` 1 is an increase), ``split`` (train or test) and, where
        there are several cell lines, ``cell``; see `checked_pairs`. A cell line without training pairs of its own is
        answered from those of all others. Where all cell lines of the test are new, a perturbation may train in others.
    mode
        ``"de"``: does the expression change; ``"dir"``: in which direction.
    perturbation
        ``"crispri"`` or ``"drug"``.
    pert_texts, gene_texts
        What a prompt says of perturbations and genes, by name. A gene without one is said to have none, of a drug
        without one nothing is said.
    preset
        ``"bare"``: the question alone; ``"described"``: with the texts and a sentence on the cell line; ``"evidence"``:
        and with ten training outcomes near the question, ``"evidence_as_released"`` with ten at random,
        ``"evidence_shuffled"`` with the near ones, answers permuted within the gene; ``"steps"``: ``"evidence"`` with
        reasoning in steps.
    cell
        The cell line, if `pairs` do not say; a name that is not known gets no sentence.
    alike, genes_alike
        Likeness of perturbations, and of genes, by which outcomes are near; by default of the words of the texts.
    removed
        What was removed before, for the report.
    fast
        Ask 12 genes, of each 4 pairs with either answer.

    Raises
    ------
    DataError
        If the pairs are not as `checked_pairs` wants them, none is of train, or no gene has both answers in the test.
    InputError
        If there is no such mode, kind of perturbation or preset.

    Examples
    --------
    >>> pairs = pd.DataFrame(
    ...     [("MED1", "MYC", 1, "train"), ("MED9", "MYC", 1, "test"), ("TP53", "MYC", 0, "test")],
    ...     columns=["pert", "gene", "label", "split"],
    ... )
    >>> problem = PerturbationReasoning(
    ...     pairs, mode="de", perturbation="crispri", pert_texts={}, gene_texts={}, preset="bare", cell="K562"
    ... )
    >>> problem.questions()[0].request.user
    'The gene MED9 is knocked down by CRISPR interference in K562 cells. Does the expression of the gene MYC change, \
compared with control cells? Answer with one word: yes or no.'
    """

    def __init__(
        self,
        pairs: pd.DataFrame,
        *,
        mode: Effect,
        perturbation: Perturbation,
        pert_texts: Mapping[str, str],
        gene_texts: Mapping[str, str],
        preset: Preset = "described",
        cell: str = "",
        alike: Alike | None = None,
        genes_alike: Alike | None = None,
        removed: Mapping[str, int] | None = None,
        fast: bool = False,
    ) -> None:
        for name, value, choices in (
            ("mode", mode, get_args(Effect)),
            ("perturbation", perturbation, get_args(Perturbation)),
            ("preset", preset, PRESETS),
        ):
            if value not in choices:
                msg = f"`{name}` must be one of {', '.join(choices)}, got {value!r}."
                raise InputError(msg)
        self.preset, self.removed, self.sampling = preset, dict(removed or {}), _SAMPLING
        self.wording = Wording(mode, perturbation, pert_texts, gene_texts)
        checked = checked_pairs(pairs, cell=cell)
        train, self.test = checked[checked["split"] == "train"], checked[checked["split"] == "test"]
        if train.empty:
            msg = "No pair is of train, which evidence and controls are made of."
            raise DataError(msg)
        self.asked = asked_pairs(checked, fast=fast)
        self.evidence = Evidence(
            train,
            alike=alike or alike_by_words(_texts_of(checked["pert"], pert_texts)),
            genes_alike=genes_alike or alike_by_words(_texts_of(checked["gene"], gene_texts)),
        )
        self.prompts = Prompts(self.wording, self.evidence, preset, frozenset({*self.test["pert"]} - {*train["pert"]}))
        answers = tuple(option.strip() for option in self.wording.options)
        gold = np.where(self.asked["label"], *answers)
        ids = ids_of(self.asked)
        order = np.argsort(ids)
        self.asked = self.asked.iloc[order].reset_index(drop=True)
        self.items = [
            Item(ids[i], str(gold[i]), answers, group=str(self.asked["readout"].iloc[rank]), text=self._bare(rank))
            for rank, i in enumerate(order)
        ]

    @property
    def _ranks(self) -> bool:
        return self.preset != "steps"

    def _bare(self, row: int) -> str:
        return self.wording.prompt(_asked(self.asked, row))

    @cached_property
    def references(self) -> pd.DataFrame:
        """Training pairs of the asked genes, at most two of each, by SHA-256; in the cell line that answers for it."""
        rows: dict[int, str] = {}
        for gene, cell in dict.fromkeys(zip(self.asked["gene"], self.asked["cell"], strict=True)):
            of_gene = self.evidence.of_gene(gene, cell)
            few = sorted(of_gene, key=lambda i: digest_of([*self.evidence.outcomes[i][:3]]))[:N_REFERENCES]
            rows |= dict.fromkeys(few, f"{gene}|{cell}" if cell else gene)
        found = self.evidence.rows.iloc[list(rows)]
        return found.assign(answers_for=list(rows.values())).reset_index(drop=True)

    def questions(self) -> list[Question]:
        """A prompt for each asked pair; in rank mode those of training pairs, of the prior and of shuffled evidence."""
        self.evidence.know([*self.asked["pert"], *self.references["pert"]])
        items = [(item.id, _asked(self.asked, row)) for row, item in enumerate(self.items)]
        question = self.prompts.question
        questions = [question(name, asked, item=name) for name, asked in items]
        if not self._ranks:
            return questions
        for row, name in enumerate(ids_of(self.references)):
            questions.append(question(f"train:{name}", _asked(self.references, row), item=name, row=_REFERENCE))
        questions.append(self.prompts.prior())
        if self.preset == "evidence":
            shuffled = replace(self.prompts, preset="evidence_shuffled")
            questions += [
                shuffled.question(f"shuffled:{name}", asked, item=name, row=SHUFFLED) for name, asked in items
            ]
        return questions

    def ask(self, asker: Asker) -> dict[str, Answer]:
        """Answers by question; of written ones three, drawn with a seed each, under `sample_id`."""
        questions = self.questions()
        if self._ranks:
            return asker.answer(questions)
        found: dict[str, Answer] = {}
        for seed in range(N_SAMPLES):
            answers = asker.answer(questions, sampling=replace(self.sampling, seed=seed))
            found |= {sample_id(name, seed): answer for name, answer in answers.items()}
        return found

    @cached_property
    def sample(self) -> Sample:
        """The asked pairs, as they are scored."""
        return Sample(self.asked)

    @cached_property
    def _controls(self) -> list[Score]:
        return controls(self.evidence, self.asked, self.test, self.sample)

    def evaluate(self, answers: Mapping[str, Answer], *, encoder: Encoder | None = None) -> Evaluation:
        """Score answers by the ids that `ask` gives."""
        del encoder
        ids, sample = [item.id for item in self.items], self.sample
        read = ranked(answers, ids) if self._ranks else written(answers, ids, self.wording.effect)
        extra = self._ranked_rows(answers, read) if self._ranks else _Extra(f1_from=_ABOVE_ZERO)
        main, yes = sample.per_gene(read.method, read.score), np.nan_to_num(read.score, nan=-np.inf) >= extra.f1_from
        scores = [
            main,
            sample.accuracy(read.method, read.guess),
            sample.per_perturbation(read.method, read.score),
            sample.f1(read.method, yes),
            Score(read.method, ANSWERED, np.array([[read.answered]])),
            less(main, self._controls[0]),
            *extra.scores,
            *sample.pooled(read.method, read.score, read.guess),
        ]
        return Evaluation(
            scores=scores,
            baselines=[*self._controls, *extra.controls],
            items=ids,
            counts={**self._counts(), **read.counts},
            notes=[_WARNING, *extra.notes],
        )

    def _ranked_rows(self, answers: Mapping[str, Answer], read: Reading) -> _Extra:
        """What training pairs, the question without names and permuted evidence tell of margins."""
        references = margins(answers, [f"train:{name}" for name in ids_of(self.references)])
        threshold = best_threshold(self.references["label"].to_numpy(dtype=bool), references)
        above = read.score - self._usual(references)
        prior = float(margins(answers, ["prior"])[0])
        yes, no = ANSWERS[self.wording.effect]
        extra = _Extra(
            f1_from=_ABOVE_ZERO if threshold is None else threshold,
            scores=[self.sample.accuracy("contrast", signs(above)), self.sample.per_perturbation("contrast", above)],
            controls=[
                self.sample.accuracy(PRIOR, np.full(len(above), np.sign(np.nan_to_num(prior)), dtype=int)),
                self.sample.accuracy("less prior", signs(read.score - prior)),
            ],
            notes=[
                "The training pairs that were asked have one answer: F1 is of yes above no."
                if threshold is None
                else f"F1 is of margins from {threshold:.3f} on, the best on {len(references)} training pairs.",
                f"Without perturbation and gene, log p({yes}) - log p({no}) is {prior:.3f}.",
            ],
        )
        if self.preset == "evidence":
            shuffled = margins(answers, [f"shuffled:{item.id}" for item in self.items])
            extra.controls.append(self.sample.per_gene(SHUFFLED, shuffled))
            extra.controls.append(self.sample.accuracy(SHUFFLED, signs(shuffled)))
        return extra

    def _usual(self, references: Floats) -> Floats:
        """Margin (n,) of an asked pair's gene under training perturbations; the mean of all for a gene without."""
        known = pd.Series(references, dtype=float)
        means = known.groupby(self.references["answers_for"]).mean()
        overall = known.mean() if known.notna().any() else 0.0
        return np.asarray(self.asked["readout"].map(means).fillna(overall), dtype=np.float64)

    def _counts(self) -> dict[str, int]:
        asked, wording = self.asked, self.wording
        counts = {
            "pairs asked": len(asked),
            "with yes": int(asked["label"].sum()),
            "balanced pairs": int(self.sample.balanced.sum()),
            "genes scored": asked["readout"].nunique(),
            "perturbations": asked["pert"].nunique(),
            "pairs of the test that are not asked": len(self.test) - len(asked),
            "training pairs asked": len(self.references) if self._ranks else 0,
        }
        if self.preset != "bare":
            counts |= {
                "perturbations without text": sum(not wording.pert_texts.get(name) for name in set(asked["pert"])),
                "genes without text": sum(not wording.gene_texts.get(name) for name in set(asked["gene"])),
            }
        return counts


@dataclass
class _Extra:
    """Rows and notes that only margins have, and from which score on F1 counts a yes."""

    f1_from: float
    scores: list[Score] = field(default_factory=list)
    controls: list[Score] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _asked(rows: pd.DataFrame, row: int) -> Asked:
    return Asked(*(str(rows[column].iloc[row]) for column in Asked._fields))


def _texts_of(names: pd.Series[Any], texts: Mapping[str, str]) -> dict[str, str]:
    return {name: texts[name] for name in sorted(set(names)) if texts.get(name)}
