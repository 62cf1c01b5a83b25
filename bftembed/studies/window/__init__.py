"""Is Balanced Fine-Tuning robust to its window: where weights go by the window, and a grid of runs."""
