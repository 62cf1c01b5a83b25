"""Teacher-forcing diagnostic: where a model's low confidences stand together."""

from __future__ import annotations

from bftembed.tune.diagnosis.analysis import analyse, diagnose
from bftembed.tune.diagnosis.result import Diagnosis
from bftembed.tune.diagnosis.settings import DiagnosisSettings

__all__ = ["Diagnosis", "DiagnosisSettings", "analyse", "diagnose"]
