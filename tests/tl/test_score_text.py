import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csc_matrix, csr_matrix

import bftembed as bft
from bftembed.encoders import get_encoder
from bftembed.errors import BftembedWarning, DataError, InputError

T_CELL = ["CD3E", "CD3D", "CD3G", "CD2"]
LIVER = ["ALB", "APOA1", "APOB", "TF"]
OTHER = [f"GENE{i}" for i in range(60)]
ABOUT = {
    **{name: f"{name} is a part of the T cell receptor complex of T lymphocytes." for name in T_CELL},
    **{name: f"{name} is a protein of blood plasma that the liver makes." for name in LIVER},
    **{name: f"Factor number {i} of the assembly of ribosomes and filaments." for i, name in enumerate(OTHER)},
}
TEXTS = {"T cell": "A T lymphocyte with a T cell receptor.", "hepatocyte": "A liver cell that makes plasma proteins."}


@pytest.fixture(scope="module")
def table():
    return bft.embed(list(ABOUT), facts="none", profiles=ABOUT)


@pytest.fixture
def cells(table):
    """40 cells of which the first half are T cells."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(2, (40, len(ABOUT))).astype(np.float32)
    counts[:20, :4] += 10 + rng.poisson(4, (20, 4))
    counts[20:, 4:8] += 10 + rng.poisson(4, (20, 4))
    adata = anndata.AnnData(csr_matrix(counts), var=pd.DataFrame(index=list(ABOUT)))
    adata.var["bft_gene"] = list(ABOUT)
    adata.varm["X_bft"] = table.X
    adata.uns["bft"] = {"X_bft": {"genes": dict(table.uns["bft"]["X_bft"]["entities"])}}
    return adata


def test_cells_are_scored_by_the_genes_that_a_text_chooses(cells):
    bft.tl.score_text(cells, TEXTS, n_genes=4)
    t, liver = cells.obs["text_T cell"], cells.obs["text_hepatocyte"]
    assert t[:20].min() > t[20:].max()
    assert liver[20:].min() > liver[:20].max()
    info = cells.uns["bft"]["text"]["scores"]
    chosen = info["chosen"]
    assert set(chosen.loc[chosen["text"] == "T cell", "gene"]) == set(T_CELL)
    assert set(chosen.loc[chosen["text"] == "hepatocyte", "gene"]) == set(LIVER)
    np.testing.assert_allclose(chosen.groupby("text")["weight"].sum(), 1)
    assert info["texts"].set_index("name")["text"].to_dict() == TEXTS


def test_one_text_works_alone_and_is_its_own_name(cells):
    bft.tl.score_text(cells, "liver plasma protein", n_genes=4, key_added="asked")
    assert cells.obs["asked_liver plasma protein"][20:].min() > 0
    assert not [column for column in cells.obs if column.startswith("text_")]


@pytest.mark.parametrize(
    ("n", "line"),
    [
        (1, "1 text -> obs['text_a']"),
        (3, "3 texts -> obs['text_a'], obs['text_b'], obs['text_c']"),
        (4, "4 texts -> obs['text_a'], obs['text_b'], obs['text_c'], ..."),
    ],
)
def test_the_log_says_whether_there_are_more(cells, n, line, caplog):
    texts = dict(list({"a": "plasma", "b": "receptor", "c": "liver", "d": "ribosome"}.items())[:n])
    with caplog.at_level("INFO", logger="bftembed"):
        bft.tl.score_text(cells, texts)
    assert caplog.messages[-1] == line


def test_genes_are_scored_too(cells):
    bft.tl.score_text(cells, list(TEXTS.values()), among="genes")
    column = cells.var[f"text_{TEXTS['T cell']}"]
    assert set(column.nlargest(4).index) == set(T_CELL)
    assert column.std(ddof=0) == pytest.approx(1)
    assert list(cells.obs) == []


def test_the_score_depends_on_the_cell_and_the_reference_alone(cells):
    reference = bft.pp.reference(cells)
    bft.tl.score_text(cells, TEXTS)
    some = cells[[3, 30, 17]].copy()
    bft.tl.score_text(some, TEXTS, reference=reference)
    columns = [f"text_{name}" for name in TEXTS]
    pd.testing.assert_frame_equal(some.obs[columns], cells.obs.iloc[[3, 30, 17]][columns], rtol=1e-6)


@pytest.mark.parametrize("form", ["dense", "csc", "layer", "raw", "lognorm", "backed", "lazy", "view"])
def test_every_form_gives_the_same_scores(cells, form, tmp_path):
    expected = cells.copy()
    bft.tl.score_text(expected, TEXTS)
    options = {}
    if form == "dense":
        cells.X = cells.X.toarray()
    elif form == "csc":
        cells.X = csc_matrix(cells.X)
    elif form == "layer":
        cells.layers["counts"], cells.X = cells.X.copy(), cells.X * 0.5
        options = {"layer": "counts"}
    elif form == "raw":
        cells.raw = cells.copy()
        cells = cells[:, ::2].copy()
        cells.varm["X_bft"] = np.zeros_like(cells.varm["X_bft"])
        options = {"use_raw": True}
    elif form == "lognorm":
        total = np.asarray(cells.X.sum(axis=1))
        cells.X = csr_matrix(np.log1p(cells.X.toarray().astype(float) / total * 1e4))
    elif form == "view":
        cells = cells[::-1][::-1]
    else:
        cells.write_h5ad(tmp_path / "cells.h5ad")
        if form == "backed":
            cells = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
        else:
            cells = anndata.experimental.read_lazy(tmp_path / "cells.h5ad")
    bft.tl.score_text(cells, TEXTS, **options)
    for name in TEXTS:
        found = np.asarray(cells.obs[f"text_{name}"])
        np.testing.assert_allclose(found, expected.obs[f"text_{name}"], rtol=1e-4, atol=1e-5)


def test_a_table_of_all_genes_takes_the_place_of_varm(cells, table, tmp_path):
    part = cells[:, [*T_CELL, *LIVER[:2], *OTHER]].copy()
    del part.varm["X_bft"], part.uns["bft"]
    bft.tl.score_text(part, TEXTS, table=table, n_genes=4)
    assert part.obs["text_T cell"][:20].min() > part.obs["text_T cell"][20:].max()
    table.write_h5ad(tmp_path / "genes.h5ad")
    bft.write_vectors(table, tmp_path / "genes.parquet")
    bft.write_vectors(table, tmp_path / "genes.vec")
    frame = pd.DataFrame(table.X, index=table.obs_names)
    files = [(tmp_path / f"genes.{suffix}", {}) for suffix in ("h5ad", "parquet", "vec")]
    for other, options in (*files, (frame, {"encoder": "default"})):
        again = part.copy()
        bft.tl.score_text(again, TEXTS, table=other, n_genes=4, **options)
        pd.testing.assert_series_equal(again.obs["text_T cell"], part.obs["text_T cell"])
    with pytest.raises(InputError, match="Pass the `encoder`"):
        bft.tl.score_text(part, TEXTS, table=frame)
    with pytest.raises(InputError, match="has a vector in `table`"):
        bft.tl.score_text(part, TEXTS, table=frame.rename(index="{}x".format))


def test_batches_have_a_reference_each(cells):
    cells.obs["donor"] = ["a", "b"] * 20
    bft.tl.score_text(cells, TEXTS, batch_key="donor")
    for donor in "ab":
        part = cells[cells.obs["donor"] == donor].copy()
        reference = bft.pp.reference(cells, batch_key="donor")
        bft.tl.score_text(part, TEXTS, reference=reference, batch_key="donor", key_added="again")
        np.testing.assert_allclose(part.obs["again_T cell"], part.obs["text_T cell"], rtol=1e-6)
    with pytest.raises(InputError, match="batch_key="):
        bft.tl.score_text(cells, TEXTS, reference=reference)
    cells.obs["donor"] = ["a", "c"] * 20
    with pytest.raises(InputError, match="not in the reference: 'c'"):
        bft.tl.score_text(cells, TEXTS, reference=reference, batch_key="donor")


def test_shuffled_vectors_score_zero_with_an_s_d_of_about_one(cells):
    scores = []
    for seed in range(30):
        order = np.random.default_rng(seed).permutation(cells.n_vars)
        cells.varm["shuffled"] = cells.varm["X_bft"][order]
        bft.tl.score_text(cells, TEXTS, use_rep="shuffled", n_genes=10, encoder="default")
        scores.append(cells.obs[[f"text_{name}" for name in TEXTS]].to_numpy())
    assert np.mean(scores) == pytest.approx(0, abs=0.1)
    assert np.std(scores) == pytest.approx(1, abs=0.15)


def test_results_can_be_written(cells, tmp_path):
    bft.tl.score_text(cells, TEXTS)
    bft.tl.score_text(cells, TEXTS, among="genes")
    cells.write_h5ad(tmp_path / "cells.h5ad")
    again = anndata.read_h5ad(tmp_path / "cells.h5ad")
    for side in ("scores", "gene_scores"):
        pd.testing.assert_frame_equal(
            again.uns["bft"]["text"][side]["chosen"].reset_index(drop=True),
            cells.uns["bft"]["text"][side]["chosen"],
            check_dtype=False,
        )


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({}, "There is no text"),
        ({"a": "  "}, "The text of `a` is empty"),
        ({"a": None}, "The text of `a` is empty"),
        ({"": "text"}, "must be a word"),
        ({"a": "B cell", "b": " b  CELL"}, "`a` and `b` have the same text"),
        ({"CD4+/CD25+": "T cell"}, "without `/`"),
        ({"a": 5}, "5, which is no text"),
        ("T\0cell", "holds NUL"),
        ({"a": "T\ud800cell"}, "holds NUL or half a character"),
        (None, "not a NoneType"),
        ([["T cell"]], "Among the texts is"),
    ],
)
def test_texts_that_cannot_be_asked(cells, texts, message):
    with pytest.raises(InputError, match=message):
        bft.tl.score_text(cells, texts)


def test_bad_input_is_told(cells):
    with pytest.raises(InputError, match="`n_genes` is a whole number"):
        bft.tl.score_text(cells, TEXTS, n_genes=2.5)
    with pytest.raises(InputError, match="among"):
        bft.tl.score_text(cells, TEXTS, among="proteins")
    with pytest.raises(InputError, match="no gene vectors"):
        bft.tl.score_text(cells, TEXTS, use_rep="X_none")
    with pytest.raises(InputError, match="has no place"):
        bft.tl.score_text(cells, TEXTS, among="genes", use_raw=True)
    other = cells.copy()
    other.var_names = other.var["bft_gene"] = [f"X{name}" for name in cells.var_names]
    with pytest.raises(InputError, match="Give a reference of the same genes"):
        bft.tl.score_text(cells, TEXTS, reference=bft.pp.reference(other))


def test_a_reference_of_another_normalisation_is_refused(cells):
    logged = cells.copy()
    logged.X = csr_matrix(np.log1p(cells.X.toarray().astype(float) / np.asarray(cells.X.sum(axis=1)) * 1e6))
    reference = bft.pp.reference(logged, values="lognorm")
    with pytest.raises(InputError, match="normalised otherwise"):
        bft.tl.score_text(cells, TEXTS, reference=reference)


def test_genes_that_are_expressed_together_can_be_preferred(cells):
    bft.tl.score_text(cells, TEXTS, n_genes=8, expressed_together=True, key_added="together")
    bft.tl.score_text(cells, TEXTS, n_genes=8)
    chosen = [cells.uns["bft"][key]["scores"]["chosen"].query("text == 'T cell'") for key in ("together", "text")]
    shares = [table.loc[table["gene"].isin(T_CELL), "weight"].sum() for table in chosen]
    assert shares[0] > shares[1]
    t = cells.obs["together_T cell"]
    assert t[:20].min() > t[20:].max()


def test_a_long_text_is_read_in_parts_with_a_warning(cells):
    longest = get_encoder().max_seq_length
    with pytest.warns(BftembedWarning, match="Say it in a sentence or two"):
        bft.tl.score_text(cells, {"long": "A lymphocyte of the blood. " * longest})


def test_named_genes_that_are_missing_are_told(cells, monkeypatch):
    known = [str(name) for name in cells.var_names[:1]]
    monkeypatch.setattr("bftembed.tl._text_query.genes_named", lambda texts: [(*known, "IL7", "IL8")] * len(texts))
    with pytest.warns(BftembedWarning, match="Texts name IL7, IL8, which are not among the genes"):
        bft.tl.score_text(cells, TEXTS)
    monkeypatch.setattr("bftembed.tl._text_query.genes_named", lambda texts: [(*known, "IL7")] * len(texts))
    bft.tl.score_text(cells, TEXTS, key_added="again")


def test_the_order_of_the_genes_does_not_matter(cells):
    cells = cells[::4].copy()
    reference = bft.pp.reference(cells)
    assert len(np.unique(reference.detection)) < 6  # of 68 genes: ties
    columns = [f"text_{name}" for name in TEXTS]
    bft.tl.score_text(cells, TEXTS, reference=reference)
    other = cells[:, np.random.default_rng(1).permutation(cells.n_vars)].copy()
    bft.tl.score_text(other, TEXTS, reference=reference)
    pd.testing.assert_frame_equal(other.obs[columns], cells.obs[columns], atol=1e-6)


def test_a_small_batch_leaves_the_other_cells_their_genes(cells):
    cells.obs["donor"] = ["a", "b"] * 20
    few = cells[:2].copy()
    few.X = csr_matrix(np.tile(few.X.toarray()[:1], (2, 1)) + np.eye(2, cells.n_vars, dtype=np.float32))
    few.obs["donor"] = "few"
    together = anndata.concat([cells, few], merge="same", uns_merge="same", index_unique="-")
    reference = bft.pp.reference(together, batch_key="donor")
    assert (reference.sd == 0).any()
    bft.tl.score_text(together, TEXTS, batch_key="donor")
    bft.tl.score_text(cells, TEXTS, batch_key="donor")
    np.testing.assert_allclose(together.obs["text_T cell"][:40], cells.obs["text_T cell"], atol=0.05)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda frame: frame.iloc[:, :5], "vectors of genes have 5 dimensions, those of texts 384"),
        (lambda frame: frame.iloc[:, :0].assign(name="x"), "`table` must be numbers"),
        (lambda frame: frame.assign(**{"0": np.inf}), "hold NaN or infinity"),
    ],
)
def test_vectors_that_are_not_of_the_encoder_are_refused(cells, table, make, message):
    frame = pd.DataFrame(table.X, index=table.obs_names).rename(columns=str)
    with pytest.raises(InputError, match=message):
        bft.tl.score_text(cells, TEXTS, table=make(frame), encoder="default")


def test_only_columns_of_earlier_calls_with_the_key_are_overwritten(cells, tmp_path):
    cells.obs["cell_T cell"] = "mine"
    with pytest.raises(InputError, match=r"`adata.obs` has a column `cell_T cell` already"):
        bft.tl.score_text(cells, TEXTS, key_added="cell")
    assert set(cells.obs) == {"cell_T cell"}
    bft.tl.score_text(cells, TEXTS)
    bft.tl.score_text(cells, "blood plasma")
    cells.write_h5ad(tmp_path / "cells.h5ad")
    bft.tl.score_text(anndata.read_h5ad(tmp_path / "cells.h5ad"), TEXTS)


@pytest.mark.parametrize("uns", [5, {"text": 5}])
def test_nothing_is_written_where_something_else_is_in_uns(cells, table, uns):
    cells.uns["bft"] = uns
    with pytest.raises(InputError, match="not what this package keeps there"):
        bft.tl.score_text(cells, TEXTS, table=table)
    assert list(cells.obs) == []


def test_a_damaged_table_is_told(cells, table, tmp_path):
    table.write_h5ad(tmp_path / "genes.h5ad")
    (tmp_path / "genes.h5ad").write_bytes((tmp_path / "genes.h5ad").read_bytes()[:9000])
    with pytest.raises(DataError, match="cannot be read as an AnnData"):
        bft.tl.score_text(cells, TEXTS, table=tmp_path / "genes.h5ad")
