"""The process that the genes of a set have in common: prompts, what an answer says, terms that support it."""

from bftembed.naming.enrichment import Term, TermSets
from bftembed.naming.parsing import UNRELATED, Named, clean_name, parse_name
from bftembed.naming.prompts import naming_request

__all__ = ["UNRELATED", "Named", "Term", "TermSets", "clean_name", "naming_request", "parse_name"]
