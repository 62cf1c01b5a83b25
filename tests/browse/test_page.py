"""The page as a file; `test_in_chromium.py` opens it."""

import base64
import gzip
import json
import re

import anndata
import numpy as np
import pandas as pd
import pytest

from bftembed.browse import write_page
from bftembed.errors import DataError, InputError


def told(page, part="map"):
    """What a part of a page holds, without its arrays."""
    packed = re.search(f'id="packed-{part}">([^<]*)<', page.read_text(encoding="utf-8"))[1]
    raw = gzip.decompress(base64.b64decode(packed))
    return json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])


def test_a_page_of_genes(genes, words, tmp_path):
    page = write_page(
        genes, tmp_path / "page.html", queries=["blood plasma", "blood plasma"], encoder=words, facts="none"
    )
    made, texts = told(page), told(page, "texts")
    assert (made["title"], made["noun"], made["total"], made["k"]) == ("Genes", "genes", 6, 5)
    assert [each["name"] for each in made["columns"]] == ["bft_gene", "lineage", "level", "words in the text"]
    assert (made["queries"], made["begin"]) == (["blood plasma"], 4)
    assert [row[0] for row in texts["rows"]] == genes.obs["X_bft_text"].tolist()
    assert "receptor" in texts["words"]
    assert (
        page.read_bytes()
        == write_page(genes, tmp_path / "again.html", queries="blood plasma", encoder=words, facts="none").read_bytes()
    )


def test_a_page_needs_nothing_from_elsewhere(genes, tmp_path):
    text = write_page(genes, tmp_path / "page.html", facts="none").read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    for foreign in ("http://", "https://", " src=", "@import", "url("):
        assert foreign not in text
    assert not re.search("%%[A-Z]+%%", text)


def test_nothing_of_the_file_stands_in_the_page_as_markup(tricky, tmp_path):
    page = write_page(tricky, tmp_path / "page.html", title="</title><script>window.bad=1</script> %%MAP%%")
    text = page.read_text(encoding="utf-8")
    assert "window.bad" not in text.replace("&lt;script&gt;window.bad=1", "")
    assert told(page)["names"] == tricky.obs_names.tolist()
    assert "/home/me" not in json.dumps(told(page))


def test_what_colours_the_map_at_first(genes, tmp_path):
    options = {"facts": "none", "path": tmp_path / "page.html"}
    assert told(write_page(genes, **options))["begin"] == 0
    made = told(write_page(genes, color="level", **options))
    assert (made["begin"], made["columns"][0]["name"], len(made["columns"])) == (0, "level", 2)
    assert told(write_page(genes[:, :], color=[], **options))["begin"] == -1
    checks = pd.DataFrame({"gene": ["ALB"], "flags": ["refusal"]})
    made = told(write_page(genes, color=[], checks=checks, **options))
    assert made["columns"][made["begin"]]["name"] == "profile check"
    assert made["checked"]
    assert [row[3] for row in told(options["path"], "texts")["rows"]][3:5] == [["refusal"], ["?"]]


def test_a_file_of_one_gene_without_text(genes, tmp_path):
    one = genes[:1].copy()
    del one.obs["X_bft_text"]
    one.write_h5ad(tmp_path / "one.h5ad")
    made = told(write_page(tmp_path / "one.h5ad", tmp_path / "page.html", facts="none"))
    assert (made["title"], made["k"], made["names"]) == ("one", 0, ["CD3E"])
    assert "not kept" in made["without"]


def test_a_sample_is_told(genes, tmp_path):
    made = told(write_page(genes, tmp_path / "page.html", max_rows=4, facts="none"))
    assert (len(made["names"]), made["total"], made["k"]) == (4, 6, 3)


def test_arguments_that_cannot_be(genes, words, tmp_path):
    page = tmp_path / "page.html"
    for wrong, match in (
        ({"path": tmp_path / "page.pdf"}, "ends in .html"),
        ({"path": tmp_path / "new" / "page.html"}, "There is no directory"),
        ({"max_rows": 0}, "at least 1"),
        ({"queries": [" "]}, "free texts"),
        ({"color": "lineag"}, "lineag"),
        ({"layout": "X_none"}, "no layout"),
        ({"queries": ["blood"]}, "Pass the `encoder`"),
        ({"adata": 3}, "give an AnnData"),
    ):
        with pytest.raises(InputError, match=match):
            write_page(**{"adata": genes, "path": page, "facts": "none", **wrong})
    genes.obsm["X_bft"] = np.full_like(genes.obsm["X_bft"], np.nan)
    with pytest.raises(InputError, match="Not one of 6 genes has a vector"):
        write_page(genes, page)
    assert not page.exists()


def test_cells_made_of_genes_take_no_texts(genes, tmp_path):
    genes.uns["bft"]["X_bft"] = {"cells": {"method": "contrast", "weights": "contrast"}}
    with pytest.raises(InputError, match="score_text"):
        write_page(genes, tmp_path / "page.html", queries=["T cell"])
    assert dict(told(write_page(genes, tmp_path / "page.html"))["origin"])["cells by"] == "contrast"


def test_cells_are_told_of_their_genes_and_not_shown_by_their_expression(genes, words, tmp_path):
    cells = anndata.AnnData(np.ones((3, 6), dtype=np.float32))
    cells.var_names = genes.obs_names
    cells.obs["kind"] = ["a", "b", "a"]
    cells.varm["X_bft"] = np.asarray(genes.X)
    cells.varm["X_bft"][5] = np.nan
    cells.obsm = {"X_bft": np.eye(3, 64, dtype=np.float32), "X_umap": np.zeros((3, 2))}
    of_cells = {"method": "mean", "weights": "log1p"}
    cells.uns["bft"] = {"X_bft": {"genes": genes.uns["bft"]["X_bft"]["entities"], "cells": of_cells}}
    page = tmp_path / "page.html"
    made = told(write_page(cells, page, among="cells", color="kind"))
    assert made["layout"].startswith("first two principal components of X_bft")
    assert dict(made["origin"])["genes: encoder"] == "words"
    assert told(write_page(cells, page, among="cells", layout="X_umap"))["layout"].startswith("X_umap")
    cells.uns["neighbors"] = {"params": {"use_rep": "X_bft"}}
    assert told(write_page(cells, page, among="cells"))["layout"].startswith("X_umap")
    assert told(write_page(cells, page, facts="none"))["unknown"] == 1
    with pytest.raises(InputError, match=r"`adata\.var` has no column `kind`.*`--among cells`\) has this column"):
        write_page(cells, page, color="kind", facts="none")


def test_a_page_that_cannot_be_written(genes, tmp_path):
    (tmp_path / "page.html" / "full").mkdir(parents=True)
    with pytest.raises(DataError, match="cannot be written"):
        write_page(genes, tmp_path / "page.html", facts="none")
