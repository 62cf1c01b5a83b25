"""Metrics, scores with intervals, probes, and tests of differences."""
