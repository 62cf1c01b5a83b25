"""Which tuned model is the better start for GRPO with a sparse reward: a difference of differences, gates first."""
