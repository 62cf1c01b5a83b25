"""Problems that many tasks share: labelled genes, pairs, cells, perturbations and drugs; and their data."""
