import anndata
import dask.array
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import bftembed as bft
from bftembed.errors import BftembedWarning, InputError

N, GENES, DIM = 160, 70, 19
pytestmark = [
    pytest.mark.filterwarnings("ignore:zarr v3 autosharding:UserWarning"),
    pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
]


def cells(seed=0, n=N):
    rng = np.random.default_rng(seed)
    counts = rng.negative_binomial(1, 0.4, (n, GENES)) * (rng.random((n, GENES)) < np.linspace(0.05, 0.9, GENES))
    counts[:, 1] += 1
    counts[:, 5] = 0
    adata = anndata.AnnData(sparse.csr_matrix(counts.astype(np.float32)))
    adata.obs_names, adata.var_names = [f"c{i}" for i in range(n)], [f"g{i}" for i in range(GENES)]
    adata.obs["batch"] = np.where(rng.random(n) < 0.4, "a/1", "b")
    adata.varm["X_bft"] = 3 + np.random.default_rng(9).standard_normal((GENES, DIM)).astype(np.float32)
    adata.varm["X_bft"][[0, 7]] = np.nan
    return adata


def logs(adata):
    x = adata.X.toarray().astype(float)
    totals = x.sum(axis=1, keepdims=True)
    return np.log1p(np.divide(1e4 * x, totals, out=np.zeros_like(x), where=totals > 0))


def oracle(adata, reference, *, weights="zscore", alpha=1.0, batch=None, **whiten):
    """The formula, on dense arrays in float64."""
    v = adata.varm["X_bft"].astype(float)
    if alpha is not None:
        v = bft.pp.whiten(v, alpha=alpha, **whiten).astype(float)
    rows = reference.genes.get_indexer(adata.var_names)
    used = (rows >= 0) & reference.highly_variable[rows] & ~np.isnan(v[:, 0])
    of = [0] * adata.n_obs if batch is None else [reference.batches.index(b) for b in adata.obs[batch]]
    mean, sd = reference.mean[of][:, rows[used]], reference.sd[of][:, rows[used]]
    departure = logs(adata)[:, used] - mean
    if weights == "zscore" or batch is not None:
        departure = np.clip(np.divide(departure, sd, out=np.zeros_like(mean), where=sd > 0), -10, 10)
    if weights == "contrast" and batch is not None:
        within = reference.n_cells @ reference.sd[:, rows[used]] ** 2 / reference.n_cells.sum()
        departure *= np.sqrt(within)
    return departure @ v[used] / reference.highly_variable.sum()


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=3e-6 * np.nanmax(np.abs(expected)))


def embed(adata, **how):
    bft.tl.embed_cells(adata, **{"weights": "zscore"} | how)
    return adata.obsm[how.get("key_added", "X_bft")]


@settings(max_examples=25)
@given(
    st.integers(0, 99),
    st.sampled_from([0.0, 0.5, 1.0, None]),
    st.integers(5, 200),
    st.sampled_from([None, "batch"]),
    st.integers(1, N),
    st.sampled_from(["contrast", "zscore"]),
)
def test_it_is_the_formula(seed, alpha, n_top, batch, chunk_size, weights):
    adata = cells(seed)
    reference = bft.pp.reference(adata, batch_key=batch, n_top_genes=n_top)
    how = {"batch_key": batch, "whiten": alpha, "chunk_size": chunk_size, "weights": weights}
    found = embed(adata, reference=reference, empty="nan", **how)
    known = ~np.isnan(found[:, 0])
    assert known.sum() > N / 2
    close(found[known], oracle(adata, reference, weights=weights, alpha=alpha, batch=batch)[known])


def test_batches_are_brought_to_one_place_and_one_spread():
    adata = cells()
    twice = anndata.concat({"once": adata, "twice": adata}, label="batch", index_unique="-", merge="same")
    x = sparse.csr_matrix(np.log1p(np.where(twice.obs["batch"] == "once", 1.0, 2.0)[:, None] * np.expm1(logs(twice))))
    twice.X = x.astype(np.float32)
    found = embed(twice, weights="contrast", batch_key="batch", values="lognorm")
    moved = embed(twice, weights="contrast", values="lognorm", key_added="pooled")
    apart = [
        np.linalg.norm(each[:N] - each[N:], axis=1).mean() / np.linalg.norm(each, axis=1).mean()
        for each in (found, moved)
    ]
    assert apart[0] < apart[1] / 2
    np.testing.assert_allclose(found[:N].mean(axis=0), found[N:].mean(axis=0), atol=1e-4 * np.abs(found).max())


def test_clipping_and_genes_that_do_not_vary():
    adata = cells()
    x = adata.X.toarray()
    x[3, 5] = 40  # no s.d. in the reference
    adata.X = sparse.csr_matrix(x)
    reference = bft.pp.reference(cells())
    rare = reference.table.assign(sd=np.where(np.arange(GENES) == 9, 1e-3, reference.table["sd"]))
    found = embed(adata, reference=rare)
    close(found, oracle(adata, bft.pp.Reference(rare)))
    there = adata.X[:, 9].toarray().ravel() > 0
    z = (logs(adata)[:, 9] - reference.mean[0, 9]) / 1e-3
    assert there.any()
    assert (z[there] > 10).all()


CONTAINERS = {
    "csr": lambda a, _: a,
    "csc": lambda a, _: anndata.AnnData(a.X.tocsc(), a.obs, a.var, varm=a.varm),
    "dense": lambda a, _: anndata.AnnData(a.X.toarray(), a.obs, a.var, varm=a.varm),
    "float64": lambda a, _: anndata.AnnData(a.X.astype(np.float64), a.obs, a.var, varm=a.varm),
    "int": lambda a, _: anndata.AnnData(a.X.astype(np.int32), a.obs, a.var, varm=a.varm),
    "dask": lambda a, _: anndata.AnnData(
        dask.array.from_array(a.X.toarray(), chunks=(31, -1)), a.obs, a.var, varm=a.varm
    ),
    "backed": lambda a, p: anndata.read_h5ad(saved(a, p / "i.h5ad"), backed="r"),
    "lazy h5ad": lambda a, p: anndata.experimental.read_lazy(saved(a, p / "i.h5ad")),
    "lazy zarr": lambda a, p: anndata.experimental.read_lazy(saved(a, p / "i.zarr")),
}


def saved(adata, path):
    adata.write_h5ad(path) if path.suffix == ".h5ad" else adata.write_zarr(path)
    return path


@pytest.mark.parametrize("kind", CONTAINERS)
def test_every_container_gives_the_same(kind, tmp_path):
    adata = cells()
    reference = bft.pp.reference(adata, batch_key="batch")
    expected = embed(adata, reference=reference, batch_key="batch").copy()
    del adata.obsm["X_bft"], adata.uns["bft"]
    other = CONTAINERS[kind](adata, tmp_path)
    np.testing.assert_array_equal(embed(other, reference=reference, batch_key="batch", chunk_size=13), expected)
    close(embed(other, batch_key="batch"), expected)


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_from_file_to_file_with_the_reference_in_it(suffix, tmp_path):
    adata = cells()
    path, output = saved(adata, tmp_path / f"in.{suffix}"), tmp_path / f"out.{suffix}"
    bft.tl.embed_cells(path, weights="zscore", batch_key="batch", output=output)
    result = anndata.read_h5ad(output) if suffix == "h5ad" else anndata.io.read_zarr(output)
    expected = embed(adata, batch_key="batch")
    close(result.obsm["X_bft"], expected)
    kept = result.uns["bft"]["X_bft"]["reference"]
    np.testing.assert_array_equal(embed(cells(), reference=kept, batch_key="batch"), result.obsm["X_bft"])
    if suffix == "h5ad":
        np.testing.assert_array_equal(embed(cells(), reference=output, batch_key="batch"), result.obsm["X_bft"])
        bft.tl.embed_cells(output, weights="zscore", output=output)  # and again, in its place
        close(anndata.read_h5ad(output).obsm["X_bft"], embed(cells()))


@given(st.lists(st.integers(0, N - 1), min_size=1, max_size=N, unique=True), st.integers(1, N))
def test_a_cell_does_not_depend_on_its_company(rows, chunk_size):
    whole = cells()
    reference = bft.pp.reference(whole)
    expected = embed(whole, reference=reference)
    found = embed(whole[rows].copy(), reference=reference, chunk_size=chunk_size)
    np.testing.assert_array_equal(found, expected[rows])


def test_counts_and_their_logarithms_agree():
    adata = cells()
    logged = cells()
    logged.X = sparse.csr_matrix(logs(adata))
    close(embed(logged), embed(adata))
    close(embed(logged, reference=bft.pp.reference(adata)), embed(adata))
    close(embed(adata, reference=bft.pp.reference(logged)), embed(logged))


def test_what_was_done_is_noted_and_the_reference_goes_with_its_embedding():
    adata = cells()
    embed(adata, batch_key="batch", n_components=4, normalize=True)
    assert adata.obsm["X_bft"].shape == (N, 4)
    np.testing.assert_allclose(np.linalg.norm(adata.obsm["X_bft"], axis=1), 1, rtol=1e-5)
    noted = adata.uns["bft"]["X_bft"]["cells"]
    known = {"method": "contrast", "whiten": 1.0, "n_components": 4, "batch_key": "batch", "table": "these genes"}
    assert {key: noted[key] for key in known} == known
    assert (noted["reference"], noted["n_genes_used"]) == ("these cells", GENES - 3)
    assert all(isinstance(value, str | int | float | bool) for value in noted.values())
    assert bft.get.provenance(adata)["cells"]["method"] == "contrast"
    embed(adata, reference=adata.uns["bft"]["X_bft"]["reference"], batch_key="batch")
    assert adata.uns["bft"]["X_bft"]["cells"]["reference"] == "given"
    bft.tl.embed_cells(adata, weights="log1p")
    assert set(adata.uns["bft"]["X_bft"]) == {"cells"}


def test_centring_without_whitening_and_a_table_of_all_genes():
    adata = cells()
    close(embed(adata, whiten=None, center=True), embed(adata, whiten=0))
    table = 3 + np.random.default_rng(1).standard_normal((500, DIM)).astype(np.float32)
    expected = oracle(adata, bft.pp.reference(adata), table=table)
    close(embed(adata, table=table), expected)
    of_embed = anndata.AnnData(obsm={"X_bft": table}, obs=pd.DataFrame(index=[f"t{i}" for i in range(500)]))
    close(embed(adata, table=of_embed), expected)
    bft.tl.embed_cells(adata, weights="log1p", whiten=1.0, key_added="mean")
    white = bft.pp.whiten(adata.varm["X_bft"])
    used = ~np.isnan(white[:, 0])
    w = logs(adata)[:, used]
    close(adata.obsm["mean"], w @ white[used] / w.sum(axis=1, keepdims=True))


def test_genes_go_by_their_canonical_names_and_those_of_raw_too():
    adata = cells()
    expected = embed(adata).copy()
    reference = bft.pp.reference(adata)
    renamed = cells()
    renamed.var_names = [f"ENSG{i}" for i in range(GENES)]
    renamed.var["bft_gene"] = adata.var_names.to_numpy()
    close(embed(renamed, reference=reference), expected)
    renamed.raw = renamed.copy()
    renamed.X = renamed.X.toarray() - 1
    close(embed(renamed, reference=reference, use_raw=True), expected)
    close(embed(renamed, use_raw=True), expected)


def test_cells_without_a_value_on_a_gene_that_counts():
    adata = cells()
    x = adata.X.toarray()
    x[3] = 0
    x[8] = 0
    x[8, 7] = 4
    adata.X = sparse.csr_matrix(x)
    message = r"1 of 160 cells have no counts at all \('c3'\).* none on a highly variable gene with a vector \('c8'\)"
    with pytest.raises(InputError, match=message):
        embed(adata)
    found = embed(adata, empty="nan")
    assert np.flatnonzero(np.isnan(found).any(axis=1)).tolist() == [3, 8]
    assert adata.uns["bft"]["X_bft"]["cells"]["n_empty"] == 2


def test_genes_that_the_cells_lack_add_nothing_and_are_warned_of():
    adata = cells()
    reference = bft.pp.reference(adata)
    few = adata[:, 10:].copy()
    few.X = sparse.csr_matrix(logs(adata)[:, 10:])
    with pytest.warns(BftembedWarning, match=r"9 of the 69 highly variable genes of the reference are missing"):
        found = embed(few, reference=reference, whiten=0.0, table=adata.varm["X_bft"])
    whole = cells()
    whole.varm["X_bft"][:10] = np.nan
    close(found, embed(whole, reference=reference, whiten=0.0, table=adata.varm["X_bft"]))


def test_other_names_of_genes_are_refused():
    adata = cells()
    reference = bft.pp.reference(adata)
    adata.var_names = [f"ENSG{i}" for i in range(GENES)]
    with pytest.raises(InputError, match=r"^0 of the 69 highly .* \(reference: 'g0', .*cells: 'ENSG0', .*map_genes"):
        embed(adata, reference=reference)
    assert "X_bft" not in adata.obsm


def test_highly_variable_genes_without_vectors():
    adata = cells()
    adata.varm["X_bft"][20:] = np.nan
    embed(adata)
    assert adata.uns["bft"]["X_bft"]["cells"]["n_genes_used"] == 17
    reference = bft.pp.reference(adata, n_top_genes=5)
    adata.varm["X_bft"][reference.highly_variable] = np.nan
    with pytest.raises(InputError, match="None of the 5 highly variable genes has a vector"):
        embed(adata, reference=reference)


@pytest.mark.parametrize("chunk_size", [1, 50, None])
@pytest.mark.parametrize("factor", [0.3, 4.0])
def test_values_on_another_scale_are_refused(factor, chunk_size):
    adata = cells()
    reference = bft.pp.reference(adata)
    other = cells()
    other.X = sparse.csr_matrix(np.log1p(np.expm1(logs(adata)) * factor))
    message = f"normalised otherwise .* {factor * 1e4:.4g} counts per 10,000, the reference 1e+04"
    with pytest.raises(InputError, match=message.replace("+", r"\+")):
        embed(other, reference=reference, chunk_size=chunk_size)
    assert "X_bft" not in other.obsm
    embed(other)  # a reference of their own has their scale


def test_counts_scaled_to_the_total_of_few_genes_are_refused():
    adata = cells()
    reference = bft.pp.reference(adata)
    with (
        pytest.warns(BftembedWarning, match="missing"),
        pytest.raises(InputError, match="counts of all genes"),
    ):
        embed(adata[:, :45].copy(), reference=reference)


def test_a_few_cells_of_one_kind_are_not_refused():
    adata = cells()
    reference = bft.pp.reference(adata)
    table = reference.table.assign(level=reference.table["level"] / 4)
    embed(adata[:5].copy(), reference=table)
    with pytest.raises(InputError, match="normalised otherwise"):
        embed(adata, reference=table)


@pytest.mark.parametrize(
    ("made", "used", "message"),
    [
        ("batch", None, r"The reference is of 2 batches \('a/1', 'b'\): say with batch_key="),
        (None, "batch", "The reference has no batches, so that batch_key='batch' chooses none"),
        (
            "batch",
            "other",
            r"1 batches of `adata.obs\['other'\]` are not in the reference: 'new' \(it has 'a/1', 'b'\)",
        ),
        ("batch", "bach", "has no column `bach`.*Did you mean `batch`"),
    ],
)
def test_batches_that_do_not_fit(made, used, message):
    adata = cells()
    adata.obs["other"] = ["new", *["b"] * (N - 1)]
    reference = bft.pp.reference(adata, batch_key=made)
    with pytest.raises(InputError, match=message):
        embed(adata, reference=reference, batch_key=used)


def test_a_batch_of_one_cell_is_named():
    adata = cells()
    adata.obs["batch"] = ["alone", *["b"] * (N - 1)]
    with pytest.raises(InputError, match=r"Batch 'alone' .* is a single cell"):
        embed(adata, batch_key="batch")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"weights": "raw", "reference": "r.parquet"}, r'reference= is for weights="contrast" or "zscore"'),
        ({"weights": "raw", "batch_key": "batch"}, r'batch_key= is for weights="contrast"'),
        ({"weights": "raw", "table": np.eye(3)}, "table= is for whitening"),
        ({"whiten": None, "n_components": 3}, "n_components= is for whitening"),
        ({"center": True}, r"whiten=1.0 subtracts the mean of the vectors already"),
        ({"whiten": -1}, "`whiten` is a number, 0 or more, got -1"),
        ({"whiten": "yes"}, "`whiten` is a number, 0 or more, got 'yes'"),
        ({"n_components": 2.5}, "`n_components` is a whole number"),
        ({"chunk_size": 2.5}, "`chunk_size` is a whole number"),
        ({"reference": "none.parquet"}, "There is no file 'none.parquet'; make one"),
        ({"reference": 3}, "`reference` is a Reference, its table or the path of one"),
        ({"table": np.ones((4, 3))}, f"The vectors have {DIM} dimensions and those of `table` 3"),
        ({"values": "lognorm"}, "no logarithm of counts"),
    ],
)
def test_what_cannot_be_is_said(how, message):
    adata = cells()
    adata.X[0, 1] = 60
    with pytest.raises(InputError, match=message):
        bft.tl.embed_cells(adata, **{"weights": "contrast", **how})
    assert "X_bft" not in adata.obsm
    assert "bft" not in adata.uns
