import csv
import json
import re
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bftembed import data
from bftembed.errors import InputError
from bftembed.genes import GeneTable, map_names
from bftembed.genes.mapping import MAPPED

NAMES = ["TP53", "tp53", "SEPT2", "DIFF6", "OPN", "1-Mar", "1-Dec", "ENSG00000141510.3", "p53", "nope", None, "Cd4", ""]
shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def one(name, table, **options):
    row = map_names([name], table, **options).frame.iloc[0]
    return row["symbol"], row["rule"], row["candidates"]


@pytest.mark.parametrize(
    ("name", "symbol", "rule"),
    [
        ("TP53", "TP53", "approved"),
        (" TP53 ", "TP53", "approved"),
        ("ENSA", "ENSA", "approved"),
        ("ENSG00000141510", "TP53", "ensembl"),
        ("ENSG00000141510.18", "TP53", "ensembl"),
        ("ENSG00000141510.18_2", "TP53", "ensembl"),
        ("ENSG00000141510.18_PAR_Y", "TP53", "ensembl"),
        ("ENSG00000141510-1", "TP53", "ensembl"),
        ("ENSG00000141510.18.1", "TP53", "ensembl"),
        ("tp53", "TP53", "case"),
        ("Cad", "CAD", "case"),
        ("C1ORF112", "FIRRM", "case"),
        ("C1orf112", "FIRRM", "previous"),
        ("SEPT2", "SEPTIN2", "previous"),
        ("NOVELG", "NOVELG", "listed"),
        ("p53", "TP53", "alias"),
        ("2-Sep", "SEPTIN2", "excel"),
        ("15-Sep", "SELENOF", "excel"),
        ("1-Dec", "DELEC1", "excel"),
        ("3-Mar", "MARCHF3", "excel"),
        ("4-Oct", "POU5F1", "excel"),
        (pd.Timestamp("2021-09-02"), "SEPTIN2", "excel"),
        ("AC000068.10", None, "unknown"),
        ("ENSG99999999999", None, "unknown"),
        ("2-Feb", None, "unknown"),
        ("NA", None, "unknown"),
        ("nan", None, "unknown"),
        (7157, None, "unknown"),
        (None, None, "missing"),
        (float("nan"), None, "missing"),
        (" ", None, "missing"),
    ],
)
def test_rules(toy, name, symbol, rule):
    assert one(name, toy) == (symbol, rule, ())


@pytest.mark.parametrize(
    ("name", "candidates"),
    [
        ("DIFF6", ("SEPTIN1", "SEPTIN2")),
        ("OPN", ("OPN1SW", "SPP1")),
        ("ENSG00000000005", ("OPN1SW", "SPP1")),
        ("1-Mar", ("MARCHF1", "MTARC1")),
        ("Mar-01", ("MARCHF1", "MTARC1")),
        ("2001-03-01", ("MARCHF1", "MTARC1")),
        ("2002-09-01", ("SEPTIN1", "SEPTIN2")),
    ],
)
def test_ambiguous_names_are_reported_and_not_guessed(toy, name, candidates):
    assert one(name, toy) == (None, "ambiguous", candidates)


def test_an_ambiguous_alias_does_not_cloud_an_official_origin_of_a_date(toy):
    assert toy.candidates("SEP2") == ("SEPTIN6", "SEPTIN8")
    assert one("2-Sep", toy)[0] == "SEPTIN2"


def test_gene_id_type_restricts_the_rules(toy):
    names = ["ENSG00000141510.1", "TP53", "ENSA", "2-Sep"]
    assert map_names(names, toy, gene_id_type="ensembl").symbols.tolist() == ["TP53", None, None, None]
    assert map_names(names, toy, gene_id_type="symbol").symbols.tolist() == [None, "TP53", "ENSA", "SEPTIN2"]


@pytest.mark.parametrize("option", [{"species": "Human"}, {"species": "rat"}, {"gene_id_type": "entrez"}])
def test_unknown_options_are_refused(toy, option):
    with pytest.raises(InputError, match=f"must be .* not '{next(iter(option.values()))}'"):
        map_names(["TP53"], toy, **option)


def test_without_a_table_names_stay(toy):
    result = map_names(["x|y", " TP53", None, "1-Mar"], None)
    assert result.symbols.tolist() == ["x|y", "TP53", None, "1-Mar"]
    assert result.frame["rule"].tolist() == ["as given", "as given", "missing", "as given"]


def test_mouse_names_are_never_mapped_by_spelling(toy):
    result = map_names(["Cd4", "Trp53", "TP53", "ENSMUSG00000059552.1", None], toy, species="mouse")
    assert result.symbols.tolist() == ["Cd4", "Trp53", "TP53", "ENSMUSG00000059552.1", None]
    assert result.counts() == {"unmapped species": 4, "missing": 1}
    kept = "5 gene names: 0 mapped, 4 kept as they are (no table of orthologs), 0 ambiguous, 0 unknown, 1 missing"
    assert result.report() == kept


def test_mouse_names_by_orthologs(toy):
    orthologs = {
        "Trp53": "TP53",
        "Cd4": "CD4",
        "ENSMUSG00000059552": "TP53",
        "March1": "MARCH1",
        "Opn": ["SPP1", "OPN"],
    }
    names = ["Trp53", "trp53", "ENSMUSG00000059552.14", "1-Mar", "Opn", "TP53", "Gm1", ""]
    frame = map_names(names, toy, species="mouse", orthologs=orthologs).frame
    assert frame["symbol"].tolist() == ["TP53", "TP53", "TP53", "MARCHF1", None, None, None, None]
    assert frame["rule"].tolist() == [*["ortholog"] * 4, "ambiguous", "unknown", "unknown", "missing"]
    assert frame["candidates"][4] == ("OPN1SW", "SPP1")


def test_names_of_a_mouse_among_human_ones_are_noticed(toy):
    result = map_names(["Cd4", "TP53", "tp53", "ENSMUSG00000059552", "ENSG00000141510", "Nope"], toy)
    assert result.mouse_like.tolist() == [True, False, False, True, False, False]


def test_report_is_one_line_with_all_counts(toy):
    report = map_names([*NAMES, "TP53"], toy).report()
    assert report == (
        "14 gene names: 8 mapped (2 approved, 1 ensembl, 2 case, 1 previous, 1 alias, 1 excel), "
        "3 ambiguous, 1 unknown, 2 missing"
    )
    assert map_names(["nope"], toy).report() == "1 gene names: 0 mapped, 0 ambiguous, 1 unknown"


def test_result_columns(toy):
    result = map_names(NAMES, toy)
    assert result.frame["original"].tolist() == NAMES
    assert result.ambiguous == {
        "DIFF6": ("SEPTIN1", "SEPTIN2"),
        "OPN": ("OPN1SW", "SPP1"),
        "1-Mar": ("MARCHF1", "MTARC1"),
    }
    assert result.n_mapped == sum(n for rule, n in result.counts().items() if rule in MAPPED)
    assert "ambiguous" in result._repr_html_()


def test_no_names(toy):
    result = map_names([], toy)
    assert len(result.frame) == result.n_mapped == 0
    assert map_names([], toy, species="mouse", orthologs={"Trp53": "TP53"}).frame.empty
    assert map_names([], None).frame.empty


@shared
@given(st.lists(st.one_of(st.sampled_from(NAMES), st.text(max_size=12), st.none(), st.integers())))
def test_a_name_is_mapped_on_its_own(toy, names):
    together = map_names(names, toy).frame
    alone = [one(name, toy) for name in names]
    assert list(zip(together["symbol"], together["rule"], together["candidates"], strict=True)) == alone
    backwards = map_names(names[::-1], toy).frame
    assert backwards["symbol"].tolist() == together["symbol"].tolist()[::-1]


@shared
@given(st.data())
def test_mapping_a_mapped_name_changes_nothing(real_table, data):
    rows = real_table.rows["name"]
    names = data.draw(st.lists(st.integers(0, len(rows) - 1).map(rows.iloc.__getitem__), min_size=1, max_size=50))
    symbols = [s for s in map_names(names, real_table).symbols if s is not None]
    assert map_names(symbols, real_table).symbols.tolist() == symbols


@shared
@given(st.data(), st.integers(1, 40))
def test_versions_do_not_matter(real_table, data, version):
    gene = data.draw(st.sampled_from(sorted(real_table.ensembl_ids.values())[:500]))
    assert one(f"{gene}.{version}", real_table) == one(gene, real_table)


def plain_oracle(path):
    """The rules on HGNC once more, by plain dictionaries and one name at a time."""
    approved, folded = set(), defaultdict(set)
    former, alias = defaultdict(set), defaultdict(set)
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            symbol = row["Approved symbol"]
            approved.add(symbol)
            folded[symbol.casefold()].add(symbol)
            for column, names in (("Previous symbols", former), ("Alias symbols", alias)):
                for name in filter(None, re.split(r",\s*", row[column])):
                    names[name].add(symbol)

    def answer(name):
        if re.fullmatch(r"\d+(\.\d+)?", name):
            return set()  # "3" is listed as an alias of SLC25A6
        if name in approved:
            return {name}
        for found in (folded[name.casefold()], former.get(name), alias.get(name)):
            if found and (len(found) == 1 or found is not folded[name.casefold()]):
                return found
        return set()

    return answer, [*approved, *former, *alias]


def test_all_names_of_hgnc_agree_with_plain_look_ups(mirror):
    path = data.fetch("hgnc_genes")
    answer, names = plain_oracle(next(iter(path.values())))
    frame = map_names(names, GeneTable.from_frames(data.load("hgnc_genes")), gene_id_type="symbol").frame
    wrong = []
    for name, symbol, candidates in zip(names, frame["symbol"], frame["candidates"], strict=True):
        expected = answer(name)
        got = {symbol} if symbol is not None else set(candidates)
        if got != expected and not re.fullmatch(r"ENSG\d{11}", name):
            wrong.append((name, got, expected))
    assert len(names) > 90_000
    assert wrong == []


def test_real_ensembl_ids_agree_with_a_merge(mirror, real_table):
    """Ids whose symbol HGNC approves today need no rule at all: the two tables joined give the answer."""
    genes = data.load("annotables_grch38")[["ensgene", "symbol"]].drop_duplicates()
    joined = genes.merge(data.load("hgnc_genes"), left_on="symbol", right_on="Approved symbol")
    result = map_names(joined["ensgene"] + ".7", real_table)
    assert len(joined) > 40_000
    assert result.symbols.tolist() == joined["symbol"].tolist()
    assert result.counts() == {"ensembl": len(joined)}


@pytest.mark.parametrize(
    ("source", "share"), [("pbmc68k", 0.97), ("norman_perturbench", 0.99), ("scgpt_vocab", 0.9), ("bremsc_pbmc", 0.6)]
)
def test_names_of_real_data_sets(mirror, real_table, source, share):
    """BREM-SC counts 10,000 clone-named transcripts (AL627309.1) that have no symbol in any of the tables."""
    if source == "pbmc68k":
        names = sc.datasets.pbmc68k_reduced().var_names
    elif source == "scgpt_vocab":
        names = json.loads(next(iter(data.fetch(source).values())).read_text(encoding="utf-8"))
    elif source == "bremsc_pbmc":
        names = data.load(source, "rna").var_names
    else:
        names = data.load(source).var_names
    names = np.asarray(list(names), dtype=object)
    result = map_names(names, real_table)
    counts = result.counts()
    assert sum(counts.values()) == len(names)
    assert counts["approved"] == pd.Index(names).isin(data.load("hgnc_genes")["Approved symbol"]).sum()
    assert result.n_mapped >= share * len(names)
    assert counts.get("ambiguous", 0) < 0.01 * len(names)
    assert not result.mouse_like.any()
    assert set(result.symbols[result.symbols != None]) <= set(real_table.symbols)  # noqa: E711


def test_symbols_are_a_copy(toy):
    result = map_names(["TP53"], toy)
    result.symbols[0] = None
    assert result.symbols.tolist() == ["TP53"]
