"""How often the test of hidden transfer is wrong, and how much it finds, on simulated matrices.

    python benchmarks/transfer_error_rates.py --matrices 10000

A matrix has cells of s.d. 0.3 nats, answers that all students of a replicate like (s.d. 0.5), and affinities of a
teacher for an answer that persist over replicates (s.d. `affinity`). Beside the test of the averaged matrix stands the
one that permutes each replicate by itself (999 draws).
"""

import argparse

import numpy as np
from scipy import stats

from bftembed.studies.statistics.labelings import labeling_test, relabelled, standard_error, strength

CELL, COLUMN, LEVEL = 0.3, 0.5, 0.05


def simulated(rng, n, k, replicates, affinity, effect=0.0):
    cells = rng.normal(size=(n, k, k, replicates)) * CELL + rng.normal(size=(n, 1, k, replicates)) * COLUMN
    return cells + affinity * rng.normal(size=(n, k, k, 1)) + effect * np.eye(k)[:, :, None]


def within_replicates(rng, cells):
    """P-values of the sum of the diagonals, each replicate's answers permuted by themselves."""
    found = []
    for one in cells:
        each = relabelled(np.moveaxis(one, 2, 0))
        drawn = np.stack([row[rng.integers(len(row), size=999)] for row in each]).sum(axis=0)
        found.append(((drawn >= each[:, 0].sum()).sum() + 1) / 1000)
    return np.array(found)


def equivalent(means, margin):
    k = means.shape[-1]
    errors = np.array([standard_error(one) for one in means])
    return stats.t.sf((margin - np.abs(strength(means))) / errors, k * (k - 2)) <= LEVEL


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--matrices", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    n, rng = arguments.matrices, np.random.default_rng(arguments.seed)
    columns = ("K", "R", "affinity", "null: one-sided", "two-sided", "within replicates", "lambda 0.2", "0.3", "0.4")
    print("|", " | ".join((*columns, "TOST at its margin")), "|")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for k, replicates in ((5, 4), (6, 4), (5, 2)):
        for affinity in (0.0, 0.15, 0.3):
            null = simulated(rng, n, k, replicates, affinity)
            mean = null.mean(axis=3)
            row = [(labeling_test(mean, two_sided=sides) <= LEVEL).mean() for sides in (False, True)]
            row.append((within_replicates(rng, null[: min(n, 2000)]) <= LEVEL).mean())
            for effect in (0.2, 0.3, 0.4):
                found = simulated(rng, n // 4, k, replicates, affinity, effect).mean(axis=3)
                row.append((labeling_test(found) <= LEVEL).mean())
            at_margin = simulated(rng, n // 4, k, replicates, affinity, 0.15).mean(axis=3)
            row.append(equivalent(at_margin, 0.15).mean())
            print(
                f"| {k} | {replicates} | {affinity:g} |", " | ".join(f"{value:.3f}" for value in row), "|", flush=True
            )


if __name__ == "__main__":
    main()
