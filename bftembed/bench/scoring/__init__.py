"""Metrics, scores with intervals, probes, and tests of differences."""

#: Of all intervals.
LEVEL = 0.95
