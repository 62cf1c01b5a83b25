"""Training data: reading, tokens, and corpora to train on."""
