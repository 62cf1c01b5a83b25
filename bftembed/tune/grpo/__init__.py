"""GRPO on closed questions with a binary reward."""
