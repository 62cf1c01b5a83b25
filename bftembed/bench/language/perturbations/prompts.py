"""Questions on what a perturbation does to a gene, in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bftembed.bench.language.perturbations.evidence import Outcome

Effect = Literal["de", "dir"]
Perturbation = Literal["crispri", "drug"]

#: Answer that counts as yes (label 1), and the other.
ANSWERS: dict[Effect, tuple[str, str]] = {"de": ("yes", "no"), "dir": ("increase", "decrease")}
SYSTEM = "You are an expert in molecular biology. You predict what perturbations of human cells do to gene expression."
PREFIX = "Answer:"
UNKNOWN = "unknown"

_CELLS = {
    "k562": "is a chronic myeloid leukaemia line with the BCR-ABL1 fusion, erythroid-like, without functional p53",
    "rpe1": "is a near-diploid line of the retinal pigment epithelium, immortalised by hTERT, with functional p53",
    "hepg2": "is a line of a hepatocellular cancer with features of hepatocytes and functional p53",
    "hepg2c3a": "is a subclone of the liver cancer line HepG2, with features of hepatocytes and functional p53",
    "jurkat": "is an acute leukaemia line of T cells, without functional p53",
    "c32": "is an amelanotic melanoma line with a V600E mutation of BRAF",
    "hop62": "is a lung adenocarcinoma line with a mutation of KRAS",
    "hs766t": "is a pancreatic cancer line, taken from a lymph node metastasis, with a mutation of KRAS",
    "panc1": "is a pancreatic duct cancer line with mutations of KRAS and TP53",
}
_STEPS: dict[Effect, tuple[str, ...]] = {
    "de": (
        "What does {pert} do in these cells, and which processes and genes depend on it?",
        "What is {gene} for, and what controls its expression?",
        "Is there a chain of events from {pert} to {gene}: control, a shared complex or pathway, a stress response?",
        "What do the measured outcomes above, if there are any, say of a perturbation like this one?",
        "Weigh the chain against the outcomes, and decide.",
    ),
    "dir": (
        "What does {pert} do in these cells, and which processes and genes depend on it?",
        "What is {gene} for, and what raises or lowers its expression?",
        "Is there a chain of events from {pert} to {gene}?",
        "What is the sign of each link of that chain, and of the whole?",
        "Could a feedback, a compensation or a stress response turn the sign?",
        "What do the measured outcomes above, if there are any, say of a perturbation like this one?",
        "Weigh the chain against the outcomes, and decide.",
    ),
}


class Asked(NamedTuple):
    """What is asked about: names, as they stand in the prompt, and the cell line, which may be empty."""

    pert: str
    gene: str
    cell: str


@dataclass(frozen=True)
class Wording:
    """How questions of one kind are put.

    Attributes
    ----------
    effect
        ``"de"``: does the gene change; ``"dir"``: does it go up or down.
    perturbation
        ``"crispri"``: a gene is knocked down; ``"drug"``: cells are treated.
    pert_texts, gene_texts
        What is known of perturbations and of genes, by name.

    Examples
    --------
    >>> wording = Wording("de", "crispri", {}, {"MYC": "A transcription factor."})
    >>> print(wording.prompt(Asked("MED1", "MYC", "K562"), described=True))
    Perturbed gene MED1: no summary is known.
    Read-out gene MYC: A transcription factor.
    K562 is a chronic myeloid leukaemia line with the BCR-ABL1 fusion, erythroid-like, without functional p53.
    <BLANKLINE>
    The gene MED1 is knocked down by CRISPR interference in K562 cells. Does the expression of the gene MYC change, \
compared with control cells? Answer with one word: yes or no.
    """

    effect: Effect
    perturbation: Perturbation
    pert_texts: Mapping[str, str] = field(repr=False)
    gene_texts: Mapping[str, str] = field(repr=False)

    @property
    def options(self) -> tuple[str, str]:
        """What may follow `PREFIX`, the answer that counts as yes first."""
        yes, no = ANSWERS[self.effect]
        return f" {yes}", f" {no}"

    def prompt(
        self,
        asked: Asked,
        *,
        described: bool = False,
        outcomes: Sequence[Outcome] = (),
        steps: bool = False,
        reason: bool = False,
    ) -> str:
        """The whole prompt; texts go into it as they are, but for white space.

        An answer in one word is asked for; with `steps` after a chain of reasoning that may end in the unknown, with
        `reason` after a free one.
        """
        parts = [self._described(asked)] if described else []
        if outcomes:
            parts.append(self._measured(asked, outcomes))
        parts.append(f"{self._event(asked.pert, asked.cell)} {self._question(f'the gene {asked.gene}')}")
        if steps:
            parts.append(self._skeleton(asked))
        elif reason:
            ends = " or ".join(f"`{PREFIX} {word}`" for word in ANSWERS[self.effect])
            parts[-1] += f" Reason briefly, then end with a line of its own: {ends}."
        else:
            parts[-1] += f" Answer with one word: {' or '.join(ANSWERS[self.effect])}."
        return "\n\n".join(parts)

    def prior(self) -> str:
        """The question without perturbation, gene and cells."""
        event = "A gene is knocked down by CRISPR interference in human cells."
        if self.perturbation == "drug":
            event = "Human cells are treated with a drug."
        return f"{event} {self._question('another gene')} Answer with one word: {' or '.join(ANSWERS[self.effect])}."

    def _event(self, pert: str, cell: str) -> str:
        where = f"{cell} cells" if cell else "human cells"
        if self.perturbation == "drug":
            return f"{where[0].upper()}{where[1:]} are treated with {pert}."
        return f"The gene {pert} is knocked down by CRISPR interference in {where}."

    def _question(self, gene: str) -> str:
        if self.effect == "de":
            return f"Does the expression of {gene} change, compared with control cells?"
        return f"The expression of {gene} changes, compared with control cells. Does it increase or decrease?"

    def _described(self, asked: Asked) -> str:
        what = "Drug" if self.perturbation == "drug" else "Perturbed gene"
        pert, gene = (_line(texts.get(name, "")) for texts, name in zip(self._texts, asked[:2], strict=True))
        lines = []
        if pert or self.perturbation != "drug":
            lines.append(f"{what} {asked.pert}: {pert or 'no summary is known.'}")
        lines.append(f"Read-out gene {asked.gene}: {gene or 'no summary is known.'}")
        if known := _CELLS.get("".join(filter(str.isalnum, asked.cell.casefold()))):
            lines.append(f"{asked.cell} {known}.")
        return "\n".join(lines)

    @property
    def _texts(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        return self.pert_texts, self.gene_texts

    def _measured(self, asked: Asked, outcomes: Sequence[Outcome]) -> str:
        cells = {outcome.cell for outcome in outcomes}
        alone = cells.pop() if len(cells) == 1 else None
        heading = f"Measured in {alone} cells:" if alone else "Measured:"
        lines = [self.line(outcome, with_cell=alone is None) for outcome in outcomes]
        return "\n".join([heading, *lines])

    def line(self, outcome: Outcome, *, with_cell: bool = False) -> str:
        """One measured outcome as a line of the prompt."""
        does = "treatment with" if self.perturbation == "drug" else "knocking down"
        where = f" in {outcome.cell} cells" if with_cell and outcome.cell else ""
        seen = {"de": ("did not change", "changed"), "dir": ("fell", "rose")}[self.effect][outcome.label]
        return f"- {does} {outcome.pert}{where}: {outcome.gene} {seen}"

    def _skeleton(self, asked: Asked) -> str:
        steps = [step.format(pert=asked.pert, gene=asked.gene) for step in _STEPS[self.effect]]
        numbered = [f"{n}. {step}" for n, step in enumerate(steps, 1)]
        endings = [f"`{PREFIX} {word}`" for word in (*ANSWERS[self.effect], UNKNOWN)]
        return "\n".join(
            [
                "Reason in these steps, in one or two sentences each:",
                *numbered,
                f"End with a line of its own: {', '.join(endings[:-1])}, or {endings[-1]} if this cannot be told.",
            ]
        )


def _line(text: str) -> str:
    return " ".join(text.split())
