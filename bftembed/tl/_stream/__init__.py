"""From chunks of cells to their vectors, in memory or from file to file, in bounded memory."""

#: Weights of `embed_cells` that are departures from a reference.
DEPARTURES = ("contrast", "zscore")
