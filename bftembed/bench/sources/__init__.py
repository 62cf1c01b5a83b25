"""Embeddings as inputs of the benchmark: tables, texts, cells, and files and checkpoints of others."""
