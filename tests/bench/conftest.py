"""Sources and tasks that need no data."""

import numpy as np
import pytest

from bftembed.bench import GeneLabels, Source, Task, TaskInfo
from bftembed.bench.scoring.probes import LINEAR

NAMES = [f"G{i:03d}" for i in range(60)]


class Planted(Source):
    """Vectors that know the labels of `planted_task`; `lacking` genes have none."""

    def __init__(self, label="planted", *, lacking=(), seed=0, signal=2.0):
        self.label, self.spec = label, f"planted:{seed}"
        self.lacking, self.seed, self.signal = set(lacking), seed, signal
        self.asked = 0

    def describe(self):
        return {"spec": self.spec, "signal": self.signal, "lacking": sorted(self.lacking)}

    def genes(self, names):
        self.asked += 1
        rows = []
        for name in names:
            i = int(name[1:])
            row = np.random.default_rng([self.seed, i]).normal(size=5)
            row[0] += self.signal * (i % 2)
            rows.append(np.full(5, np.nan) if name in self.lacking else row)
        return np.array(rows, dtype=np.float32)


@pytest.fixture
def planted():
    return Planted


@pytest.fixture
def planted_task():
    """Make a task of 60 genes, of which every other one is positive."""

    def make(name="toy.parity", version=1, **info):
        def load(fast):
            names = NAMES[:30] if fast else NAMES
            return GeneLabels({name: int(name[1:]) % 2 for name in names}, n_repeats=2, n_folds=3, probes=(LINEAR,))

        fields = {
            "kind": "gene",
            "title": "Parity of the number",
            "data": (),
            "main_score": "auroc",
            "chance": 0.5,
            "licence": "own",
            "citation": "none",
        }
        return Task(TaskInfo(name=name, version=version, **(fields | info)), load)

    return make
