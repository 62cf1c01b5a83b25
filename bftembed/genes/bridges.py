"""Claims of Ensembl (annotables) and NCBI (gene_info), brought to the symbols that HGNC approves today."""

from __future__ import annotations

import pandas as pd

from bftembed.genes.claims import SEPARATOR, claim, need_columns, split_claims

HUMAN_TAXON = "9606"
AUTHORITY = "Symbol_from_nomenclature_authority"
_NO_SYMBOL_YET = "NEWENTRY"
_PRIMARY = frozenset([*map(str, range(1, 23)), "X", "Y", "MT"])


class NameIndex:
    """Names that are already resolved, while further sources are read."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self._answers = pd.Series(rows["answer"].to_numpy(), index=rows["name"].to_numpy(), dtype=object)
        approved = rows.loc[rows["tier"] == "approved", "name"]
        self._folds = frozenset(approved.str.casefold())

    def answers(self, names: pd.Series[str]) -> pd.Series[str]:
        """The answer to each name (``A|B`` if ambiguous), NaN where there is none."""
        return names.map(self._answers).astype(object)

    def is_new(self, names: pd.Series[str]) -> pd.Series[bool]:
        """Whether a name is neither known nor a case slip of an approved symbol."""
        return self.answers(names).isna() & ~names.str.casefold().isin(self._folds) & (names != "")


def ensembl_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Distinct rows ``ensgene, symbol, chr, primary`` of annotables that have a symbol."""
    columns = ["ensgene", "symbol", *(["chr"] if "chr" in frame.columns else [])]
    rows = need_columns(frame, columns, "annotables").drop_duplicates()
    rows = rows[(rows["symbol"] != "") & (rows["ensgene"] != "")]
    primary = rows["chr"].isin(_PRIMARY) if "chr" in rows else pd.Series(True, index=rows.index)
    return rows.assign(primary=primary).reset_index(drop=True)


def ensembl_claims(rows: pd.DataFrame, known: NameIndex) -> list[pd.DataFrame]:
    """Ensembl ids, and the symbols of Ensembl that HGNC does not list.

    A name that Ensembl gives to several loci (``Y_RNA``, ``U2``) is a kind of gene, not a gene, and is left out.
    """
    answers = known.answers(rows["symbol"])
    copies = rows[rows["primary"]].groupby("symbol")["ensgene"].nunique()
    is_gene = (rows["symbol"].map(copies).fillna(1) <= 1) | (answers == rows["symbol"])
    listed = known.is_new(rows["symbol"]) & is_gene
    symbols = answers.where(~listed, rows["symbol"]).where(is_gene)
    return [claim(rows["symbol"][listed], "listed", rows["symbol"][listed]), claim(rows["ensgene"], "ensembl", symbols)]


def best_ids(rows: pd.DataFrame, on_primary: pd.Series[str]) -> pd.Series[str]:
    """One Ensembl id per symbol: on the primary assembly where there is one, then the lowest.

    Parameters
    ----------
    rows
        ``name, tier, answer``, as `claims.resolve` gives them.
    on_primary
        Ids on the primary assembly.
    """
    ids = rows[rows["tier"] == "ensembl"]
    ids = ids.assign(elsewhere=~ids["name"].isin(on_primary)).sort_values(["elsewhere", "name"])
    ids = ids.drop_duplicates("answer")
    return pd.Series(ids["name"].to_numpy(), index=ids["answer"].to_numpy(), dtype=object)


def ncbi_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """The human rows of gene_info as text, NCBI's ``-`` for "none" as ``""``."""
    columns = ["GeneID", "Symbol", "Synonyms", "dbXrefs", "type_of_gene", "map_location", "description"]
    rows = need_columns(frame, columns, "NCBI gene_info").replace("-", "")
    if AUTHORITY in frame.columns:
        rows[AUTHORITY] = frame[AUTHORITY].astype(object).fillna("")
    if "tax_id" in frame.columns:
        rows = rows[frame["tax_id"].astype(str) == HUMAN_TAXON]
    return rows.reset_index(drop=True)


def ensembl_xrefs(rows: pd.DataFrame) -> pd.Series[str]:
    """Ensembl gene ids in ``dbXrefs``, indexed by the row they stand in."""
    found = rows["dbXrefs"].str.findall(r"Ensembl:(ENSG\d{11})").explode()
    return found.dropna()


def current_symbols(rows: pd.DataFrame, known: NameIndex) -> pd.Series[str]:
    """The symbol that a row of gene_info goes by today, NaN where none is known or the choice is not unique.

    An approved symbol stands; otherwise the Ensembl id decides, which outlives a change of symbol; otherwise the name.
    """
    by_name = known.answers(rows["Symbol"])
    ids = known.answers(ensembl_xrefs(rows)).dropna()
    ids = ids[~ids.str.contains(SEPARATOR, regex=False)]
    ids = ids.groupby(level=0).unique()
    by_id = ids[ids.str.len() == 1].str[0].reindex(rows.index)
    unique_name = by_name.mask(by_name.str.contains(SEPARATOR, regex=False, na=False))
    return unique_name.where(by_name == rows["Symbol"], by_id.fillna(unique_name))


def ncbi_claims(rows: pd.DataFrame, known: NameIndex) -> list[pd.DataFrame]:
    """Synonyms, further symbols and Ensembl ids of NCBI. Entries of unknown type are loci of diseases, not genes."""
    symbols = current_symbols(rows, known)
    is_gene = (rows["type_of_gene"] != "unknown") & (rows["Symbol"] != _NO_SYMBOL_YET)
    listed = symbols.isna() & known.is_new(rows["Symbol"]) & is_gene
    symbols = symbols.where(~listed, rows["Symbol"])
    ids = ensembl_xrefs(rows)
    ids = ids[known.answers(ids).isna()]
    shared = ids.isin(ids[~listed.reindex(ids.index)])
    ids = ids[~(listed.reindex(ids.index) & shared)]  # a symbol of HGNC goes before one of NCBI alone
    return [
        claim(rows["Symbol"][listed], "listed", rows["Symbol"][listed]),
        split_claims(rows["Synonyms"], r"\|", "alias", symbols),
        claim(ids, "ensembl", symbols.reindex(ids.index)),
    ]
