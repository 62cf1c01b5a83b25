"""Naming gene sets by stages, with the claims behind each name looked up and judged."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from bftembed.bench.asking.questions import Answer, Question
from bftembed.bench.language.gene_set_names.answers import read_answer
from bftembed.bench.language.gene_set_names.problem import SetNames
from bftembed.bench.language.gene_set_names.scores import NameScorer
from bftembed.bench.scoring.clusters import group_weights
from bftembed.engines import Completion
from bftembed.naming import Naming, Tools, cascade, clean_name
from bftembed.naming.cascade import set_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bftembed.bench.asking.asker import Asker
    from bftembed.bench.base import Evaluation
    from bftembed.encoders import Encoder
    from bftembed.engines import Request
    from bftembed.engines.values import FinishReason
    from bftembed.naming.cascade import Ask

#: Row of the names that the model gave before its claims were checked, of the same answers.
BEFORE = "before the claims were checked"
_FINISHED: dict[str, FinishReason] = {"ok": "stop", "cut": "length", "too_long": "error", "error": "error"}


class CheckedSetNames(SetNames):
    """Gene sets that a model names, and names again after its claims were checked (`bftembed.naming.cascade`).

    Where the sets are terms of the collection, the enrichment that claims are looked up in may not find them.

    Parameters
    ----------
    As of `SetNames`.

    Examples
    --------
    >>> from bftembed.bench import CheckedSetNames, GeneSet
    >>> from bftembed.naming import TermSets
    >>> sets = [GeneSet("1", "mismatch repair", ("MLH1", "MSH2")), GeneSet("2", "oxygen transport", ("HBA1", "HBB"))]
    >>> terms = TermSets({"mismatch repair": ["MLH1", "MSH2", "MSH6"], "globins": ["HBA1", "HBB"]})
    >>> [item.id for item in CheckedSetNames(sets, terms=terms).items]
    ['1', '2']
    """

    def ask(self, asker: Asker) -> dict[str, Answer]:
        """First names and those of the control, then a round for each stage; ids of its answers begin with its name."""
        answers = dict(super().ask(asker))

        def ask(requests: Sequence[Request]) -> list[Completion]:
            questions = [Question(each, set_of(each.id), row=each.id.partition(":")[0]) for each in requests]
            found = asker.answer(questions, sampling=self.sampling)
            answers.update(found)
            return [_completion(found[each.id]) for each in requests]

        self._checked(ask)
        return answers

    def evaluate(self, answers: Mapping[str, Answer], *, encoder: Encoder) -> Evaluation:
        """Score the last names as `SetNames` does, with a row of the first ones; claims are counted.

        The stages are gone through once more on these answers.
        """
        namings = self._checked(lambda requests: [_completion(_of(answers, each.id)) for each in requests])
        last = {
            each.id: answers[f"revision:{each.id}" if _is_revised(namings[each.id]) else each.id] for each in self.sets
        }
        found = super().evaluate({**answers, **last}, encoder=encoder)
        scorer = NameScorer(self.golds, self.background, group_weights(self.golds), encoder)
        first = [clean_name(read_answer(answers[each.id]).name) for each in self.sets]
        return replace(
            found,
            baselines=[*scorer.scores(BEFORE, first), *found.baselines],
            counts={**found.counts, **_counts(namings.values())},
            notes=[
                *found.notes,
                "A supported claim is one for which the model found a line of evidence that is about it.",
            ],
        )

    def _checked(self, ask: Ask) -> dict[str, Naming]:
        genes = {each.id: each.genes for each in self.sets}
        own = {each.id: each.name for each in self.sets} if self.knows_terms else {}
        return cascade(genes, ask, self._tools, left_out=own, summarise=False)

    @cached_property
    def _tools(self) -> Tools:
        return Tools.local(self.terms)


def _is_revised(naming: Naming) -> bool:
    return naming.named is not naming.first


def _of(answers: Mapping[str, Answer], id: str) -> Answer:
    return answers.get(id, Answer(id, "error", error="it was not asked"))


def _completion(answer: Answer) -> Completion:
    return Completion(answer.id, answer.text, _FINISHED[answer.status], error=answer.error or None)


def _counts(namings: Collection[Naming]) -> dict[str, int]:
    verdicts = Counter(claim.verdict for naming in namings for claim in naming.claims)
    stages = Counter(stage for naming in namings for stage in naming.kept_at)
    return {
        "names changed by the check": sum(
            naming.named.name != naming.first.name for naming in namings if naming.named and naming.first
        ),
        **{f"claims {verdict}": n for verdict, n in sorted(verdicts.items())},
        "calls of tools": sum(naming.n_calls for naming in namings),
        "calls refused": sum(naming.n_refused_calls for naming in namings),
        **{f"failed at {stage}, kept": n for stage, n in sorted(stages.items())},
    }
