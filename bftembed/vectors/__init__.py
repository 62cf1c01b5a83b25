"""Vectors with names in files (tables, word2vec text, arrays), in the order of a vocabulary on request, and on maps."""

from bftembed.vectors.frames import read_table, read_vectors, vectors_frame, write_vectors
from bftembed.vectors.layout import has_direction, layout_of
from bftembed.vectors.reading import Vectors, impostor, read_file
from bftembed.vectors.writing import check_target

__all__ = [
    "Vectors",
    "check_target",
    "has_direction",
    "impostor",
    "layout_of",
    "read_file",
    "read_table",
    "read_vectors",
    "vectors_frame",
    "write_vectors",
]
