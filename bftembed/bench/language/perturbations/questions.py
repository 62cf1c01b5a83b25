"""Questions on pairs, by preset: what of texts and training outcomes stands in a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from bftembed.bench.asking.questions import Question
from bftembed.bench.language.perturbations.prompts import PREFIX, SYSTEM
from bftembed.engines import Request
from bftembed.errors import DataError

if TYPE_CHECKING:
    from bftembed.bench.language.perturbations.evidence import Evidence, Outcome
    from bftembed.bench.language.perturbations.prompts import Asked, Wording

Preset = Literal["bare", "described", "evidence", "evidence_as_released", "evidence_shuffled", "steps"]
PRESETS: tuple[Preset, ...] = get_args(Preset)
PRIOR, SHUFFLED = "prior", "shuffled evidence"


@dataclass(frozen=True)
class Prompts:
    """How pairs are asked.

    Attributes
    ----------
    wording
        The words.
    evidence
        Training outcomes.
    preset
        What stands in a prompt, see `PerturbationReasoning`.
    tested
        Perturbations that are only tested: outcomes of none of them may be shown.
    """

    wording: Wording
    evidence: Evidence
    preset: Preset
    tested: frozenset[str]

    def shown(self, asked: Asked) -> list[Outcome]:
        """Training outcomes that stand in the prompt of a pair.

        Raises
        ------
        DataError
            If one is of a tested perturbation.
        """
        evidence = self.evidence
        if self.preset in ("bare", "described"):
            return []
        if self.preset == "evidence_as_released":
            found = [evidence.outcomes[i] for i in evidence.random(*asked)]
        else:
            outcomes = evidence.permuted if self.preset == "evidence_shuffled" else evidence.outcomes
            found = [outcomes[i] for i in evidence.near(*asked)]
        if leaks := [outcome.pert for outcome in found if outcome.pert in self.tested]:
            msg = f"The tested perturbation {leaks[0]} stands in the evidence for {asked.pert} and {asked.gene}."
            raise DataError(msg)
        return found

    def question(self, name: str, asked: Asked, *, item: str, row: str = "") -> Question:
        """The question on a pair: by the preset ``steps`` a text is wanted, else log-probabilities of the answers."""
        steps = self.preset == "steps"
        prompt = self.wording.prompt(asked, described=self.preset != "bare", outcomes=self.shown(asked), steps=steps)
        if steps:
            return Question(Request(name, prompt, SYSTEM), item, row=row)
        return Question(Request(name, prompt, SYSTEM, prefix=PREFIX), item, self.wording.options, row=row)

    def prior(self) -> Question:
        """The question without perturbation, gene and cells."""
        request = Request(PRIOR, self.wording.prior(), SYSTEM, prefix=PREFIX)
        return Question(request, "", self.wording.options, row=PRIOR)
