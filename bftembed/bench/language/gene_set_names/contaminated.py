"""Gene sets of which some or all genes were replaced: a model should say that these have nothing in common."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bftembed.bench.asking.questions import Item, Question
from bftembed.bench.base import Evaluation, LanguageProblem
from bftembed.bench.language.gene_set_names.answers import answer_counts, read_answer
from bftembed.bench.language.gene_set_names.problem import MAX_NEW_TOKENS
from bftembed.bench.language.gene_set_names.scores import NameScorer
from bftembed.bench.language.gene_set_names.sets import GeneSet, known_sets
from bftembed.bench.scoring.clusters import group_weights
from bftembed.bench.scoring.metrics import auroc, balanced_accuracy, drawn, f1, mean, plain, spearman
from bftembed.bench.scoring.scores import Score
from bftembed.engines import Sampling
from bftembed.errors import DataError
from bftembed.naming import UNRELATED, clean_name, naming_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from bftembed.bench.asking.questions import Answer
    from bftembed.bench.scoring.metrics import Metric
    from bftembed.encoders import Encoder
    from bftembed.naming import TermSets

REAL, HALF, REPLACED = STRATA = ("real", "half replaced", "all replaced")
#: Enrichment calls a set unrelated where its best term has no smaller p-value.
P_LIMIT = 1e-5


class ContaminatedSets(LanguageProblem):
    """Sets as they are, with half and with all of their genes replaced by random ones.

    The main score is the F1 of calling a set unrelated, of those with all genes replaced against the real ones. A model
    that never does has 0, one that always does has 2/3 where there are as many of both.

    Parameters
    ----------
    sets
        The real sets by id.
    half, replaced
        Genes of the same sets after replacement, by id.
    terms
        Gene sets of the control that goes by the p-value of the best term.
    background
        Names among which the name of a real set is looked for.

    Raises
    ------
    DataError
        If one of the sets lacks a variant, or no set has two known genes.

    Examples
    --------
    >>> from bftembed.bench import ContaminatedSets, GeneSet
    >>> from bftembed.naming import TermSets
    >>> sets = [GeneSet("1", "mismatch repair", ("MLH1", "MSH2"))]
    >>> terms = TermSets({"mismatch repair": ["MLH1", "MSH2", "MSH6"], "globins": ["HBA1", "HBB"]})
    >>> problem = ContaminatedSets(sets, half={"1": ["MLH1", "ALB"]}, replaced={"1": ["INS", "ALB"]}, terms=terms)
    >>> [item.id for item in problem.items]
    ['1 all replaced', '1 half replaced', '1 real']
    """

    def __init__(
        self,
        sets: Sequence[GeneSet],
        *,
        half: Mapping[str, Sequence[str]],
        replaced: Mapping[str, Sequence[str]],
        terms: TermSets,
        background: Iterable[str] = (),
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> None:
        ids = {each.id for each in sets}
        if ids != set(half) or ids != set(replaced):
            msg = "Every set needs a variant with half and one with all of its genes replaced, under its own id."
            raise DataError(msg)
        known, self.removed, self._counts = known_sets(sets)
        self.terms, self.background = terms, sorted({clean_name(name) for name in background})
        self._variants = {
            (stratum, each.id): GeneSet(f"{each.id} {stratum}", each.name, tuple(genes))
            for each in known
            for stratum, genes in ((REAL, each.genes), (HALF, half[each.id]), (REPLACED, replaced[each.id]))
        }
        self.sets = known
        self.items = sorted(
            (
                Item(each.id, _gold(each, stratum), group=id, stratum=stratum, text=", ".join(each.genes))
                for (stratum, id), each in self._variants.items()
            ),
            key=lambda item: item.id,
        )
        self.sampling = Sampling(max_new_tokens=max_new_tokens)

    def questions(self) -> list[Question]:
        """The three variants of each set."""
        return [Question(naming_request(each.id, each.genes), each.id) for each in self._variants.values()]

    def evaluate(self, answers: Mapping[str, Answer], *, encoder: Encoder) -> Evaluation:
        """Score refusals and confidences; names of real sets as in `SetNames`."""
        given = [answers[each.id] for each in self._variants.values()]
        named = {key: read_answer(answers[each.id]) for key, each in self._variants.items()}
        confidence = {key: math.nan if each.confidence is None else each.confidence for key, each in named.items()}
        scores = self._refusals("language model", {key: each.unrelated for key, each in named.items()}, confidence)
        real = [clean_name(named[REAL, each.id].name) for each in self.sets]
        scores += self._names(real, np.array([confidence[REAL, each.id] for each in self.sets]), encoder)
        return Evaluation(
            scores,
            self._controls(),
            [item.id for item in self.items],
            counts={**self._counts, **answer_counts(given, list(named.values()))},
            notes=["A confidence that is missing counts against the model in the AUROC, and is left out of means."],
        )

    def _controls(self) -> list[Score]:
        always, never = dict.fromkeys(self._variants, True), dict.fromkeys(self._variants, math.nan)
        rows = [score for score in self._refusals("always unrelated", always, never) if score.metric in _REFUSING]
        for method, own in (("enrichment", False), ("enrichment (knows the term)", True)):
            p = self._p_values[own]
            refused = {key: value >= P_LIMIT for key, value in p.items()}
            scores = self._refusals(method, refused, {key: -math.log10(max(value, 1e-300)) for key, value in p.items()})
            rows += [Score(s.method, s.metric, s.values, s.draws, not own) for s in scores if s.metric in _RANKING]
        return rows

    @cached_property
    def _p_values(self) -> dict[bool, dict[tuple[str, str], float]]:
        """P-value of the best term of each variant; `True`: the term that the set is may be found."""

        def best(each: GeneSet, own: bool) -> float:  # noqa: FBT001
            found = self.terms.enrich(each.genes, without=None if own else each.name, top=1)
            return found[0].p_value if found else 1.0

        return {own: {key: best(each, own) for key, each in self._variants.items()} for own in (False, True)}

    def _refusals(
        self, method: str, refused: Mapping[tuple[str, str], bool], confidence: Mapping[tuple[str, str], float]
    ) -> list[Score]:
        ids = [each.id for each in self.sets]
        one = group_weights(ids)
        truth = np.array([stratum == REPLACED for stratum in (REAL, REPLACED) for _ in ids])
        both = np.concatenate([one, one], axis=1)

        def pair(values: Mapping[tuple[str, str], float]) -> NDArray[np.float64]:
            return np.array([values[stratum, id] for stratum in (REAL, REPLACED) for id in ids], dtype=float)

        def score(metric: str, function: Metric, guess: NDArray[np.float64]) -> Score:
            return Score(
                method, metric, np.array([[plain(function, truth, guess)]]), drawn(function, truth, guess, both)
            )

        stated = pair(confidence)
        worst = np.where(np.isnan(stated), np.where(truth, np.inf, -np.inf), stated)
        found = [
            score("f1 of unrelated", f1, pair(refused).astype(bool)),
            score("balanced accuracy", balanced_accuracy, pair(refused).astype(bool)),
            score("auroc of confidence", auroc, -worst),
        ]
        for stratum in STRATA:
            values = np.array([confidence[stratum, id] for id in ids])
            known = ~np.isnan(values)
            value = float(values[known].mean()) if known.any() else math.nan
            draws = mean(values[known], one[:, known]) if known.any() else None
            found.append(Score(method, f"mean confidence, {stratum}", np.array([[value]]), draws))
        return found

    def _names(self, names: Sequence[str], confidence: NDArray[np.float64], encoder: Encoder) -> list[Score]:
        weights = group_weights([each.id for each in self.sets])
        scorer = NameScorer([clean_name(each.name) for each in self.sets], self.background, weights, encoder)
        scores = scorer.scores("language model", names)
        known = ~np.isnan(confidence)
        percentile = scorer.values(names)["percentile"]
        correlation, draws = math.nan, None
        if known.sum() > 2:
            correlation = plain(spearman, percentile[known], confidence[known])
            draws = drawn(spearman, percentile[known], confidence[known], weights[:, known])
        together = Score("language model", "spearman of confidence and percentile", np.array([[correlation]]), draws)
        return [*scores, together]


def _gold(each: GeneSet, stratum: str) -> str:
    """Nobody knows what a set is called of which half was replaced."""
    return {REAL: clean_name(each.name), HALF: "", REPLACED: clean_name(UNRELATED)}[stratum]


_REFUSING = ("f1 of unrelated", "balanced accuracy")
_RANKING = (*_REFUSING, "auroc of confidence")
