import pandas as pd
import pytest
import yaml

from bftembed._paths import shipped_dir
from bftembed.data import available, get_manifest, load
from bftembed.data.readers import READERS
from bftembed.errors import DataError, MissingExtraError

# Counted in the files without the readers (lines, records, R's own dimensions).
SHAPES = {
    "alpaca": 999,
    "annotables_grch38": (75118, 9),
    "bagel_essential": {"essential": (684, 3), "nonessential": (927, 3)},
    "bioasq": {"batch1": 1, "batch2": 1},
    "bremsc_pbmc": {"rna": (1372, 33538), "protein": (1372, 10), "cell_types": (1372, 2)},
    "broad_repurposing": (6798, 6),
    "gene2vec_ggi": {
        "train_pairs": (263016, 2),
        "train_labels": (263016, 1),
        "valid_pairs": (5568, 2),
        "valid_labels": (5568, 1),
        "test_pairs": (21448, 2),
        "test_labels": (21448, 1),
    },
    "geneagent_go_terms": (1000, 4),
    "gene_benchmark_results": {
        "Tasks descriptions": (59, 7),
        "Top level pathways": (29, 2),
        "Preformance long form": (14265, 9),
    },
    "gene_lists": {"universe": 19194, "gpcr_guide": 391, "kinases": 347},
    "geneformer_dosage_tfs": (490, 4),
    "geneformer_gene_info": (80529, 3),
    "geneformer_labels": {
        "dosage_sensitivity": (2, 2),
        "bivalent_lys4": (2, 2),
        "bivalent_no_methyl": (2, 2),
        "tf_range": (2, 2),
        "n1_network": (2, 2),
        "n1_target": (2, 2),
    },
    "genept_small": (87, 1536),
    "gnomad_constraint": (19705, 25),
    "go_annotations": (11345, 8),
    "go_bp_2021": 6036,
    "gsm8k": 1319,
    "hallmark_gene_sets": 50,
    "hgnc_genes": (43681, 3),
    "hpa_rna_tissue": (725681, 5),
    "huatuogpt_o1": 198,
    "lambert_tfs": (2765, 29),
    "liana": (35360, 5),
    "llmeval_gene_sets": {"sets": (1000, 4), "contaminated": (100, 6), "gpt4": (100, 27)},
    "medmcqa": 4183,
    "medqa": 1273,
    "mmlu_medical": {
        "anatomy": (135, 6),
        "clinical_knowledge": (265, 6),
        "college_biology": (144, 6),
        "college_medicine": (173, 6),
        "medical_genetics": (100, 6),
        "professional_medicine": (272, 6),
    },
    "ncbi_gene_info": (56425, 15),
    "norman_perturbench": (5961, 500),
    "pbmc_stim": {"pbmc.stim": (1000, 9015), "pbmc.ctrl": (1000, 9015)},
    "perturbqa": {"k562_de": (157679, 4), "k562_dir": (19980, 4), "rpe1_de": (187089, 4), "rpe1_dir": (26652, 4)},
    "pubmedqa": {"questions": 1000, "test": 500},
    "refseq_gene_summary": (103803, 6),
    "scgenept_norman_split": {"test_subgroup": 4, "val_subgroup": 4},
    "scgpt_vocab": 48292,
    "sciplex_drugs": (1230, 4),
    "sciplex_edist": (189, 189),
    "scouter_norman": (1352, 6),
    "subcellular_location": (8597, 2),
    "symphony_pbmc": {"expression": (1200, 1767), "cells": (1200, 7)},
    "trrust": (9398, 4),
    "wiki": 30,
    "ylab_go_holdout": 56,
    "ylab_ng": {"pairs": 116248, "labels": 116248, "cv_splits": 3},
    "ylab_results": {"go_auroc": (38, 56), "ng_auroc": (38, 4)},
}


@pytest.mark.parametrize("name", [path.stem for path in sorted(shipped_dir("data_manifests").glob("*.yaml"))])
def test_every_shipped_data_set_loads(mirror, name):
    if not available(name):
        pytest.skip(f"{name} is not in the mirror that BFTEMBED_MIRROR names")
    content, expected = load(name), SHAPES[name]
    if isinstance(expected, int):
        assert len(content) == expected
    elif isinstance(expected, tuple):
        assert content.shape == expected
    else:
        assert {key: getattr(value, "shape", len(value)) for key, value in content.items()} == expected


def test_genes_called_like_missing_values_survive(mirror):
    hgnc = load("hgnc_genes")
    named_na = hgnc.set_index("Approved symbol").loc["XK"]
    assert named_na["Previous symbols"].split(", ") == ["NA", "NAC"]
    assert hgnc["Previous symbols"].isna().any()


def test_gene_info_has_clean_columns_and_no_dashes(mirror):
    info = load("ncbi_gene_info")
    assert list(info.columns[:5]) == ["tax_id", "GeneID", "Symbol", "LocusTag", "Synonyms"]
    tp53 = info[info["Symbol"] == "TP53"].iloc[0]
    assert (tp53["GeneID"], tp53["chromosome"]) == (7157, "17")
    assert not (info == "-").any(axis=None)
    assert info["LocusTag"].isna().any()


def test_one_file_of_several(mirror):
    assert load("bremsc_pbmc", "cell_types").columns.tolist() == ["Barcode", "trueType"]
    with pytest.raises(DataError, match="has no file 'cells'; it has rna, protein, cell_types"):
        load("bremsc_pbmc", "cells")


def test_cells_of_both_modalities_are_those_with_a_type(mirror):
    data = load("bremsc_pbmc")
    assert data["rna"].obs_names.tolist() == data["protein"].obs_names.tolist()
    assert set(data["rna"].obs_names) == set(data["cell_types"]["Barcode"])


@pytest.fixture
def toy(tmp_path, monkeypatch, cache, write_manifest):
    """Make a data set `toy` of the given bytes in a mirror."""
    monkeypatch.setenv("BFTEMBED_MIRROR", str(tmp_path / "mirror"))

    def make(content, reader, **file):
        path = tmp_path / "mirror" / "toys" / "table.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        write_manifest(content, file={"reader": reader, **file})
        return cache / "data" / "toys" / "table.tsv"

    return make


def test_options_of_the_call_take_the_place_of_those_of_the_manifest(toy):
    toy(b"a;b\n1;x\n2;y\n", "csv", options={"sep": ";", "nrows": 1})
    pd.testing.assert_frame_equal(load("toy"), pd.DataFrame({"a": [1], "b": ["x"]}))
    assert len(load("toy", nrows=2)) == 2


def test_several_files_come_by_name(toy, own_manifests):
    toy(b"a\n1\n", "csv")
    path = own_manifests / "toy.yaml"
    content = yaml.safe_load(path.read_text())
    first = content["files"][0]
    second = {**first, "name": "lines", "reader": "lines", "path": "toys/lines.txt"}
    (own_manifests.parent / "mirror" / "toys" / "lines.txt").write_bytes(b"a\n1\n")
    path.write_text(yaml.safe_dump({**content, "files": [first, second]}))
    loaded = load("toy")
    assert list(loaded) == ["table", "lines"]
    assert loaded["lines"] == ["a", "1"]
    assert load("toy", "lines") == ["a", "1"]


def test_unknown_reader_is_named(toy):
    toy(b"a\n", "parquet")
    with pytest.raises(DataError, match="names the reader 'parquet'; there are csv, gmt"):
        load("toy")


GARBAGE = bytes(range(255, 0, -1)) * 20


@pytest.mark.parametrize("reader", READERS)
def test_damaged_file_is_named_with_the_remedy(toy, reader):
    path = toy(GARBAGE, reader)
    with pytest.raises(DataError) as error:
        load("toy")
    message = str(error.value)
    assert str(path) in message
    assert f"could not be read as {reader}" in message
    assert "bftembed data verify toy" in message
    assert len(message) < 1000


@pytest.mark.parametrize(
    ("topic", "file", "reader"),
    [
        ("single_cell", "symphony_pbmcs_exprs_small.rda", "rda"),
        ("single_cell", "bremsc_inhouse_Protein.rds", "rds"),
        ("perturbation", "perturbench_devel.h5ad", "h5ad"),
        ("gene_property", "gene_benchmark_task_descriptions_and_results.xlsx", "xlsx"),
        ("gene_property", "ylab_go_holdout_dict_all.pkl", "pickle"),
        ("gene_text", "scgpt_default_gene_vocab.json", "json"),
    ],
)
def test_cut_off_file_is_damaged(mirror, toy, topic, file, reader):
    whole = (mirror / topic / file).read_bytes()
    toy(whole[: len(whole) // 2], reader)
    with pytest.raises(DataError, match=f"could not be read as {reader}"):
        load("toy")


def test_wrong_option_is_shown(toy):
    toy(b"a\n", "csv")
    with pytest.raises(DataError, match=r"as csv with the options {'colour': 1}: TypeError: .*colour"):
        load("toy", colour=1)


def test_errors_that_already_say_what_to_do_pass_through(toy, monkeypatch):
    toy(b"PK", "xlsx")
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(MissingExtraError, match="openpyxl"):
        load("toy")


def test_slow_tables_are_parsed_once(mirror, cache, monkeypatch):
    monkeypatch.setenv("BFTEMBED_MIRROR", str(mirror))
    first = load("symphony_pbmc", "cells")
    monkeypatch.setitem(READERS, "rda", lambda *_, **__: pytest.fail("parsed again"))
    pd.testing.assert_frame_equal(load("symphony_pbmc", "cells"), first)
    assert get_manifest("symphony_pbmc").file("cells").reader == "rda"
