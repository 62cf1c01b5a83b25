"""Which objective: SFT, DFT, BFT and others by learning rate and seed, on the same tokens in the same order."""
