"""HealthBench: replies to dialogues about health, judged by criteria; on a file of the user."""

from __future__ import annotations

from bftembed.bench import HealthBench, task
from bftembed.data import given_file

_FAST = 16


@task(
    name="medical.healthbench",
    kind="language",
    mode="generate",
    preset="judged",
    is_default=False,
    judged=True,
    files=("healthbench",),
    title="HealthBench: replies to dialogues about health, judged by another model",
    data=(),
    main_score="rubric score",
    best=1.0,
    licence="MIT, as openai/simple-evals states; the file is not shipped",
    citation="Arora RK et al. HealthBench: evaluating large language models towards improved human health. "
    "arXiv 2505.08775 (2025).",
    ranked=False,
    known_traps=(
        "A score is of a model and its judge together: only those of one judge can be compared.",
        "Scores rise with the length of replies; the constant `see a doctor` meets several criteria.",
    ),
)
def healthbench(fast: bool) -> HealthBench:
    """All dialogues of the file, or 16 of them."""
    return HealthBench.read(given_file("healthbench"), n=_FAST if fast else None)
