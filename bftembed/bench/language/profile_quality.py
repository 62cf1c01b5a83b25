"""Profiles that a language model writes of genes, held against the gene tables."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bftembed.bench.asking.questions import Answer, Item, Question
from bftembed.bench.base import Evaluation, LanguageProblem
from bftembed.bench.scoring.scores import Score, item_weights
from bftembed.bench.sources.base import NotApplicableError
from bftembed.bench.sources.texts import Profiles
from bftembed.engines import Sampling
from bftembed.profiles import clean, load_template
from bftembed.quality import MAIN, check_texts, deranged, gene_annotations, measure_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bftembed.bench.sources.base import Source
    from bftembed.encoders import Encoder
    from bftembed.profiles import Entity

_MEASURES = (
    *(MAIN, "masked reciprocal rank (TF-IDF)", "masked first (TF-IDF)", "first (TF-IDF)"),
    *(f"{name} {worth}" for name in ("chromosome", "band", "full name", "family") for worth in ("right", "wrong")),
    *("unknown symbols", "refusal", "repetition", "n_words"),
)
#: Tokens of a text: annotations have 112 words in the mean.
_TOKENS = 160


class ProfileQuality(LanguageProblem):
    """Texts of genes as the package has them written, and whether they are accurate.

    A model is given the prompts of the template ``gene``; of a profile store (``profiles:STORE``) the texts are taken
    as they are, of those of the genes that it has. Scores are `bftembed.quality.measure_values`, the first of them how
    far up the gene's own annotation stands among all, names taken out of the text. Baselines: the same texts under
    other genes, the bare symbol, and the facts themselves, which are not to be beaten.

    Parameters
    ----------
    entities
        Genes, with the facts that go into the prompts.
    max_new_tokens
        Most tokens of a text.
    removed
        What was left out before, and how many.

    Examples
    --------
    >>> from bftembed.bench import ProfileQuality
    >>> from bftembed.profiles import Entity
    >>> problem = ProfileQuality([Entity("gene", "TP53"), Entity("gene", "CTSL")])
    >>> [question.item for question in problem.questions()]
    ['CTSL', 'TP53']
    """

    def __init__(
        self, entities: Sequence[Entity], *, max_new_tokens: int = _TOKENS, removed: Mapping[str, int] | None = None
    ) -> None:
        self._entities = sorted(entities, key=lambda entity: entity.id)
        self.items = [Item(entity.id, gold=entity.id, text=entity.id) for entity in self._entities]
        self.removed = dict(removed or {})
        self.sampling = Sampling(max_new_tokens=max_new_tokens)

    def questions(self) -> list[Question]:
        """One prompt for each gene."""
        template = load_template("gene")
        return [Question(template.render(entity), entity.id) for entity in self._entities]

    def given(self, source: Source) -> Mapping[str, Answer] | None:
        """Texts of a profile store.

        Raises
        ------
        NotApplicableError
            If it has fewer than two of the genes.
        """
        if not isinstance(source, Profiles):
            return None
        texts = source.gene_texts()
        found = {item.id: Answer(item.id, text=texts[item.id]) for item in self.items if item.id in texts}
        if len(found) < 2:
            msg = f"`{source.label}` has texts of {len(found)} of the {len(self.items)} genes of this task; write more."
            raise NotApplicableError(msg)
        return found

    def evaluate(self, answers: Mapping[str, Answer], *, encoder: Encoder) -> Evaluation:
        """Clean and check the texts; what is no text is an empty one."""
        genes = [item.id for item in self.items if item.id in answers]
        counts = Counter({"genes without a text": len(self.items) - len(genes)} if len(genes) < len(self.items) else {})
        texts = []
        for gene in genes:
            answer = answers[gene]
            cleaned = clean(answer.text, finish_reason="length" if answer.status == "cut" else "stop")
            texts.append(cleaned.text)
            counts.update([status for status in (answer.status, cleaned.status) if status != "ok"])
        annotations = gene_annotations()
        own = pd.DataFrame({"gene": genes, "text": texts})
        rows = {
            "another gene's text": deranged(own),
            "bare symbol": own.assign(text=own["gene"]),
            "the facts": own.assign(text=[annotations.get(gene, "") for gene in genes]),
        }
        weights = item_weights(genes)
        baselines = [
            score
            for name, frame in rows.items()
            for score in _scores(name, frame, weights, to_beat=name != "the facts")
        ]
        return Evaluation(_scores("texts", own, weights), baselines, genes, dict(counts))


def _scores(method: str, texts: pd.DataFrame, weights: NDArray[np.float64], *, to_beat: bool = True) -> list[Score]:
    values = measure_values(check_texts(texts))
    return [_mean(method, measure, values[measure].to_numpy(), weights, to_beat=to_beat) for measure in _MEASURES]


def _mean(
    method: str, measure: str, values: NDArray[np.float64], weights: NDArray[np.float64], *, to_beat: bool
) -> Score:
    draws = weights @ values / weights.sum(axis=1)
    return Score(method, measure, np.array([[values.mean()]]), draws, to_beat=to_beat)
