"""Questions to a language model, and its answers."""
