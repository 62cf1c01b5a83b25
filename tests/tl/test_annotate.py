import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy.sparse import csr_matrix

import bftembed as bft
from bftembed.errors import InputError

PARTS = {
    "T cell": ["CD3E", "CD3D", "CD3G", "CD2"],
    "hepatocyte": ["ALB", "APOA1", "APOB", "TF"],
    "neuron": ["SYN1", "SNAP25", "SYP", "SYT1"],
}
ABOUT = {
    **{name: f"{name} is a part of the T cell receptor complex of T lymphocytes." for name in PARTS["T cell"]},
    **{name: f"{name} is a protein of blood plasma that the liver makes." for name in PARTS["hepatocyte"]},
    **{name: f"{name} is a protein of the synapses of neurons." for name in PARTS["neuron"]},
    **{f"GENE{i}": f"Factor number {i} of the assembly of ribosomes and filaments." for i in range(60)},
}
TYPES = {
    "T cell": "A T lymphocyte with a T cell receptor.",
    "hepatocyte": "A liver cell that makes plasma proteins.",
    "neuron": "A cell of the brain with synapses.",
}


@pytest.fixture(scope="module")
def table():
    return bft.embed(list(ABOUT), facts="none", profiles=ABOUT)


@pytest.fixture
def cells(table):
    """60 cells, 20 of each type."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(2, (60, len(ABOUT))).astype(np.float32)
    for number in range(3):
        counts[20 * number : 20 * number + 20, 4 * number : 4 * number + 4] += 8 + rng.poisson(4, (20, 4))
    adata = anndata.AnnData(csr_matrix(counts), var=pd.DataFrame(index=list(ABOUT)))
    adata.obs["truth"] = np.repeat(list(TYPES), 20)
    adata.var["bft_gene"] = list(ABOUT)
    adata.varm["X_bft"] = table.X
    adata.uns["bft"] = {"X_bft": {"genes": dict(table.uns["bft"]["X_bft"]["entities"])}}
    return adata


def silenced(cells, row):
    counts = cells.X.toarray()
    counts[row] = 0
    cells.X = csr_matrix(counts)
    return cells


def test_cells_get_the_type_whose_genes_they_express(cells):
    bft.tl.annotate(cells, TYPES, n_genes=4)
    assert (cells.obs["bft_type"].astype(str) == cells.obs["truth"]).all()
    assert list(cells.obs["bft_type"].cat.categories) == [*TYPES, "unassigned"]
    scores = cells.obsm["bft_type_scores"]
    assert scores.shape == (60, 3)
    assert scores.dtype == np.float32
    first, second = np.sort(scores, axis=1)[:, :-3:-1].T
    np.testing.assert_allclose(cells.obs["bft_type_margin"], first - second, atol=1e-5)
    assert (cells.obs["bft_type_score"] > 0).all()
    info = cells.uns["bft"]["bft_type"]["types"]
    chosen = info["chosen"]
    for name, genes in PARTS.items():
        rows = chosen[chosen["text"] == name]
        assert set(rows["gene"]) == set(genes)
        assert (rows["mean_z"] > 0).all()
    gene = chosen.iloc[0]
    logged = np.log1p(cells.X.toarray().astype(float) / cells.X.sum(axis=1) * 1e4)[:, cells.var_names == gene["gene"]]
    expected = (logged[(cells.obs["truth"] == gene["text"]).to_numpy()] - logged.mean()) / logged.std(ddof=1)
    assert gene["mean_z"] == pytest.approx(expected.mean(), rel=1e-4)
    assert info["calls"]["n_cells"].tolist() == [20, 20, 20, 0]


def test_names_alone_and_files_of_types_are_taken(cells, tmp_path):
    bft.tl.annotate(cells, list(TYPES), n_genes=4)
    assert (cells.obs["bft_type"].astype(str) == cells.obs["truth"]).mean() > 0.8
    path = tmp_path / "types.tsv"
    path.write_text("".join(f"{name}\t{text}\n" for name, text in TYPES.items()))
    bft.tl.annotate(cells, path, n_genes=4, key_added="of_file")
    bft.tl.annotate(cells, TYPES, n_genes=4, key_added="of_dict")
    assert cells.obs["of_file"].tolist() == cells.obs["of_dict"].tolist()
    texts = cells.uns["bft"]["of_file"]["types"]["texts"]["text"].tolist()
    assert texts == [f"{name}: {text}" for name, text in TYPES.items()]


def test_what_is_no_more_than_random_is_unassigned(cells):
    bft.tl.annotate(cells, TYPES, n_genes=4)
    score = cells.obs["bft_type_score"]
    threshold = float(score.median())
    bft.tl.annotate(cells, TYPES, n_genes=4, threshold=threshold)
    np.testing.assert_array_equal(cells.obs["bft_type"] == "unassigned", score < threshold)
    cells = silenced(cells, 3)
    bft.tl.annotate(cells, TYPES, n_genes=4)
    assert cells.obs["bft_type"].iloc[3] == "unassigned"
    assert np.isnan(cells.obs["bft_type_score"].iloc[3])


def test_scores_are_averaged_over_a_neighbour_graph(cells):
    sc.pp.neighbors(cells, n_neighbors=5, use_rep="X")
    bft.tl.annotate(cells, TYPES, key_added="alone")
    bft.tl.annotate(cells, TYPES, neighbors_key="neighbors", key_added="graph")
    graph = cells.obsp["connectivities"].toarray() + np.eye(60)
    expected = graph @ cells.obsm["alone_scores"] / graph.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(cells.obsm["graph_scores"], expected, rtol=1e-4, atol=1e-5)
    bft.tl.annotate(cells, TYPES, neighbors_key="connectivities", key_added="matrix")
    np.testing.assert_array_equal(cells.obsm["matrix_scores"], cells.obsm["graph_scores"])
    cells.uns["n_pcs"] = 30
    for key in ("neighbor", "n_pcs"):
        with pytest.raises(InputError, match=f"no neighbour graph '{key}'"):
            bft.tl.annotate(cells, TYPES, neighbors_key=key)


def test_a_cell_without_scores_takes_those_of_its_neighbours(cells):
    cells = silenced(cells, 0)
    cells.obsp["graph"] = csr_matrix(([1.0], ([0], [1])), shape=(60, 60))
    bft.tl.annotate(cells, TYPES, neighbors_key="graph")
    np.testing.assert_array_equal(cells.obsm["bft_type_scores"][0], cells.obsm["bft_type_scores"][1])


def test_results_can_be_written_whatever_the_types_are_called(cells, tmp_path):
    bft.tl.annotate(cells, {f"{name}+/x": text for name, text in TYPES.items()})
    cells.write_h5ad(tmp_path / "cells.h5ad")
    again = anndata.read_h5ad(tmp_path / "cells.h5ad")
    assert again.obs["bft_type"].tolist() == cells.obs["bft_type"].tolist()
    assert again.uns["bft"]["bft_type"]["types"]["texts"]["name"].tolist() == [f"{name}+/x" for name in TYPES]


def test_an_engine_writes_descriptions_of_bare_names(cells, tmp_path, monkeypatch):
    from bftembed.engines.base import Completion, Engine

    class Knows(Engine):
        name = "knows"

        def describe(self):
            return {"engine": self.name}

        def _generate(self, requests, sampling):
            for request in requests:
                yield [Completion(request.id, next(t for n, t in TYPES.items() if n in request.user), "stop")]

    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path))
    bft.tl.annotate(cells, list(TYPES), n_genes=4, engine=Knows())
    texts = cells.uns["bft"]["bft_type"]["types"]["texts"]["text"]
    assert all(text.startswith(f"{name}: {TYPES[name]}") for name, text in zip(TYPES, texts, strict=True))


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ([], "There is no text"),
        (["T cell"], "one type only"),
        ({"a": "", "b": "B cell"}, "The text of `a` is empty"),
        ({"a": "B cell", "b": "B cell"}, "`a` and `b` have the same text"),
        ({"a": "Same text.", "b": "same  TEXT."}, "`a` and `b` have the same text"),
        ({"a": np.nan, "b": "B cell"}, "nan, which is no text"),
        ({"a": None, "b": "B cell"}, "The text of `a` is empty"),
        (["T\0cell", "B cell"], "holds NUL"),
        (None, "not a NoneType"),
        (["T cell", "t  CELL"], "have the same text"),
        (["T cell", "unassigned"], "another name"),
        ("none.txt", "cannot be read"),
    ],
)
def test_types_that_cannot_be_asked(cells, types, message):
    with pytest.raises(InputError, match=message):
        bft.tl.annotate(cells, types)


def test_bad_arguments_and_columns_of_others_are_refused(cells):
    with pytest.raises(InputError, match="`threshold` is a number"):
        bft.tl.annotate(cells, TYPES, threshold="a")
    with pytest.raises(InputError, match=r"`adata.obs` has a column `truth` already"):
        bft.tl.annotate(cells, TYPES, key_added="truth")
