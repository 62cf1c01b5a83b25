"""Names for what the genes of a set have in common."""
