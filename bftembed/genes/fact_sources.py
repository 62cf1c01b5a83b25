"""Facts of each source as tidy frames with current symbols."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pandas as pd

from bftembed.genes import bridges
from bftembed.genes.claims import SEPARATOR, need_columns

if TYPE_CHECKING:
    from bftembed.genes.table import GeneTable

logger = logging.getLogger("bftembed")

GO_DOMAINS = ("biological_process", "cellular_component", "molecular_function")
_REVIEW = ("REVIEWED", "VALIDATED", "PROVISIONAL", "PREDICTED", "INFERRED", "MODEL")
_DETECTED, _ELEVATED, _MOST_TISSUES = 1.0, 4.0, 5
_CREDIT = r"\s*\[provided by RefSeq[^\]]*\]\.?\s*$"


def ncbi_facts(gene_info: pd.DataFrame, table: GeneTable) -> pd.DataFrame:
    """Rows ``symbol, gene_id, full_name, locus, gene_type`` of the human genes, text.

    Two entries that are one gene today both stay: those of unknown type, which are loci of diseases that a symbol was
    once given to, after all others; then first the one that carried the current symbol, then the older id. A row
    whose own symbol is none that HGNC approves goes by the one that NCBI has from HGNC (COX1 is MT-CO1).
    """
    rows = bridges.ncbi_frame(gene_info)
    symbols = bridges.current_symbols(rows, bridges.NameIndex(table.rows))
    if bridges.AUTHORITY in rows:
        approved = table.rows.loc[table.rows["tier"] == "approved", "name"]
        told = rows[bridges.AUTHORITY].isin(approved) & ~rows["Symbol"].isin(approved)
        symbols = symbols.mask(told, rows[bridges.AUTHORITY])
    rows = rows.assign(
        symbol=symbols,
        is_locus=rows["type_of_gene"] == "unknown",
        stale=symbols != rows["Symbol"],
        number=pd.to_numeric(rows["GeneID"]),
    )
    rows = rows.dropna(subset="symbol").sort_values(["symbol", "is_locus", "stale", "number"])
    facts = rows.rename(
        columns={
            "description": "full_name",
            "map_location": "locus",
            "type_of_gene": "gene_type",
            "GeneID": "gene_id",
        }
    )
    return facts[["symbol", "gene_id", "full_name", "locus", "gene_type"]].reset_index(drop=True)


def refseq_summaries(refseq: pd.DataFrame) -> pd.Series[str]:
    """One summary per human NCBI gene id: of the best review status, the longest, then the first in the alphabet.

    Rows without a gene id are dropped and counted in the log.
    """
    columns = ["Taxon_ID", "Gene_ID", "Review_status", "Gene_summary"]
    rows = need_columns(refseq, columns, "RefSeq summary")
    rows = rows[rows["Taxon_ID"] == bridges.HUMAN_TAXON]
    named = rows["Gene_ID"].str.fullmatch(r"\d+")
    if lost := int((~named).sum()):
        logger.info("%d RefSeq summaries have no gene id and are left out.", lost)
    text = rows["Gene_summary"].str.replace(_CREDIT, "", regex=True).str.split().str.join(" ")
    status = rows["Review_status"].str.split().str[0].str.upper()
    rank = status.map({word: i for i, word in enumerate(_REVIEW)}).fillna(len(_REVIEW))
    rows = pd.DataFrame({"gene_id": rows["Gene_ID"], "summary": text, "rank": rank, "short": -text.str.len()})
    rows = rows[named & (text != "")].sort_values(["gene_id", "rank", "short", "summary"])
    return rows.drop_duplicates("gene_id").set_index("gene_id")["summary"]


def go_terms(go: pd.DataFrame, facts: pd.DataFrame, table: GeneTable) -> pd.DataFrame:
    """Names of the GO terms of each gene, ``|`` between them, the most specific first; one column per domain.

    A term that fewer genes carry is taken to be more specific; equal ones are in order of their id. Genes are found
    by their NCBI id in `facts`, those that are not there by the symbol that the annotation gives.
    """
    rows = need_columns(go, ["go_id", "go_name", "go_domain", "size", "gene_ids", "gene_symbols"], "GO annotation")
    lists = rows.assign(
        size=pd.to_numeric(rows["size"]),
        gene_id=rows["gene_ids"].str.split(SEPARATOR, regex=False),
        name=rows["gene_symbols"].str.split(SEPARATOR, regex=False),
    )
    pairs = lists.explode(["gene_id", "name"], ignore_index=True)
    by_id = facts.drop_duplicates("gene_id").set_index("gene_id")["symbol"]
    by_name = bridges.NameIndex(table.rows).answers(pairs["name"])
    by_name = by_name.mask(by_name.str.contains(SEPARATOR, regex=False, na=False))
    pairs = pairs.assign(symbol=pairs["gene_id"].map(by_id).fillna(by_name)).dropna(subset="symbol")
    pairs = pairs.sort_values(["size", "go_id"]).drop_duplicates(["symbol", "go_id"])
    by_domain = {
        domain: part.groupby("symbol")["go_name"].agg(SEPARATOR.join) for domain, part in pairs.groupby("go_domain")
    }
    return pd.DataFrame(by_domain).reindex(columns=list(GO_DOMAINS)).rename_axis("symbol")


def tissue_words(expression: pd.DataFrame, table: GeneTable) -> pd.Series[str]:
    """In which tissues the RNA of each gene is, in words, by symbol.

    Detected is 1 TPM; elevated a tissue with at least four times the mean of the others (the first five are named), as
    the Human Protein Atlas calls genes *tissue enhanced* (Uhlén et al., Science 347, 1260419, 2015).

    Parameters
    ----------
    expression
        ``Gene`` (Ensembl id), ``Sample`` (tissue), ``Value`` (TPM).
    table
        Brings the ids to symbols; of several ids of one gene the first in the alphabet stays.
    """
    rows = need_columns(expression, ["Gene", "Sample"], "tissue expression").assign(Value=expression["Value"])
    wide = rows.pivot_table(index="Gene", columns="Sample", values="Value", aggfunc="mean").dropna()
    symbols = bridges.NameIndex(table.rows).answers(wide.index.to_series())
    wide = wide[symbols.notna() & ~symbols.str.contains(SEPARATOR, regex=False, na=False)]
    wide.index = pd.Index(symbols[wide.index])
    wide = wide[~wide.index.duplicated()]
    return wide.apply(_in_words, axis=1)


def _in_words(tpm: pd.Series[float]) -> str:
    ranked = tpm.sort_values(ascending=False, kind="stable")
    detected, n = int((ranked >= _DETECTED).sum()), len(ranked)
    if not detected:
        return f"RNA not detected in any of {n} tissues"
    others = (ranked.sum() - ranked) / (n - 1)
    elevated = ranked.index[(ranked >= _DETECTED) & (ranked >= _ELEVATED * others)][:_MOST_TISSUES]
    most = f"elevated in {'; '.join(elevated)}" if len(elevated) else f"highest in {ranked.index[0]}"
    return f"RNA detected in {'all' if detected == n else detected} of {n} tissues, {most}"
