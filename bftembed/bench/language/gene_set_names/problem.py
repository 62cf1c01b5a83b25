"""Naming the process that the genes of a set have in common."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from bftembed.bench.asking.questions import Item, Question
from bftembed.bench.base import Evaluation, LanguageProblem
from bftembed.bench.language.gene_set_names.answers import another_name, answer_counts, random_genes, read_answer
from bftembed.bench.language.gene_set_names.scores import NameScorer
from bftembed.bench.language.gene_set_names.sets import fewer_genes, known_sets, term_names, top_terms
from bftembed.bench.scoring.clusters import group_weights
from bftembed.bench.scoring.metrics import mean
from bftembed.bench.scoring.rouge import best_constant
from bftembed.bench.scoring.scores import Score
from bftembed.engines import Sampling
from bftembed.naming import clean_name, naming_request
from bftembed.naming.parsing import NO_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bftembed.bench.asking.questions import Answer
    from bftembed.bench.language.gene_set_names.sets import GeneSet
    from bftembed.encoders import Encoder
    from bftembed.naming import Term, TermSets

#: Control row: the same questions about as many genes drawn at random, scored by the names of the sets that they
#: stand for.
PRIOR = "prior (random genes)"
MAX_NEW_TOKENS = 512


class SetNames(LanguageProblem):
    """Gene sets whose process a language model names; scored by how near its name is to the one that they have.

    Where questions build on answers, override `ask`: it returns answers by the id of the question, the final one of a
    set under the set's own id; what else it returns is handed to `evaluate` too.

    Parameters
    ----------
    sets
        To be named; ids and names are shown to no model.
    terms
        Gene sets of the control that names a set by its most over-represented term.
    knows_terms
        Whether the sets are themselves terms of that collection: the control then leaves out each set's own term, and
        stands there a second time with it, as a warning.
    background
        Names among which a set's own is looked for.
    removed
        What was removed before.
    max_new_tokens
        Most tokens of an answer.
    max_genes
        Show no more genes of a set than this, chosen by SHA-256 of their symbols; by default all, and a set that
        exceeds the model's window is counted, and wrong.
    orders
        Ask as often again with the genes in random orders, and score whether the name stays the same.

    Raises
    ------
    DataError
        If two sets have one id, or none has two known genes.

    Examples
    --------
    >>> from bftembed.bench import GeneSet, SetNames
    >>> from bftembed.naming import TermSets
    >>> sets = [GeneSet("1", "mismatch repair", ("MLH1", "MSH2")), GeneSet("2", "oxygen transport", ("HBA1", "HBB"))]
    >>> terms = TermSets({"mismatch repair": ["MLH1", "MSH2", "MSH6"], "globins": ["HBA1", "HBB"]})
    >>> [item.gold for item in SetNames(sets, terms=terms).items]
    ['mismatch repair', 'oxygen transport']
    """

    def __init__(
        self,
        sets: Sequence[GeneSet],
        *,
        terms: TermSets,
        knows_terms: bool = False,
        background: Iterable[str] = (),
        removed: Mapping[str, int] | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
        max_genes: int | None = None,
        orders: int = 0,
    ) -> None:
        self.sets, few, self._counts = known_sets(sets)
        if max_genes is not None:
            cut = [fewer_genes(each, max_genes) for each in self.sets]
            n_cut = sum(one != each for one, each in zip(cut, self.sets, strict=True))
            self.sets, self._counts = cut, {**self._counts, f"sets cut to {max_genes} genes": n_cut}
        self._orders = range(1, orders + 1)
        self.removed = {**(removed or {}), **few}
        self.terms, self.knows_terms = terms, knows_terms
        self.golds = [clean_name(each.name) for each in self.sets]
        self.background = sorted({clean_name(name) for name in background})
        self.items = [
            Item(each.id, gold, group=gold, text=", ".join(each.genes))
            for each, gold in zip(self.sets, self.golds, strict=True)
        ]
        self.sampling = Sampling(max_new_tokens=max_new_tokens)

    @classmethod
    def of(cls, problem: SetNames, *, orders: int = 0) -> Self:
        """The same sets as those of another problem, asked in the way of this class."""
        return cls(
            problem.sets,
            terms=problem.terms,
            knows_terms=problem.knows_terms,
            background=problem.background,
            removed=problem.removed,
            max_new_tokens=problem.sampling.max_new_tokens,
            orders=orders,
        )

    def questions(self) -> list[Question]:
        """Each set, as many random genes, and the set in other orders."""
        pool = sorted(self.terms.background)
        return [
            question
            for each in self.sets
            for question in (
                Question(naming_request(each.id, each.genes), each.id),
                Question(naming_request(f"{PRIOR} {each.id}", random_genes(each, pool)), each.id, row=PRIOR),
                *(
                    Question(naming_request(_in_order(each, k), each.genes, seed=k), each.id, row=f"order {k}")
                    for k in self._orders
                ),
            )
        ]

    def evaluate(self, answers: Mapping[str, Answer], *, encoder: Encoder) -> Evaluation:
        """Score the names; a set without one is wrong in all metrics.

        A text that was cut counts as far as it goes: the name stands on its first line.
        """
        weights = group_weights(self.golds)
        scorer = NameScorer(self.golds, self.background, weights, encoder)
        named = [read_answer(answers[each.id]) for each in self.sets]
        priors = [read_answer(answers[f"{PRIOR} {each.id}"]) for each in self.sets]
        constant = self._constant
        return Evaluation(
            [
                *scorer.scores("language model", [clean_name(each.name) for each in named]),
                *self._agreement(answers, [clean_name(each.name) for each in named]),
            ],
            self._controls(scorer, [clean_name(each.name) for each in priors]),
            [item.id for item in self.items],
            counts={**self._counts, **answer_counts([answers[each.id] for each in self.sets], named)},
            notes=[
                f"The best constant name, by ROUGE-L on these very names, is `{constant}`.",
                f"A percentile is a rank among {len({*self.background, *self.golds}):,} names.",
            ],
        )

    def _agreement(self, answers: Mapping[str, Answer], names: Sequence[str]) -> list[Score]:
        """In which share of the sets the genes have the same name in whatever order they stand."""
        if not self._orders:
            return []
        others = [
            [clean_name(read_answer(answers[_in_order(each, k)]).name) for k in self._orders] for each in self.sets
        ]
        pairs = zip(names, others, strict=True)
        same = np.array([name != NO_NAME and set(given) == {name} for name, given in pairs])
        draws = mean(same, group_weights(self.golds))
        return [Score("language model", "same name in every order", np.array([[same.mean()]]), draws=draws)]

    def _controls(self, scorer: NameScorer, priors: list[str]) -> list[Score]:
        rows = [
            *scorer.scores("best constant name", [self._constant] * len(self.golds)),
            *scorer.scores("name of another set", another_name(self.golds)),
            *scorer.scores("enrichment", term_names(self._without_own, self.sets)),
        ]
        if self.knows_terms:
            known = term_names(top_terms(self.sets, self.terms, own=True), self.sets)
            rows += scorer.scores("enrichment (knows the term)", known, to_beat=False)
        return [*rows, *scorer.scores(PRIOR, priors)]

    @cached_property
    def _constant(self) -> str:
        return best_constant(self.golds)

    @cached_property
    def _without_own(self) -> dict[str, Term | None]:
        return top_terms(self.sets, self.terms, own=False)


def _in_order(each: GeneSet, k: int) -> str:
    return f"order {k} {each.id}"
