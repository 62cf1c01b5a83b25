import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bftembed.errors import DataError
from bftembed.genes import GeneTable


def test_symbols_are_what_names_map_to(toy):
    assert "TP53" in toy
    assert "NOVELG" in toy
    assert "p53" not in toy
    assert "ENSG00000141510" not in toy
    assert len(toy) == len(toy.symbols)
    plain = toy.rows.loc[~toy.rows["answer"].str.contains("|", regex=False), "answer"]
    assert set(plain) == set(toy.symbols)


def test_candidates_are_all_of_the_best_tier(toy):
    assert toy.candidates("DIFF6") == ("SEPTIN1", "SEPTIN2")
    assert toy.candidates("p53") == ("TP53",)
    assert toy.candidates("tp53") == ("TP53",)
    assert toy.candidates("C1ORF112") == ("FIRRM",)
    assert toy.candidates("no such gene") == ()


def test_ncbi_synonyms_make_a_name_ambiguous(toy):
    assert toy.candidates("BCC7") == ("LOC900001", "TP53")


def test_lookup_gives_tier_and_answer(toy):
    tier, answer = toy.lookup(np.array(["TP53", "tp53", "nope", "SEPT2"], dtype=object))
    assert tier.tolist() == ["approved", "case", None, "previous"]
    assert answer.tolist() == ["TP53", "TP53", None, "SEPTIN2"]


def test_an_ambiguous_previous_symbol_stays_so_in_another_case(toy):
    assert toy.candidates("diff6") == ("SEPTIN1", "SEPTIN2")


def test_ensembl_ids_of_symbols(toy):
    assert toy.ensembl_ids["TP53"] == "ENSG00000141510"
    assert toy.ensembl_ids["FIRRM"] == "ENSG00000000460"
    assert toy.ensembl_ids["CAD"] == "ENSG00000084774"
    assert "SPP1" not in toy.ensembl_ids


def test_hgnc_is_enough(hgnc):
    table = GeneTable.from_frames(hgnc)
    assert table.candidates("SEPT2") == ("SEPTIN2",)
    assert table.ensembl_ids == {}
    assert table.version == f"HGNC ({len(hgnc)} symbols)"


def test_sources_that_add_nothing_do_no_harm(hgnc, gene_info, annotables):
    table = GeneTable.from_frames(hgnc, ncbi=gene_info[:0], ensembl=annotables[:0])
    pd.testing.assert_frame_equal(table.rows, GeneTable.from_frames(hgnc).rows)
    nothing = annotables.assign(symbol="Y_RNA")
    assert GeneTable.from_frames(hgnc, ensembl=nothing).digest == table.digest


def test_approved_symbols_alone_are_enough():
    columns = {"Approved symbol": ["TP53"], "Previous symbols": [None], "Alias symbols": [None]}
    assert GeneTable.from_frames(pd.DataFrame(columns)).candidates("tp53") == ("TP53",)


def test_the_digest_tells_tables_apart_but_not_orders(hgnc, annotables, toy):
    alone = GeneTable.from_frames(hgnc)
    assert alone.digest == GeneTable.from_frames(hgnc.iloc[::-1]).digest
    assert len({alone.digest, toy.digest, GeneTable.from_frames(hgnc, ensembl=annotables).digest}) == 3


def test_save_and_load(toy, tmp_path):
    toy.save(tmp_path / "t.parquet")
    loaded = GeneTable.load(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(loaded.rows, toy.rows)
    assert (loaded.digest, loaded.version, loaded.species) == (toy.digest, toy.version, "human")


@pytest.mark.parametrize("damage", ["missing", "junk", "foreign", "truncated"])
def test_a_file_that_is_no_table_is_named(toy, tmp_path, damage):
    path = tmp_path / "t.parquet"
    if damage == "junk":
        path.write_bytes(b"<html>not found</html>")
    elif damage == "foreign":
        pq.write_table(pa.table({"a": [1]}), path)
    elif damage == "truncated":
        toy.save(path)
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"t\.parquet is missing or is no compiled gene file"):
        GeneTable.load(path)


def test_another_layout_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    about = {"bftembed.genes": json.dumps({"schema": 0})}
    pq.write_table(pa.table({"name": ["A"]}).replace_schema_metadata(about), path)
    with pytest.raises(DataError, match="has layout 0"):
        GeneTable.load(path)


def test_every_answer_of_the_real_table_is_a_symbol_that_answers_itself(real_table):
    answers = real_table.rows["answer"].str.split("|", regex=False).explode().unique()
    assert set(answers) <= set(real_table.symbols)
    again = real_table.lookup(real_table.symbols.to_numpy(dtype=object))[1]
    assert (again == real_table.symbols.to_numpy(dtype=object)).all()


def test_real_ensembl_ids_go_there_and_back(real_table):
    symbols = np.array(list(real_table.ensembl_ids), dtype=object)
    ids = np.array(list(real_table.ensembl_ids.values()), dtype=object)
    assert len(symbols) > 35_000
    assert (real_table.lookup(ids)[1] == symbols).all()
