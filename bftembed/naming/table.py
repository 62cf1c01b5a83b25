"""One row for each gene set: its name, and what is known that speaks for it."""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections import Counter
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bftembed._near import check_number
from bftembed.engines import Engine, Sampling, complete_stored, engine_class, get_engine
from bftembed.errors import BftembedError, InputError
from bftembed.naming.cascade import ENGINE_FAILED, Naming, cascade, name_once
from bftembed.naming.claims import shares_content
from bftembed.naming.enrichment import TermSets
from bftembed.naming.given import given_sets, in_current_symbols
from bftembed.naming.parsing import clean_name
from bftembed.naming.tools import Q_VALUE, Tools

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bftembed.engines import AnswerStore
    from bftembed.naming.enrichment import Term
    from bftembed.naming.given import GivenSet

log = logging.getLogger("bftembed")
_GO_ID = re.compile(r"\s*\(GO:\d+\)$")


def name_sets(
    sets: Mapping[Any, Iterable[Any]],
    *,
    engine: str | Engine = "default",
    checked: bool = False,
    terms: TermSets | str | Path | None = None,
    n_terms: int = 5,
    sampling: Sampling | None = None,
    store: AnswerStore | str | Path | None = None,
    progress: bool | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Names of gene sets, with the processes in which they are enriched beside them.

    Parameters
    ----------
    sets
        Genes by name of the set.
    engine
        Language model, see `bftembed.engines.get_engine`; ``"annotation"`` takes the best enriched process as the name.
    checked
        Whether the claims behind each name are checked, see `bftembed.naming.cascade`.
    terms
        Processes, or a .gmt file of them; by default those of GO.
    n_terms
        Most processes of a set in the table.
    sampling, store, progress
        As in `bftembed.engines.complete_stored`.

    Returns
    -------
    table
        See `bftembed.tl.name_gene_set`.
    info
        Provenance: engine, sampling, processes, counts, version, date.

    Raises
    ------
    InputError
        If the sets or an argument cannot be used.
    BftembedError
        If not one set could be named; the message has the reasons.

    Examples
    --------
    >>> from bftembed.naming import name_sets
    >>> table, info = name_sets({"mine": ["MLH1", "MSH2", "MSH6", "PMS2"]}, engine="annotation")
    >>> table["name"].tolist()
    ['mismatch repair']
    """
    check_number("n_terms", n_terms, least=1, whole=True)
    writes = (engine_class(engine) if isinstance(engine, str) else engine).generates
    if checked and not writes:
        msg = "A cascade checks what a language model says: name another engine than 'annotation', or leave it out."
        raise InputError(msg)
    given, removed = given_sets(sets)
    of_terms = in_current_symbols(_terms(terms))
    enriched = {
        id: [term for term in of_terms.enrich(each.known) if term.q_value <= Q_VALUE] for id, each in given.items()
    }
    info: dict[str, Any] = {"engine": {"engine": "annotation"}, "cascade": checked}
    namings: dict[str, Naming] = {id: Naming() for id in given}
    if writes:
        made = get_engine(engine)
        sampling = sampling or Sampling()
        ask = partial(complete_stored, engine=made, store=store, sampling=sampling, progress=progress)
        genes = {id: list(each.genes) for id, each in given.items()}
        namings = cascade(genes, ask, Tools.local(of_terms)) if checked else name_once(genes, ask)
        _check_named(namings)
        info |= {"engine": {**made.describe(), **made.provenance()}, "sampling": asdict(sampling)}
    rows = [_row(given[id], namings[id], enriched[id], n_terms, writes=writes) for id in given]
    table = pd.DataFrame(rows, index=pd.Index(given, name="gene_set", dtype=object))
    info |= {
        "counts": _counts(table, namings, removed),
        "bftembed_version": version("bftembed"),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }
    log.info("%s", ", ".join(f"{n:,} {what}" for what, n in info["counts"].items() if n))
    return table, info


def _terms(terms: TermSets | str | Path | None) -> TermSets:
    if terms is None:
        return TermSets.go()
    return terms if isinstance(terms, TermSets) else TermSets.read_gmt(Path(terms))


def _row(given: GivenSet, naming: Naming, enriched: Sequence[Term], n_terms: int, *, writes: bool) -> dict[str, Any]:
    best = enriched[0] if enriched else None
    named = naming.named
    name = (named.name if named else "") if writes else (_GO_ID.sub("", best.name) if best else "")
    return {
        "name": name,
        "confidence": np.nan if named is None or named.confidence is None else float(named.confidence),
        "unrelated": bool(named and named.unrelated),
        "best_term": best.name if best else "",
        "q_value": best.q_value if best else np.nan,
        "agreement": _agreement(name, enriched),
        "terms": [
            {
                "term": term.name,
                "p_value": term.p_value,
                "q_value": term.q_value,
                "size": term.size,
                "overlap": list(term.overlap),
            }
            for term in enriched[:n_terms]
        ],
        "claims": [
            {"claim": claim.text, "verdict": claim.verdict, "evidence": claim.evidence} for claim in naming.claims
        ],
        "first_name": naming.first.name if naming.first else "",
        "summary": naming.summary,
        "genes": list(given.genes),
        "unknown": list(given.unknown),
        "kept_at": "; ".join(f"{stage}: {why}" for stage, why in naming.kept_at.items()),
    }


def _agreement(name: str, enriched: Sequence[Term]) -> str:
    """Whether a name is that of an enriched process, or shares a word of content with it."""
    if not name:
        return "no name"
    if not enriched:
        return "no enriched term"
    same = any(clean_name(name) == clean_name(term.name) or shares_content(name, term.name) for term in enriched)
    return "agrees" if same else "differs"


def _check_named(namings: Mapping[str, Naming]) -> None:
    reasons = Counter(naming.kept_at.get("name", "") for naming in namings.values())
    if all(reason.startswith(ENGINE_FAILED) for reason in reasons):
        shown = "; ".join(f"{why} ({n})" for why, n in reasons.most_common(3))
        msg = f"Not one of {len(namings)} gene sets could be named. Reasons: {shown[:600]}."
        raise BftembedError(msg)


def _counts(table: pd.DataFrame, namings: Mapping[str, Naming], removed: Mapping[str, GivenSet]) -> dict[str, int]:
    """What became of the sets, for the log and the provenance."""
    verdicts = Counter(claim.verdict for naming in namings.values() for claim in naming.claims)
    stages = Counter(stage for naming in namings.values() for stage in naming.kept_at)
    return {
        "gene sets": len(table),
        "removed, fewer than 2 known genes": len(removed),
        "names of genes that are not known": int(table["unknown"].map(len).sum()),
        "without a name": int((table["name"] == "").sum()),
        "called unrelated": int(table["unrelated"].sum()),
        "that differ from all enriched terms": int((table["agreement"] == "differs").sum()),
        **{f"claims {verdict}": n for verdict, n in sorted(verdicts.items())},
        **{f"failed at {stage}": n for stage, n in sorted(stages.items())},
    }
