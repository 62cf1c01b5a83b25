"""The report of the study: verdicts, the table of windows by seeds, weights, and where the gradient goes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.studies.page import Figure, Page, Section, Table
from bftembed.studies.statistics.equivalence import variance_components
from bftembed.studies.window.companion import ANY
from bftembed.studies.window.config import corpus_name
from bftembed.studies.window.outcomes import LONG, UNTUNED, Verdict, judge, measures, table_of
from bftembed.studies.window.weighing import label, weighed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bftembed.studies.window.config import WindowConfig
    from bftembed.studies.window.outcomes import Design, Measure

TITLE = "Is Balanced Fine-Tuning robust to its window?"
_WEIGHTS = {
    "mean_token_weight": "mean token weight",
    "mean_sample_weight": "mean sample weight",
    "low": "tokens with weight < 0.1",
    "effective_tokens": "effective share of tokens",
    "effective_samples": "effective share of samples",
}


def make_page(config: WindowConfig, design: Design, results: Mapping[str, Any]) -> Page:
    """The report.

    Parameters
    ----------
    config, design
        Of the study.
    results
        Of all cells.
    """
    # By the configuration: results come without an order.
    named = {name.rpartition("-")[0]: result for name, result in results.items()}
    corpora = [corpus_name(source) for source in config.companion.corpora] if config.companion else []
    sections = [_gradient_section(config, name, named[f"companion-{name}"]) for name in corpora]
    if UNTUNED not in results:
        verdict = "cannot be told: nothing was trained; shares of the gradient alone say where the window matters"
        return Page(TITLE, verdict, sections)
    of = measures(config, design)
    verdicts = {measure.title: judge(config, design, results, measure) for measure in of}
    first = of[0].title
    sections = [
        _verdict_section(config, design, results, of, verdicts),
        *(_runs_section(config, design, results, measure) for measure in of),
        Section("Weights on the training samples", parts=[_weights_table(config, named["weights"])]),
        *sections,
    ]
    return Page(TITLE, f"{verdicts[first]} ({first}).", sections)


def _verdict_section(
    config: WindowConfig,
    design: Design,
    results: Mapping[str, Any],
    of: Sequence[Measure],
    verdicts: Mapping[str, Verdict],
) -> Section:
    windows = [window for window in config.windows if window >= config.range_from]
    names = design.windows(windows)
    rows, parts = [], []
    for measure in of:
        verdict = verdicts[measure.title]
        rows.append([measure.title, verdict.word, *_interval(verdict), verdict.reason])
        table = table_of(measure, names, config.seeds, results)
        if min(table.shape) > 1 and np.isfinite(table).all():
            c = variance_components(table)
            deviations = [f"{math.sqrt(value):.4f}" for value in c[:3]]
            parts.append([measure.title, *deviations, _number(c.f, ".2f"), _number(c.p_f), _number(c.p_within)])
    margin = config.margin
    stated = f"perplexity {margin.perplexity:.2%}, accuracy {margin.accuracy:.1%}, log-probability {margin.gold:g}"
    if margin.seed_deviations:
        stated = f"{margin.seed_deviations:g} standard deviations over seeds (their lower 95 % limit)"
    rule = (
        f"Robust: the 90 % interval of the largest less the smallest mean over {len(names)} windows of "
        f"{config.range_from} tokens or more ({', '.join(names)}) lies within the margin, stated before the runs: "
        f"{stated}. That no difference is found would not do. Differences are paired by seed; the interval is about "
        "other seeds, on the same validation samples. Perplexity is compared by its logarithm."
    )
    held = ", ".join(f"{label(g)}: {design.within(g):.1%}" for g in sorted(config.windows))
    corpus = (
        f"Of {len(design.lengths):,} training samples {1 - design.within(LONG):.1%} have more than {LONG} supervised "
        f"tokens. Share of samples that a window holds as a whole: {held}."
    )
    text = [rule, corpus]
    if design.same:
        same = ", ".join(f"{name} is {other}" for name, other in design.same.items())
        text.append(f"Same weights for every sample, so one run: {same}.")
    columns = ["measure", "verdict", "largest less smallest", "90 % interval", "margin", "why"]
    tables = [Table("Verdicts", columns, rows)]
    if parts:
        note = (
            "s.d.: square roots of variance components (two-way random effects). F: one-way, between windows against "
            "within. Permutation: windows exchanged within each seed. Neither is the verdict."
        )
        heads = ["measure", "s.d. of windows", "s.d. of seeds", "s.d. left", "F", "p", "p, permutation"]
        tables.append(Table("Variance of windows and of seeds", heads, parts, note))
    return Section("Verdict", text, tables)


def _interval(verdict: Verdict) -> list[str]:
    if verdict.found is None or math.isnan(verdict.found.interval.high):
        return ["-", "-", "-" if verdict.found is None else _number(verdict.found.margin, ".4f")]
    found = verdict.found.interval
    return [f"{found.observed:.4f}", f"{found.low:.4f} to {found.high:.4f}", f"{verdict.found.margin:.4f}"]


def _runs_section(config: WindowConfig, design: Design, results: Mapping[str, Any], measure: Measure) -> Section:
    """Windows by seeds, those that are another one's same with its numbers."""
    rows = [["untuned", *["-"] * len(config.seeds), measure.show(measure.value(results[UNTUNED])), ""]]
    for name in design.names:
        run = design.same.get(name, name)
        values = table_of(measure, [run], config.seeds, results)[0]
        mean = measure.show(float(values.mean()))
        rows.append([name, *map(measure.show, values), mean, f"same as {run}" if run != name else ""])
    columns = ["", *(f"seed {seed}" for seed in config.seeds), "mean", ""]
    figure = Figure(
        f"{measure.title} by window",
        lambda axes: _draw_runs(axes, config, design, results, measure),
        "A point is a run, the line joins means over seeds, the dashed line is the untuned model.",
    )
    return Section(measure.title, parts=[Table(f"{measure.title}, windows by seeds", columns, rows), figure])


def _draw_runs(axes: Any, config: WindowConfig, design: Design, results: Mapping[str, Any], measure: Measure) -> None:
    windows = sorted(config.windows)
    for kind in ("bft", "bft-v1"):
        names = [f"{kind}-{label(g)}" for g in windows]
        places = [place for place, name in enumerate(names) if name in design.names]
        runs = [design.same.get(names[place], names[place]) for place in places]
        if not runs:
            continue
        table = table_of(measure, runs, config.seeds, results)
        table = measure.scale(table)
        (line,) = axes.plot(places, table.mean(axis=1), label=kind)
        axes.plot(places, table, "o", color=line.get_color(), markersize=4, alpha=0.6)
    before = measure.value(results[UNTUNED])
    axes.axhline(measure.scale(before), color="grey", linestyle="--", label="untuned")
    axes.set_xticks(range(len(windows)), [label(g) for g in windows])
    axes.set(xlabel="window (tokens)", ylabel=measure.title)
    axes.legend()


def _weights_table(config: WindowConfig, result: Mapping[str, Any]) -> Table:
    """Statistics of weights by objective."""
    columns = ["objective", *_WEIGHTS.values(), "correlation with the window before"]
    rows = [
        [name, *(_number(found[key]) for key in _WEIGHTS), _number(result["correlations"].get(name), ".4f")]
        for name, found in ((name, result["objectives"][name]) for name in weighed(config.windows))
    ]
    note = (
        "By the untuned model. Small weights make small steps: at one learning rate windows differ in that, too. "
        "Effective shares are (sum of weights)^2 / sum of squares, over their number: of the tokens' factors in the "
        "gradient, and of the weights of samples."
    )
    return Table("Weights", columns, rows, note)


def _gradient_section(config: WindowConfig, corpus: str, result: Mapping[str, Any]) -> Section:
    """Shares of the gradient on the words of lexicons in one corpus."""
    empty = [name for name, n in result["span_tokens"].items() if not n]
    held = ", ".join(f"{label(g)}: {result['within'][str(g)]:.1%}" for g in sorted(config.windows))
    read = f"{result['texts']:,} texts, {result['tokens']:,} tokens (median {result['median_tokens']:g} of a text)."
    text = [f"{read} Share of texts that a window holds as a whole: {held}."]
    if empty:
        text.append(f"No text has a word of: {', '.join(empty)}. There is no share of these.")
    lexicons = sorted((name for name in result["span_tokens"] if name not in empty), key=lambda name: name == ANY)
    parts: list[Table | Figure] = (
        [_shares_table(config, result, lexicons, kind) for kind in ("share", "step")] if lexicons else []
    )
    if ANY in lexicons:
        parts.append(
            Figure(
                f"Gradient on words of knowledge in {corpus}, relative to SFT",
                lambda axes: _draw_shares(axes, config, result),
                "Share on words of all lexicons over that under SFT, with intervals (bands) of 95 % from a bootstrap "
                "over texts; the share of the steps is of the same, each token counted by one minus its confidence.",
            )
        )
    return Section(f"Where the gradient goes: {corpus}", text, [*parts, _weights_table(config, result)])


def _shares_table(config: WindowConfig, result: Mapping[str, Any], lexicons: Sequence[str], kind: str) -> Table:
    plain = ["plain share of tokens", *(f"{result['span_tokens'][name] / result['tokens']:.2%}" for name in lexicons)]
    rows = [plain] if kind == "share" else []
    for name in weighed(config.windows):
        found, cells = result["objectives"][name], []
        for lexicon in lexicons:
            ratio = found[f"{kind}_ratio"][lexicon]
            interval = "" if ratio[1] is None else f" ({ratio[0]:.2f}, {ratio[1]:.2f} to {ratio[2]:.2f})"
            cells.append(f"{found[kind][lexicon][0]:.2%}{interval}")
        rows.append([name, *cells])
    titles = {
        "share": ("Share of the gradient's weight", "Token weight x sample weight x share in the reduction."),
        "step": ("Share of the steps", "The same, x one minus the confidence: the gradient in the target's own logit."),
    }
    title, what = titles[kind]
    note = f"{what} In parentheses: over the share under SFT, with its 95 % interval from a bootstrap over texts."
    return Table(title, ["objective", *lexicons], rows, note)


def _draw_shares(axes: Any, config: WindowConfig, result: Mapping[str, Any]) -> None:
    windows, of = sorted(config.windows), result["objectives"]
    for kind, title in (("share", "weight"), ("step", "steps")):
        values = np.array([of[f"bft-{label(g)}"][f"{kind}_ratio"][ANY] for g in windows], dtype=float)
        (line,) = axes.plot(range(len(windows)), values[:, 0], "o-", label=f"bft, {title}")
        axes.fill_between(range(len(windows)), values[:, 1], values[:, 2], color=line.get_color(), alpha=0.2, lw=0)
        axes.axhline(of["dft"][f"{kind}_ratio"][ANY][0], color=line.get_color(), linestyle=":", label=f"dft, {title}")
    axes.axhline(1, color="grey", linestyle="--", label="sft")
    axes.set_xticks(range(len(windows)), [label(g) for g in windows])
    axes.set(xlabel="window (tokens)", ylabel="share over that under SFT")
    axes.legend()


def _number(value: float | None, form: str = ".3f") -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:{form}}"
