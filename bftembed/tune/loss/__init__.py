"""Log-probabilities of supervised tokens, and the objectives that weigh them."""
