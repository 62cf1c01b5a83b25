"""The report of the study of GRPO: gates first, then what the starts were like, then what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.studies.grpo.arms import answer, both_table, choice_table, distance_table
from bftembed.studies.grpo.gates import gates, rise, verdict
from bftembed.studies.grpo.matching import matched_values
from bftembed.studies.grpo.outcomes import (
    ANSWERED,
    COMPARED,
    PASS_1,
    RANK,
    Values,
    comparisons,
    corrected,
    p_value,
    shown,
    shown_p,
)
from bftembed.studies.grpo.passes import pass_at_k
from bftembed.studies.grpo.questions import best_constant, gene_rate
from bftembed.studies.grpo.traces import STATISTICS
from bftembed.studies.page import Figure, Page, Section, Table
from bftembed.studies.statistics.hierarchical import interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bftembed.studies.grpo.config import GRPOStudyConfig
    from bftembed.studies.grpo.questions import Exam

_CURVES = {
    "reward": "Mean reward",
    "answered": "Share of answers that can be read",
    "entropy": "Entropy of a token, nats",
    "frac_reward_zero_std": "Share of groups without signal",
    "completions/mean_length": "Tokens of an answer",
}


def make_page(config: GRPOStudyConfig, exam: Exam, results: Mapping[str, Any]) -> Page:
    """The report of all cells."""
    tests = {
        name: ([item.group for item in items], [item.answer == item.choices[0] for item in items])
        for name, items in exam.test.items()
    }
    values = Values(config, results, tests)
    sections = [
        Section("Gates", _GATES, [_gate_table(values)]),
        Section("Rows without a model, and controls", (), [_constant_table(exam), *_control_tables(values)]),
        Section("Before the reinforcement", _BEFORE, [_predictor_table(values)]),
        Section("Gains", _GAINS, [_outcome_table(values, test) for test in tests] + [_comparison_table(values)]),
        Section("Several answers to a question", (), [_pass_table(values)]),
        Section("Forgetting and distance", (), [_distance_table(values)]),
        Section("Course of the reinforcement", (), [_figure(values, exam, name) for name in _CURVES]),
        Section("What stands in the answers", _TRACES, [_trace_table(values, how) for how in ("sampled", "greedy")]),
    ]
    said = verdict(values)
    if config.matched:
        matched = matched_values(values)
        asked = min(config.questions.n_predict, len(exam.train))
        said += f" Was it only that one start had been tuned longer? {answer(values, matched)}"
        tables = [choice_table(values, asked), distance_table(matched), _gate_table(matched)]
        tables += [_outcome_table(matched, test) for test in tests] + [both_table(values, matched)]
        sections.insert(4, Section("Starts matched on accuracy before the reinforcement", _MATCHED, tables))
    return Page("GRPO from different starts", said, sections)


_GATES = [
    (
        "A start is compared only if nine in ten of its answers can be read, before the reinforcement or after 20 "
        "steps (else format is learned and not knowledge), and if in a fifth of its groups the answers differ in "
        "reward (else there is no gradient)."
    )
]
_BEFORE = [
    (
        "Of training questions: p is the share of answers that are right; p(1-p), averaged over questions, is what "
        "the variance of advantages is made of. Entropy is the mean of -log p over the tokens of the model's own "
        "answers."
    )
]
_GAINS = [
    (
        "Intervals of 95 % hold for other seeds of tuning and other questions; runs of GRPO from one tuned model are "
        "averaged. Gains are also compared with those of the reference (difference of differences); p-values are "
        "corrected for all comparisons of that table (Holm)."
    ),
    (
        "Ranking asks for the likelier of the answers, sampling for a text with a last line: a gain in one of them "
        "alone is another finding than one in both."
    ),
]
_MATCHED = [
    (
        "Each tuned start is taken at the step of its tuning, the same for all seeds, at which as many answers to "
        "training questions are right as of the others: the target is the count at the last step of that start to "
        "which all can come nearest. Nothing had been trained on these questions then."
    ),
    (
        "A count that is the nearest of several was drawn to the target by its noise, so that it does not tell "
        "whether starts are matched. That is told by the main test before the reinforcement, of which no question took "
        "part in the choice: the interval of the difference has to lie within the margin. p-values are corrected by "
        "column (Holm)."
    ),
]
_TRACES = [
    (
        "Changes from before to after, over questions and seeds; counts are per 100 words. p-values are corrected for "
        "all rows of a table (Holm)."
    )
]


def _gate_table(values: Values) -> Table:
    rows = []
    for label in values.config.starts:
        rows += [
            (label, gate.name, f"{gate.value:.3f}", f"{gate.needed:g}", "yes" if gate.holds else "NO")
            for gate in gates(values, label)
        ]
    return Table("Gates", ("start", "gate", "value", "needed", "holds"), rows)


def _constant_table(exam: Exam) -> Table:
    sets = {"training questions": exam.train, **exam.test}
    rows = []
    for name, items in sets.items():
        answer, share = best_constant(items)
        rate = gene_rate(items, exam.rates) if name != "training questions" else None
        rows.append((name, str(len(items)), f"{share:.3f} ({answer})", "" if rate is None else f"{rate:.3f}"))
    return Table("Accuracy without a model", ("questions", "n", "best constant", "rate of the gene in training"), rows)


def _control_tables(values: Values) -> list[Table]:
    found, config, results = [], values.config, values.results
    rows = []
    for label in config.random_reward:
        cell = f"random-{label}"
        changes = [f"{values.change(cell, label, outcome):+.3f}" for outcome in (RANK, PASS_1, ANSWERED)]
        rows.append((label, *changes, *_course(results[cell]["trajectory"], "entropy", "completions/mean_length")))
    if rows:
        columns = ("start", RANK, PASS_1, ANSWERED, "entropy, first to last step", "length, first to last step")
        found.append(Table("Random reward", columns, rows, "Changes that a coin as reward makes too are not learning."))
    if config.positive_control:
        begin, end = rise(results["positive"]["trajectory"])
        row = (config.positive_control, f"{begin:.3f}", f"{end:.3f}")
        names = ("start", "mean reward, first fifth of the steps", "last fifth")
        found.append(Table("Positive control: one answer is always right", names, [row]))
    return found


def _course(trajectory: Mapping[str, Sequence[float]], *names: str) -> list[str]:
    return [f"{trajectory[name][0]:.3g} to {trajectory[name][-1]:.3g}" for name in names]


def _predictor_table(values: Values) -> Table:
    n = values.config.n_samples
    most = max(k for k in (*values.config.passes, 1) if k <= n)
    rows = []
    for label in values.config.starts:
        starts = values.starts(label)
        p = np.array([start["predictors"]["right"] for start in starts]) / n
        distinct = np.mean([start["predictors"]["distinct"] for start in starts])
        passed = np.mean([pass_at_k(n, start["predictors"]["right"], most) for start in starts])
        entropy = [start["entropy"] for start in starts if start["entropy"] is not None]
        rows.append(
            (
                label,
                ", ".join(dict.fromkeys(f"{start['learning_rate']:g}" for start in starts))
                if values.config.starts[label].objective
                else "",
                f"{_perplexity(starts, 'validation'):.3f}",
                f"{p.mean():.3f}",
                f"{(p * (1 - p)).mean():.3f}",
                f"{np.mean(entropy):.3f}" if entropy else "",
                f"{distinct:.2f} of {n}",
                f"{passed:.3f}",
            )
        )
    columns = ("start", "learning rate", "validation perplexity", "p", "p(1-p)", "entropy", "distinct answers")
    return Table("Predictors", (*columns, f"pass@{most}"), rows)


def _perplexity(cells: Sequence[Any], name: str) -> float:
    """Mean over runs of the perplexity of a file."""
    found = [np.exp(sum(cell["files"][name]["nll"]) / sum(cell["files"][name]["tokens"])) for cell in cells]
    return float(np.mean(found))


def _outcome_table(values: Values, test: str) -> Table:
    rows = []
    for label in values.config.starts:
        for outcome in (*COMPARED, ANSWERED):
            gain = values.gain(label, test, outcome)
            if gain.size:
                before, after = (np.mean(of(label, test, outcome)) for of in (values.before, values.after))
                rows.append((label, outcome, f"{before:.3f}", f"{after:.3f}", shown(interval(gain))))
    return Table(f"Test: {test}", ("start", "outcome", "before", "after", "gain"), rows)


def _comparison_table(values: Values) -> Table:
    rows = [(one.start, one.test, one.outcome, shown(one.found), shown_p(one.p)) for one in comparisons(values)]
    title = f"Gain less that of {values.config.reference}"
    return Table(title, ("start", "test", "outcome", "difference", "p"), rows)


def _pass_table(values: Values) -> Table:
    test = next(iter(values.tests))
    passes = [f"pass@{k}" for k in values.config.passes if k <= values.config.n_samples]
    rows = [
        (
            label,
            *(_change(np.mean(values.before(label, test, k)), np.mean(values.after(label, test, k))) for k in passes),
        )
        for label in values.config.starts
    ]
    return Table(f"pass@k before and after, {test}", ("start", *passes), rows)


def _change(before: Any, after: Any, form: str = ".3f") -> str:
    return f"{before:{form}} to {after:{form}}"


def _distance_table(values: Values) -> Table:
    rows = []
    for label in values.config.starts:
        starts, runs = values.starts(label), values.runs(label)
        kl = [run["kl"] for run in runs if "kl" in run]
        changes = [_change(_perplexity(starts, name), _perplexity(runs, name)) for name in ("general", "validation")]
        rows.append((label, *changes, f"{np.mean(kl):.4f}" if kl else ""))
    columns = ("start", "perplexity of general texts", "of the validation samples", "divergence from the start, nats")
    return Table(
        "Before and after", columns, rows, "Divergence: a token of the answers to the main test, after from before."
    )


def _figure(values: Values, exam: Exam, name: str) -> Figure:
    _, constant = best_constant(exam.train)

    def draw(axes: Any) -> None:
        for label in values.config.starts:
            curves = np.array([run["trajectory"][name] for run in values.runs(label)])
            steps = np.arange(1, curves.shape[1] + 1)
            (line,) = axes.plot(steps, curves.mean(axis=0), label=label)
            axes.fill_between(steps, curves.min(axis=0), curves.max(axis=0), alpha=0.15, color=line.get_color())
        if name == "reward":
            axes.axhline(constant, color="0.5", linestyle="--", label="best constant answer")
        axes.set(xlabel="Step", ylabel=_CURVES[name])
        axes.legend()

    return Figure(_CURVES[name], draw, "Mean over runs; bands are from the least to the most of them.")


def _trace_table(values: Values, how: str) -> Table:
    rows, errors = [], []
    for label in values.config.starts:
        for name in STATISTICS:
            before, after = (values.trace(label, name, how, after=later) for later in (False, True))
            change = after - before
            if np.isnan(change).any(axis=0).all():
                continue
            errors.append(p_value(change))
            rows.append([label, name, _change(np.nanmean(before), np.nanmean(after), ".3g"), shown(interval(change))])
    title = {"sampled": "Answers at temperature 1", "greedy": "Greedy answers"}[how]
    columns = ("start", "statistic", "before and after", "change", "p")
    return Table(title, columns, [[*row, shown_p(p)] for row, p in zip(rows, corrected(errors), strict=True)])
