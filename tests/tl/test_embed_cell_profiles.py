import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import bftembed as bft
from bftembed.errors import BftembedWarning, InputError
from bftembed.expression import chosen_matrix, parts_of
from bftembed.tl._embed_cell_profiles import expression_reference

GENES = ["CD3E", "MS4A1", "ALB", "LYZ"]
pytestmark = pytest.mark.filterwarnings("ignore::bftembed.errors.BftembedWarning")


@pytest.fixture
def adata(monkeypatch, tmp_path):
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path))
    monkeypatch.delenv("BFTEMBED_MIRROR", raising=False)
    counts = np.array([[8, 0, 1, 1], [0, 6, 2, 2], [0, 0, 1, 9], [4, 4, 1, 1]], dtype=np.float32)
    made = anndata.AnnData(sp.csr_matrix(counts))
    made.obs_names, made.var_names = list("abcd"), GENES
    made.obs["tissue"] = ["blood", "blood", "liver", None]
    made.obs["cell_type"] = ["T", "B", "M", "T"]
    return made


def embed(adata, **options):
    bft.tl.embed_cell_profiles(adata, engine="annotation", **options)


def texts(adata):
    with bft.profiles.ProfileStore() as store:
        return store.frame(kind="cell").set_index("entity")["text"]


def test_genes_are_ranked_by_their_ratio_to_the_reference(adata):
    embed(adata)
    dense = adata.X.toarray().astype(float) / adata.X.toarray().sum(axis=1, keepdims=True) * 1e4
    medians = np.array([np.median(column[column > 0]) for column in dense.T])
    pd.testing.assert_series_equal(
        adata.uns["bft"]["reference"]["median"], pd.Series(medians, index=pd.Index(GENES, name="gene"), name="median")
    )
    found = texts(adata)
    for i, cell in enumerate(adata.obs_names):
        ratio = dense[i] / medians
        expected = sorted((g for g in range(4) if dense[i, g] > 0), key=lambda g: (-round(ratio[g], 5), GENES[g]))
        assert ", ".join(GENES[g] for g in expected) in found[cell]
    assert adata.obsm["X_bft"].shape == (4, 384)
    assert bft.get.provenance(adata)["cells"]["method"] == "profile"


def test_a_cells_text_does_not_depend_on_its_company(adata):
    embed(adata)
    together = texts(adata)
    alone = adata[["c"]].copy()
    alone.obs_names = ["alone"]
    embed(alone)
    assert texts(adata)["alone"].replace("alone.", "") == together["c"].replace("c.", "", 1)
    fresh = anndata.AnnData(adata.X[[2]], var=adata.var[[]])
    fresh.obs_names = ["passed in"]
    embed(fresh, reference=adata.uns["bft"]["reference"])
    origins = [bft.get.provenance(a)["cells"]["reference"] for a in (adata, alone, fresh)]
    assert origins == ["these cells", "uns", "given"]
    assert "reference" not in fresh.uns["bft"]
    assert "LYZ, ALB" in texts(adata)["passed in"]


def test_counts_and_log_normalised_values_give_the_same_text(adata):
    embed(adata)
    before = texts(adata)
    logged = adata.copy()
    logged.X = sp.csr_matrix(np.log1p(adata.X.toarray() / adata.X.sum(axis=1) * 1e4))
    del logged.uns["bft"]["reference"]
    embed(logged)
    pd.testing.assert_series_equal(texts(adata).sort_index(), before.sort_index())


def test_obs_fields_are_said_and_missing_ones_left_out(adata):
    embed(adata, obs_fields=["tissue"], n_top=1)
    found = texts(adata)
    assert found["a"] == "a. CD3E. blood."
    assert found["d"] == "d. ALB."


def test_labels_do_not_reach_a_prompt_unless_asked_for_by_name(adata):
    with pytest.raises(InputError, match=r"leakage.*allow_labels=\['cell_type'\]"):
        embed(adata, obs_fields=["tissue", "cell_type"])
    embed(adata, obs_fields=["cell_type"], allow_labels=["cell_type"])
    assert texts(adata)["a"].endswith(" T.")


@pytest.mark.parametrize(
    "name", ["celltype", "Cell Type", "bulk_labels", "leiden_0.5", "louvain", "annotation", "CellState"]
)
def test_label_like_names_are_recognised(adata, name):
    adata.obs[name] = "x"
    with pytest.raises(InputError, match="leakage"):
        embed(adata, obs_fields=[name])


def test_cells_without_expression(adata):
    adata.X = sp.csr_matrix(adata.X.toarray() * np.array([[1], [0], [1], [1]], dtype=np.float32))
    with pytest.raises(InputError, match=r"1 of 4 cells.*'b'.*filter_cells"):
        embed(adata)
    embed(adata, empty="nan")
    assert np.isnan(adata.obsm["X_bft"]).all(axis=1).tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[-1.0, 0, 1, 1]], "negative values"),
        ([[np.nan, 0, 1, 1]], "hold NaN"),
        ([[100.5, 0, 1, 1]], "neither counts nor log-normalised"),
    ],
)
def test_scaled_or_odd_values_are_refused(adata, values, message):
    odd = anndata.AnnData(sp.csr_matrix(np.array(values, dtype=np.float32)), var=adata.var)
    with pytest.raises(InputError, match=message):
        embed(odd)


def test_layer_raw_and_missing_ones(adata):
    adata.layers["counts"] = adata.X.copy()
    adata.raw = adata.copy()
    adata.X = adata.X * -1.0
    embed(adata, layer="counts")
    embed(adata, use_raw=True, key_added="X_raw")
    np.testing.assert_array_equal(adata.obsm["X_bft"], adata.obsm["X_raw"])
    with pytest.raises(InputError, match="no layer 'none'"):
        embed(adata, layer="none")
    adata.raw = None
    with pytest.raises(InputError, match=r"no `.raw`"):
        embed(adata, use_raw=True)
    with pytest.raises(InputError, match=r"no column `site`"):
        embed(adata, layer="counts", obs_fields=["site"])


def test_backed_adata(adata, tmp_path):
    adata.write_h5ad(tmp_path / "a.h5ad")
    embed(adata)
    backed = anndata.read_h5ad(tmp_path / "a.h5ad", backed="r")
    embed(backed)
    np.testing.assert_array_equal(backed.obsm["X_bft"], adata.obsm["X_bft"])


@given(hnp.arrays(np.float32, (6, 3), elements=st.integers(0, 20).map(float)))
def test_reference_against_numpy(counts):
    totals = counts.sum(axis=1, keepdims=True)
    linear = np.divide(counts.astype(float) * 1e4, totals, out=np.zeros((6, 3)), where=totals > 0)
    matrix = chosen_matrix(parts_of(anndata.AnnData(counts)), layer=None, use_raw=False)
    found = expression_reference(matrix, ["A", "", "C"], values="counts")["median"]
    expected = {
        name: np.median(linear[:, j][linear[:, j] > 0]) for j, name in ((0, "A"), (2, "C")) if linear[:, j].any()
    }
    assert found.to_dict() == pytest.approx(expected)


@pytest.mark.parametrize("verb", [getattr(bft.tl, name) for name in bft.tl.__all__], ids=bft.tl.__all__)
@pytest.mark.parametrize("option", ["copy", "inplace", "method"])
def test_unknown_options_are_named(adata, verb, option):
    needed = {bft.embed: (["TP53"],), bft.tl.describe_clusters: (adata, "leiden"), bft.tl.PerturbationModel: ()}
    with pytest.raises(
        TypeError, match=rf"^{verb.__name__}(\.__init__)?\(\) got an unexpected keyword argument '{option}'"
    ):
        verb(*needed.get(verb, (adata,)), **{option: True})


def test_a_misspelt_option_names_the_nearest(adata):
    with pytest.raises(TypeError, match=r"'encodr'\. Did you mean `encoder`\?"):
        embed(adata, encodr="none")


def test_options_of_the_other_verb_are_refused(adata):
    with pytest.raises(TypeError, match="'weights'"):
        embed(adata, weights="raw")
    with pytest.raises(TypeError, match="'n_top'"):
        bft.tl.embed_cells(adata, n_top=3)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"empty": "drop"}, "`empty` is 'raise' or 'nan', got 'drop'"),
        ({"values": "cpm"}, "`values` is 'auto', 'counts' or 'lognorm', got 'cpm'"),
        ({"n_top": 0}, "n_top=0 must be at least 1"),
        ({"key_added": "a/b"}, "without `/`"),
        ({"reference": pd.DataFrame({"mean": [1.0]})}, "no column `median`; it has mean"),
    ],
)
def test_arguments_that_cannot_be(how, message, adata):
    with pytest.raises(InputError, match=message):
        embed(adata, **how)
    assert not adata.obsm
    assert "reference" not in adata.uns.get("bft", {})


def test_a_path_is_refused_with_the_line_that_reads_it(tmp_path):
    with pytest.raises(InputError, match=r"read it first, e\.g\. `anndata\.read_h5ad\('.*a\.h5ad', backed='r'\)`"):
        embed(tmp_path / "a.h5ad")


def test_map_genes_warns_once_without_a_table(adata):
    with pytest.warns(BftembedWarning, match="fetch"):
        embed(adata)


def test_texts_of_cells_are_found_by_their_keys(adata):
    embed(adata, n_top=1, key_added="X_cells")
    found = bft.get.profiles(adata, "X_cells")
    assert found.loc["a", "text"] == "a. CD3E."
    assert (found["status"] == "ok").all()


def test_texts_are_kept_under_the_key(adata):
    embed(adata, n_top=1, key_added="X_cells")
    assert adata.obs["X_cells_text"].tolist()[0] == "a. CD3E."
    assert adata.obs["X_cells_text_key"].str.len().min() > 0


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_what_is_taken_as_counts_does_not_depend_on_chunks(adata, rows, monkeypatch):
    from bftembed.expression import values as module

    monkeypatch.setattr(module, "default_chunk_rows", lambda *_: rows)
    adata.X = sp.csr_matrix(np.array([[1, 2, 0, 0], [3, 0, 1, 0], [0.5, 0, 1, 0], [0.25, 1, 0, 0]], dtype=np.float32))
    with pytest.raises(InputError, match="mixes kinds"):
        embed(adata)
