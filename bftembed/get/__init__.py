"""Read the results that the other modules wrote into an AnnData."""

from bftembed.get._conditions import conditions
from bftembed.get._methods import methods
from bftembed.get._nearest import nearest
from bftembed.get._profiles import profiles
from bftembed.get._provenance import provenance
from bftembed.get._similarity import similarity
from bftembed.vectors import vectors_frame as vectors

__all__ = ["conditions", "methods", "nearest", "profiles", "provenance", "similarity", "vectors"]
