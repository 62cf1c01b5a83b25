"""The report of the study of objectives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.studies.objectives.explained import explained_measure, steps, verdict
from bftembed.studies.objectives.outcomes import BASE, VALIDATION, Measure, Outcomes, perplexity, probability
from bftembed.studies.objectives.tables import NONE, difference, number, ratio, spread, with_interval
from bftembed.studies.page import Figure, Page, Section, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bftembed.studies.objectives.config import ObjectivesConfig

_INTERVALS = (
    "Intervals (95 %) hold for other seeds and other items; of the untuned model for other items. Diverged runs leave "
    f"`{NONE}`."
)


def make_page(config: ObjectivesConfig, results: Mapping[str, Any]) -> Page:
    """The report.

    Parameters
    ----------
    config
        Of the study.
    results
        Of all cells by their names.
    """
    outcomes = Outcomes(config, results)
    sections = [_design(outcomes), _rates(outcomes), _headline(outcomes), _apart(outcomes)]
    return Page("Objectives of fine-tuning", verdict(outcomes), [*sections, _everything(outcomes), _training(outcomes)])


def _design(outcomes: Outcomes) -> Section:
    config, base = outcomes.config, outcomes.base
    n_seeds, runs = len(config.seeds), len(config.objectives) * len(config.learning_rates) * len(config.seeds)
    sizes = [
        [name, str(len(sums["tokens"])), f"{sum(sums['tokens']):.0f}"] for name, sums in sorted(base["sets"].items())
    ]
    seen = {
        sum(run["training"]["supervised_tokens"])
        for label in config.objectives
        for rate in config.learning_rates
        for run in outcomes.runs(label, rate)
        if not run["diverged"]
    }
    tokens = f" A run learns from {_range(seen)} supervised tokens." if seen else ""
    order = "the same" if outcomes.orders_agree() else "NOT the same"
    design = (
        f"{len(config.objectives)} objectives x {len(config.learning_rates)} learning rates x {n_seeds} "
        f"seed{'s' * (n_seeds > 1)}: {runs} runs. A seed is one order of the samples and one fresh adapter; runs of "
        f"one seed saw {order} tokens in the same order.{tokens}"
    )
    text = [design, _what_seeds_tell(n_seeds)]
    return Section("Design", text, [Table("Samples that are read", ["set", "samples", "supervised tokens"], sizes)])


def _what_seeds_tell(n_seeds: int) -> str:
    if n_seeds < 2:
        return "One seed says nothing about other seeds: there are no intervals, and no claim about an objective."
    from scipy import stats

    factor = stats.t.ppf(0.975, n_seeds - 1) / n_seeds**0.5
    return (
        f"With {n_seeds} seeds a difference that varies from seed to seed is seen where it exceeds {factor:.1f} of its "
        "standard deviations over seeds. The intervals do not hold for other training samples, other models, or more "
        "steps; that a rare seed goes wrong cannot be seen."
    )


def _range(values: set[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"


def _rates(outcomes: Outcomes) -> Section:
    config, measure = outcomes.config, perplexity(VALIDATION)
    rows = []
    for label in config.objectives:
        cells = []
        for rate in config.learning_rates:
            text = _diverged(outcomes, label, rate) or spread(outcomes.mean(measure, label, rate), measure)
            cells.append(f"{text} (chosen)" if rate == outcomes.chosen[label] else text)
        other = outcomes.by_probability[label]
        rows.append([label, *cells, NONE if other is None else f"{other:g}"])
    base = with_interval(outcomes.of_base(measure), measure)
    edges = [label for label in config.objectives if outcomes.at_edge(label)]
    rule = (
        "The rate with the lowest validation perplexity (geometric mean over seeds) is chosen for each objective; the "
        f"rule was fixed before any run. The untuned model's is {base}."
    )
    said = [rule]
    if edges:
        said.append(
            f"At the edge of the grid, so that a better rate may lie beyond it: {', '.join(f'`{e}`' for e in edges)}."
        )
    columns = ["objective", *(f"{rate:g}" for rate in config.learning_rates), "by mean probability"]
    note = (
        "± standard deviation over seeds. Last column: the rate that the mean probability of the tokens would choose."
    )
    return Section(
        "Learning rates", said, [Table("Validation perplexity", columns, rows, note), _curves(outcomes, measure)]
    )


def _diverged(outcomes: Outcomes, label: str, rate: float) -> str:
    n = outcomes.diverged(label, rate)
    return f"diverged ({n} of {len(outcomes.config.seeds)})" if n else ""


def _curves(outcomes: Outcomes, measure: Measure) -> Figure:
    config = outcomes.config

    def draw(axes: Any) -> None:
        for label in config.objectives:
            points = []
            for rate in sorted(config.learning_rates):
                found = outcomes.table(measure, label, rate)
                if found is not None:
                    means = np.exp(np.average(found[0], axis=1, weights=found[1]))
                    points.append((rate, np.exp(np.log(means).mean()), means.min(), means.max()))
            if points:
                rates, centre, low, high = np.array(points).T
                (line,) = axes.plot(rates, centre, marker="o", label=label)
                axes.fill_between(rates, low, high, alpha=0.2, color=line.get_color(), linewidth=0)
        base = outcomes.of_base(measure)
        if base is not None:
            axes.axhline(np.exp(base.mean), color="grey", linestyle=":", label=BASE)
        axes.set(xscale="log", yscale="log", xlabel="learning rate", ylabel=measure.title)
        axes.legend(fontsize=7)

    return Figure(f"{measure.title} by learning rate", draw, "Bands reach from the lowest to the highest seed.")


def _headline(outcomes: Outcomes) -> Section:
    sets = [perplexity(name) for name in outcomes.config.sets]
    sure = [probability(name) for name in outcomes.config.sets]
    groups = [("Perplexity", sets), ("Mean probability of the right token", sure)]
    groups += [("Medical questions", outcomes.questions)] if outcomes.questions else []
    if outcomes.quality:
        groups += [
            ("Profiles: closeness to the gene's own annotation", outcomes.quality[:4]),
            ("Profiles: form", outcomes.quality[4:]),
        ]
    parts = [_at_chosen(outcomes, title, measures) for title, measures in groups]
    parts += [_against(outcomes, title, measures) for title, measures in groups if title != "Profiles: form"]
    parts += _gene_tasks(outcomes)
    meaning = (
        "A percentile is where the gene's own annotation stands among those of all genes, its names taken out of the "
        "text: 0.5 is chance. *ROUGE-L over others* is that with its own annotation less that with the other genes'."
    )
    return Section("Each objective at its own learning rate", [_INTERVALS, meaning], parts)


def _at_chosen(outcomes: Outcomes, title: str, measures: Sequence[Measure]) -> Table:
    rows = [[BASE, *(with_interval(outcomes.of_base(measure), measure) for measure in measures)]]
    for label, rate in outcomes.chosen.items():
        found = [NONE if rate is None else with_interval(outcomes.mean(m, label, rate), m) for m in measures]
        rows.append([f"{label} ({'diverged' if rate is None else f'{rate:g}'})", *found])
    return Table(title, ["objective (rate)", *(_short(measure) for measure in measures)], rows)


def _against(outcomes: Outcomes, title: str, measures: Sequence[Measure]) -> Table:
    reference = outcomes.config.reference
    own = outcomes.chosen[reference]
    rows = []
    for label, rate in outcomes.chosen.items():
        if label == reference or rate is None or own is None:
            continue
        found = [difference(outcomes.difference(m, (label, rate), (reference, own)), m) for m in measures]
        rows.append([label, *found])
    note = "Paired by seed and item; perplexities as ratios, the rest as differences; not adjusted for their number."
    columns = ["objective", *(_short(measure) for measure in measures)]
    return Table(f"{title}: difference to {reference}, each at its own rate", columns, rows, note)


def _short(measure: Measure) -> str:
    return measure.title.removesuffix(": perplexity").removesuffix(": mean probability")


def _gene_tasks(outcomes: Outcomes) -> list[Table]:
    if not (tasks := list(outcomes.base.get("gene tasks", {}))):
        return []

    def score(runs: Sequence[Mapping[str, Any]], task: str) -> str:
        values = [run["gene tasks"][task] for run in runs if not run["diverged"]]
        known = [value for value in values if value is not None]
        return f"{number(float(np.mean(known)))} ({len(known)})" if known else NONE

    rows = [[BASE, *(score([outcomes.base], task) for task in tasks)]]
    for label, rate in outcomes.chosen.items():
        rows.append([label, *(NONE if rate is None else score(outcomes.runs(label, rate), task) for task in tasks)])
    note = "Mean main score over seeds (their number), of embeddings of written profiles."
    return [Table("Gene-level benchmarks", ["objective", *tasks], rows, note)]


def _apart(outcomes: Outcomes) -> Section:
    config, measure = outcomes.config, explained_measure(outcomes)
    columns = ["step", "each at its own rate", *(f"both at {rate:g}" for rate in config.learning_rates)]
    parts: list[Table | Figure] = [
        Table(title, columns, [[name, *map(ratio, found)] for name, found in steps(outcomes, path)])
        for title, path in config.paths.items()
        if len(path) > 1
    ]
    text = (
        f"Ratios of perplexity ({_short(measure)}) from one objective to the next, paired by seed and item. Above 1 "
        "the step makes it worse. The steps at one rate multiply to the whole; what differs between the columns is the "
        "learning rate. Adam's steps do not depend on the scale of the loss, so weights below one are not a smaller "
        "learning rate."
    )
    return Section("What the difference is made of", [text], [*parts, _curves(outcomes, measure)])


def _everything(outcomes: Outcomes) -> Section:
    measures = [perplexity(name) for name in (VALIDATION, *outcomes.config.sets)]
    measures += [probability(name) for name in outcomes.config.sets[:1]]
    measures += outcomes.questions[:2] + outcomes.quality[:4]
    rows = [[BASE, "", *(spread(outcomes.of_base(measure), measure) for measure in measures)]]
    for label in outcomes.config.objectives:
        for rate in outcomes.config.learning_rates:
            found = [spread(outcomes.mean(measure, label, rate), measure) for measure in measures]
            rows.append([label, _diverged(outcomes, label, rate) or f"{rate:g}", *found])
    columns = ["objective", "rate", *(measure.title.removesuffix(": perplexity") for measure in measures)]
    note = "Perplexities under the names of the sets; ± standard deviation over seeds, of perplexities in per cent."
    return Section("All objectives at all learning rates", [], [Table("Means over seeds", columns, rows, note)])


def _training(outcomes: Outcomes) -> Section:
    names = ("mean_token_weight", "mean_confidence", "clipped_share", "sample_weight_median", "grad_norm")
    rows = []
    for label in outcomes.config.objectives:
        for rate in outcomes.config.learning_rates:
            runs = [run["training"] for run in outcomes.runs(label, rate) if not run["diverged"]]
            means = [
                number(float(np.mean([run[name] for run in runs]))) if runs and name in runs[0] else NONE
                for name in names
            ]
            rows.append([label, f"{rate:g}", *means])
    columns = ["objective", "rate", *(name.replace("_", " ") for name in names)]
    return Section("What the objectives did in training", [], [Table("Means over tokens and seeds", columns, rows)])
