"""Names for the process that the genes of a set have in common, and what speaks for them."""

from bftembed.naming.cascade import Naming, cascade, name_once
from bftembed.naming.enrichment import Term, TermSets
from bftembed.naming.parsing import UNRELATED, Named, clean_name, parse_name
from bftembed.naming.prompts import naming_request
from bftembed.naming.table import name_sets
from bftembed.naming.tools import Tools

__all__ = [
    "UNRELATED",
    "Named",
    "Naming",
    "Term",
    "TermSets",
    "Tools",
    "cascade",
    "clean_name",
    "name_once",
    "name_sets",
    "naming_request",
    "parse_name",
]
