"""How often is a window wrongly called robust, and how often rightly? Four procedures on simulated tables.

    python benchmarks/window_equivalence.py --output DIR [--tables 2000]

Seven levels, 3, 5 or 10 seeds that shift all levels alike (s.d. 1); the margin is 1. Type-I error: the true means span
just the margin, in four shapes (one level apart, two halves, two levels apart and the rest between, a line), with noise
of s.d. 0.05 to 0.5 that is equal, three times as large for one level, or correlated by 0.9 between neighbours. Power:
equal means. The rule: of the procedures whose type-I error is nowhere more than four standard errors of the simulation
above 0.05, the one with the highest mean power.

paired     the largest upper limit of the pairs' t intervals (`range_interval`)
pooled     the range plus t times the residual deviation of the two-way table: all pairs are taken to be as noisy
bootstrap  95th percentile of the range over resamples of the seeds
no effect  not equivalence at all: a one-way F-test with p above 0.05

A second table: the margin is one standard deviation over seeds, as estimated from the same table, or its lower limit.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from bftembed.studies.statistics.equivalence import range_interval, seed_deviation

LEVELS, SEEDS = 7, (3, 5, 10)
NOISES, KINDS = (0.05, 0.1, 0.25, 0.5), ("equal", "unequal", "correlated")
SHAPES = {
    "one": np.eye(LEVELS)[0],
    "halves": (np.arange(LEVELS) >= LEVELS // 2) * 1.0,
    "pair": np.array([1.0, *[0.5] * (LEVELS - 2), 0.0]),
    "line": np.linspace(0, 1, LEVELS),
}


def noise(rng, n, seeds, kind):
    drawn = rng.normal(size=(n, LEVELS, seeds))
    if kind == "unequal":
        drawn[:, 0] *= 3
    if kind == "correlated":
        apart = np.abs(np.subtract.outer(np.arange(LEVELS), np.arange(LEVELS)))
        drawn = np.einsum("ij,njs->nis", np.linalg.cholesky(0.9**apart), drawn)
    return drawn


def paired(x, rng):
    return range_interval(x).high < 1


def pooled(x, rng):
    left = x - x.mean(0) - x.mean(1, keepdims=True) + x.mean()
    freedom = (LEVELS - 1) * (x.shape[1] - 1)
    return np.ptp(x.mean(1)) + stats.t.ppf(0.95, freedom) * np.sqrt(2 * (left**2).sum() / freedom / x.shape[1]) < 1


def bootstrap(x, rng):
    drawn = rng.integers(0, x.shape[1], (500, x.shape[1]))
    return np.quantile(np.ptp(x[:, drawn].mean(2), axis=0), 0.95) < 1


def no_effect(x, rng):
    return stats.f_oneway(*x).pvalue > 0.05


PROCEDURES = {"paired": paired, "pooled": pooled, "bootstrap": bootstrap, "no effect": no_effect}


def compare(n):
    rng = np.random.default_rng(0)
    for seeds in SEEDS:
        for kind in KINDS:
            for size in NOISES:
                row = {"seeds": seeds, "noise": kind, "s.d.": size}
                shift = rng.normal(size=(n, 1, seeds))
                for name, procedure in PROCEDURES.items():
                    rates = [
                        np.mean([procedure(x, rng) for x in means[:, None] + size * noise(rng, n, seeds, kind) + shift])
                        for means in (*SHAPES.values(), np.zeros(LEVELS))
                    ]
                    row |= {f"{name}: type I": max(rates[:-1]), f"{name}: power": rates[-1]}
                yield row


def margins(n):
    rng = np.random.default_rng(1)
    for seeds in SEEDS:
        for size in (0.02, 0.1, 0.3, 0.6):
            row = {"seeds": seeds, "share of the s.d. that levels do not share": size}
            for place, name in enumerate(("estimate", "lower limit")):
                rates = []
                for means in (*SHAPES.values(), np.zeros(LEVELS)):
                    shift = np.sqrt(1 - size**2) * rng.normal(size=(n, 1, seeds))
                    tables = means[:, None] + size * noise(rng, n, seeds, "equal") + shift
                    rates.append(np.mean([range_interval(x).high < seed_deviation(x)[place] for x in tables]))
                row |= {f"{name}: type I": max(rates[:-1]), f"{name}: power": rates[-1]}
            yield row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--tables", type=int, default=2000, help="Simulated tables of each kind.")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, rows in (("procedures", compare), ("margins", margins)):
        frame = pd.DataFrame(rows(arguments.tables))
        frame.to_csv(arguments.output / f"{name}.tsv", sep="\t", index=False, float_format="%.3f")
        print(frame.to_string(index=False, float_format="{:.3f}".format))
    most = 0.05 + 4 * np.sqrt(0.05 * 0.95 / arguments.tables)
    of = {name: (f"{name}: type I", f"{name}: power") for name in PROCEDURES}
    frame = pd.read_csv(arguments.output / "procedures.tsv", sep="\t")
    passed = {name: power for name, (error, power) in of.items() if frame[error].max() <= most}
    sound = {name: round(float(frame[power].mean()), 3) for name, power in passed.items()}
    print(f"By the rule: {max(sound, key=sound.get) if sound else 'none'} (mean power by procedure: {sound})")


if __name__ == "__main__":
    main()
