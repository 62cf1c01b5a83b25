"""Vectors with names in files: tables, word2vec text and arrays; in the order of a model's vocabulary on request."""

from bftembed.vectors.frames import read_table, read_vectors, vectors_frame, write_vectors
from bftembed.vectors.reading import Vectors, impostor, read_file
from bftembed.vectors.writing import check_target

__all__ = [
    "Vectors",
    "check_target",
    "impostor",
    "read_file",
    "read_table",
    "read_vectors",
    "vectors_frame",
    "write_vectors",
]
