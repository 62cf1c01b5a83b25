"""Process naming: what the genes of a set have in common, in the words of a language model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from bftembed import data
from bftembed.bench import (
    CheckedSetNames,
    ContaminatedSets,
    GeneSet,
    Published,
    SetNames,
    Task,
    TaskInfo,
    few_names,
    few_sets,
    gene_set,
    task,
)
from bftembed.errors import DataError, NotGivenError
from bftembed.naming import TermSets

if TYPE_CHECKING:
    from collections.abc import Callable

_TABLES = ("hgnc_genes", "ncbi_gene_info", "annotables_grch38")
_NAMED = ("geneagent_go_terms", "llmeval_gene_sets", "hallmark_gene_sets", "go_bp_2021")
#: What the tools of the cascade look up beside the terms.
_LOOKED_UP = ("refseq_gene_summary", "go_annotations", "trrust", "liana")
_SEEN = "Summaries of RefSeq, which a model may ask for, name processes: the row before the check has not seen them."
_HU = (
    "Hu M et al. Evaluation of large language models for discovery of gene set function. Nat Methods 22, 82-91 (2025)."
)
_GENEAGENT = (
    "Wang Z et al. GeneAgent, self-verification language agent for gene-set analysis using domain databases. "
    "Nat Methods (2025)."
)
_GITHUB = "https://raw.githubusercontent.com/ncbi-nlp/GeneAgent"
#: Names of the background of a fast run, since encoding all takes a minute on a CPU.
_FAST_TOKENS = 48
#: How often a set is asked again with its genes in another order.
_ORDERS = 3
_FAST_NAMES = 500
_ENDINGS = {"UP": "UP REGULATED", "DN": "DOWN REGULATED"}


def _go_1000() -> list[GeneSet]:
    return _go_sets(data.load("geneagent_go_terms"))


def _go_llmeval() -> list[GeneSet]:
    return _go_sets(data.load("llmeval_gene_sets", "sets"))


def _go_sets(table: pd.DataFrame) -> list[GeneSet]:
    rows = zip(table["GO"], table["Term_Description"], table["Genes"], strict=True)
    return [gene_set(id, name, genes.split()) for id, name, genes in rows]


def _hallmark() -> list[GeneSet]:
    return [gene_set(name, hallmark_name(name), genes) for name, genes in data.load("hallmark_gene_sets").items()]


def hallmark_name(name: str) -> str:
    """`HALLMARK_UV_RESPONSE_DN` as words: without the prefix, up and down written out."""
    words = name.removeprefix("HALLMARK_").split("_")
    return " ".join([*words[:-1], _ENDINGS.get(words[-1], words[-1])])


def _msigdb() -> list[GeneSet]:
    table = _given("msigdb", f"{_GITHUB}/eb2dd34250d408505f0a2cb5e0bed1167354e598/Datasets/MsigDB/MsigDB.csv", ",")
    rows = zip(table["ID"], table["Name"], table["Genes"], strict=True)
    return [gene_set(id, name, genes.replace(",", " ").split()) for id, name, genes in rows]


def _nest() -> list[GeneSet]:
    table = _given("nest", f"{_GITHUB}/2d87ab3def2d43052418c1108cbae126b41fb068/Datasets/NeST/NeST.tsv", "\t")
    rows = zip(table["NEST ID"], table["name_new"], table["Genes"], strict=True)
    return [gene_set(id, name, genes.split(",")) for id, name, genes in rows]


def _given(name: str, url: str, separator: str) -> pd.DataFrame:
    """A table of the user: its digest is not known here, so it cannot be fetched."""
    try:
        path = data.given_file(name)
    except NotGivenError as error:
        msg = f"{error} Download it from {url}"
        raise NotGivenError(msg) from error
    wanted = {"msigdb": ["ID", "Name", "Genes"], "nest": ["NEST ID", "name_new", "Genes"]}[name]
    table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    if lacking := [column for column in wanted if column not in table]:
        msg = f"`{path}` has no column {', '.join(lacking)}; the file of GeneAgent is at {url}"
        raise DataError(msg)
    return table


def _background(fast: bool) -> list[str]:
    """Names among which the right one is looked for: the same for all collections, so that percentiles compare."""
    known = [each.name for sets in (_go_1000(), _go_llmeval(), _hallmark()) for each in sets]
    names = [*TermSets.go().sets, *known]
    return few_names(set(names), _FAST_NAMES) if fast else names


def _brief(*, fast: bool) -> dict[str, Any]:
    """The name stands in the first line: a fast run writes little more than that."""
    return {"max_new_tokens": _FAST_TOKENS} if fast else {}


def _naming(name: str, title: str, read: Callable[[], list[GeneSet]], *, is_go: bool = False, **info: Any) -> Task:
    def load(fast: bool) -> SetNames:
        sets = read()
        chosen = few_sets(sets) if fast else sets
        return SetNames(
            chosen, terms=TermSets.go(), knows_terms=is_go, background=_background(fast), **_brief(fast=fast)
        )

    fields = {
        "kind": "language",
        "mode": "generate",
        "preset": "cot",
        "encodes": True,
        "data": (*_NAMED, *_TABLES),
        "main_score": "percentile",
        "chance": 0.5,
        "best": 1.0,
        "citation": _GENEAGENT,
        "licence": "US Government work / public domain (NCBI PUBLIC DOMAIN NOTICE, LICENSE)",
    }
    return Task(TaskInfo(name=f"process_naming.{name}", title=title, **(fields | info)), load)


_GO_TRAPS = (
    "The sets are terms of Gene Ontology: enrichment that may find a set's own term names a third of them exactly.",
    "ROUGE is nearly that of a constant name: see the row beside it.",
)
NAMING = [
    _naming(
        "go_1000",
        "Names of 1,000 GO processes (GeneAgent)",
        _go_1000,
        is_go=True,
        known_traps=(*_GO_TRAPS, "98 of the sets are also in `go_llmeval`."),
    ),
    _naming(
        "go_llmeval",
        "Names of 1,000 GO processes (Hu et al.)",
        _go_llmeval,
        is_go=True,
        licence="MIT",
        citation=_HU,
        known_traps=(*_GO_TRAPS, "98 of the sets are also in `go_1000`."),
    ),
    _naming(
        "hallmark",
        "Names of the 50 MSigDB hallmark sets",
        _hallmark,
        licence="BSD-3-Clause",
        citation="Liberzon A et al. The Molecular Signatures Database hallmark gene sets. Cell Syst 1, 417-425 (2015).",
        known_traps=("The names are in every corpus of training: a high score may be memory.",),
    ),
    _naming(
        "msigdb",
        "Names of 56 MSigDB sets (GeneAgent)",
        _msigdb,
        files=("msigdb",),
        is_default=False,  # it needs a file of the user
        known_traps=("Most are hallmark sets again. `Peroxisome` stands there twice, with other genes.",),
    ),
    _naming(
        "nest",
        "Names of 50 protein systems in cancer, NeST (GeneAgent)",
        _nest,
        files=("nest",),
        is_default=False,
        known_traps=("The names are not in Gene Ontology: the fairest of these sets, and a small one.",),
    ),
]


def _checked(naming: Task) -> Task:
    """The same sets, named again after the claims behind each name were checked."""

    def load(fast: bool) -> CheckedSetNames:
        return CheckedSetNames.of(cast("SetNames", naming.load(fast)))

    changed = {
        "name": f"{naming.name}.cascade",
        "preset": "cascade",
        "is_default": False,
        "title": f"{naming.info.title}, after a check of its claims",
        "data": (*naming.info.data, *_LOOKED_UP),
        "known_traps": (*naming.info.known_traps, _SEEN),
    }
    return Task(naming.info.model_copy(update=changed), load)


CHECKED = [_checked(each) for each in NAMING]


def _in_orders(naming: Task) -> Task:
    """The same sets, asked again with their genes in other orders."""

    def load(fast: bool) -> SetNames:
        return SetNames.of(cast("SetNames", naming.load(fast)), orders=_ORDERS)

    title = f"{naming.info.title}, and whether a name depends on the order of the genes"
    changed = {"name": f"{naming.name}.orders", "preset": "orders", "is_default": False, "title": title}
    return Task(naming.info.model_copy(update=changed), load)


REORDERED = [_in_orders(each) for each in NAMING]


@task(
    name="process_naming.contaminated",
    kind="language",
    mode="generate",
    preset="cot",
    encodes=True,
    title="Refusing to name 100 GO processes whose genes were replaced",
    data=(*_NAMED, *_TABLES),
    main_score="f1 of unrelated",
    best=1.0,
    licence="MIT",
    citation=_HU,
    published=(
        Published(
            model="GPT-4",
            metric="f1 of unrelated",
            value=0.911,
            source="counted in the authors' table of answers: 87 of 100 replaced and 4 of 100 real sets were refused",
        ),
    ),
    known_traps=(
        "Calling every set unrelated has an F1 of 2/3, and a balanced accuracy of 1/2.",
        "Enrichment tells the groups apart almost by construction: the real sets are GO terms, the others are not.",
    ),
)
def contaminated(fast: bool) -> ContaminatedSets:
    """100 sets, each as it is, with half and with all genes replaced."""
    table = data.load("llmeval_gene_sets", "contaminated")
    sets = _go_sets(table)
    if fast:
        sets = few_sets(sets)
    kept = table[table["GO"].isin([each.id for each in sets])]
    half, replaced = (
        {id: gene_set(id, id, genes.split()).genes for id, genes in zip(kept["GO"], kept[column], strict=True)}
        for column in ("50perc_contaminated_Genes", "100perc_contaminated_Genes")
    )
    return ContaminatedSets(
        sets, half=half, replaced=replaced, terms=TermSets.go(), background=_background(fast), **_brief(fast=fast)
    )
