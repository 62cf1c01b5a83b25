"""Names of controls, in every spelling that public data sets have."""

from __future__ import annotations

import re

CONTROLS = (
    "control",
    "ctrl",
    "control guide",
    "negative control",
    "neg control",
    "neg ctrl",
    "non-targeting",
    "non-targeting control",
    "non-target",
    "no target",
    "no-targeting",
    "NT",
    "NTC",
    "NTg",
    "scramble",
    "scrambled",
    "safe-targeting",
    "safe harbor",
    "AAVS1",
    "intergenic",
    "no site",
    "no guide",
    "no gRNA",
    "mock",
    "mock-infected",
    "uninfected",
    "untransduced",
    "untransfected",
    "no perturbation",
    "non-perturbed",
    "not perturbed",
    "unperturbed",
    "untreated",
    "unstimulated",
    "wild type",
    "WT",
    "none",
    "NaN",
    "N/A",
    "NA",
    *("empty vector", "EV", "GFP", "EGFP", "BFP", "RFP", "mCherry", "LacZ", "luciferase", "Luc"),
    *("vehicle", "vehicle control", "PBS", "saline", "water", "medium", "media"),
    "DMSO",
    "DMSO_TF",
)
"""Names that stand for no perturbation, compared without case, blanks, ``-`` and ``_``."""


def plain_name(name: str) -> str:
    """A name as it is compared: without case, blanks, ``-`` and ``_``."""
    return re.sub(r"[-_\s]", "", name).casefold()


#: Those that may carry the number of a guide ("non-targeting_0012"); a short one with a number may be a gene ("NT3").
_NUMBERED = {plain_name(name) for name in CONTROLS if len(name) > 3 or name in {"NTC", "NTg"}}


def is_control(name: str, controls: set[str]) -> bool:
    """Whether it names a control, or controls alone: "NT|NT", "control (DMSO)"."""
    if plain_name(name) in controls:
        return True
    pieces = [plain for piece in re.split(r"[|;,&/()]", name) if (plain := plain_name(piece))]
    return bool(pieces) and all(_is_one_control(plain, controls) for plain in pieces)


def _is_one_control(plain: str, controls: set[str]) -> bool:
    """Whether it is a control, with "sg", "si" or "sh" before it, or a number or share behind it, or without."""
    plain = plain if plain in controls else re.sub("^(sg|si|sh)", "", plain)
    if plain in controls:
        return True
    stem = plain.rstrip("0123456789.%")
    return stem != plain and bool({stem, re.sub("(sg|g|guide|grna)$", "", stem)} & controls & _NUMBERED)
