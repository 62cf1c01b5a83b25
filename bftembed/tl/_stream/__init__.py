"""From chunks of cells to their vectors, in memory or from file to file, in bounded memory."""
