"""What the teacher-forcing diagnostic gives."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bftembed._html import Shown
from bftembed.tune.diagnosis import tables

if TYPE_CHECKING:
    import pandas as pd

    from bftembed.tune.diagnosis.confidences import TokenTrack
    from bftembed.tune.diagnosis.settings import DiagnosisSettings


@dataclass(frozen=True)
class Diagnosis(Shown):
    """Result of `bftembed.tune.diagnose`.

    Attributes
    ----------
    settings, model
        How it was made, and with which model.
    corpora
        What was read: a row per corpus.
    shares
        A row per corpus and combination of thresholds, and rows ``biomedical - general`` with differences: the share of
        the windows in group A and, with its interval, in group B; the latter after the confidences of each window were
        put in random order, which is what the number of low tokens alone gives; the `excess` of `share_b` over that,
        with its interval; and the mean share of low tokens.
    enrichment
        A row per corpus (and ``pooled``), lexicon and combination: matches per 1,000 tokens in A and in B, and their
        ratio B / A with its interval; `note` says why one is missing. Pooled ratios are Mantel and Haenszel's.
    windows
        Every window with its group at the chosen thresholds.
    tracks
        The confidences themselves, per corpus.
    """

    settings: DiagnosisSettings
    model: dict[str, str]
    corpora: pd.DataFrame
    shares: pd.DataFrame
    enrichment: pd.DataFrame
    windows: pd.DataFrame
    tracks: dict[str, list[TokenTrack]] = field(repr=False)

    def table(self) -> pd.DataFrame:
        """The shares at the chosen thresholds."""
        return self._chosen(self.shares)

    def enrichment_table(self) -> pd.DataFrame:
        """The enrichment at the chosen thresholds."""
        return self._chosen(self.enrichment)

    def verdict(self) -> str:
        """In how many combinations of thresholds the difference and the pooled ratios are above and below what is null.

        The combinations share their data, so the numbers say how much hangs on the choice, and are no test.
        """
        difference = self.shares[self.shares["corpus"] == tables.DIFFERENCE]
        lines = []
        if len(difference):
            counts = _counts(difference["share_b_lower"], difference["share_b_upper"], 0)
            lines.append(f"share of group B, biomedical less general: {counts}")
            counts = _counts(difference["excess_lower"], difference["excess_upper"], 0)
            lines.append(f"the same beyond what shuffled windows have: {counts}")
        pooled = self.enrichment[self.enrichment["corpus"] == tables.POOLED]
        for name, rows in pooled.groupby("lexicon", sort=False):
            lines.append(f"{name}, rate in B over rate in A: {_counts(rows['ratio_lower'], rows['ratio_upper'], 1)}")
        return "\n".join(lines)

    def report(self) -> str:
        """The tables at the chosen thresholds and the verdict over the grid, for reading."""
        short = tables.report(self.table(), self.enrichment_table(), self.settings.confidence_level)
        return f"{short}\n\n{self.verdict()}"

    def to_json(self, path: str | Path) -> None:
        """Write all but the tracks; what is not known or not finite is null."""
        content: dict[str, Any] = {"settings": asdict(self.settings), "model": self.model}
        for name in ("corpora", "shares", "enrichment", "windows"):
            content[name] = json.loads(getattr(self, name).to_json(orient="records", double_precision=12))
        Path(path).expanduser().write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def _chosen(self, frame: pd.DataFrame) -> pd.DataFrame:
        chosen = self.settings
        at = (frame["low"] == chosen.low) & (frame["density"] == chosen.density) & (frame["run"] == chosen.run)
        return frame[at].drop(columns=["low", "density", "run"]).reset_index(drop=True)

    def _parts(self) -> dict[str, Any]:
        tables = {"corpora": self.corpora, "shares": self.table(), "enrichment": self.enrichment_table()}
        return {"model": self.model, **tables, "over the grid": self.verdict()}


def _counts(lower: pd.Series, upper: pd.Series, null: float) -> str:
    """How many intervals lie above and below a value."""
    above, below = int((lower > null).sum()), int((upper < null).sum())
    undecided = len(lower) - above - below
    return f"above {null} in {above}, below in {below}, undecided in {undecided} of {len(lower)} settings"
