"""Predicted changes under perturbations: what they are made of, their s.d., and what is refused."""

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import bftembed as bft
from bftembed.errors import BftembedWarning, InputError
from bftembed.tl import PerturbationModel

N_GENES = 25


def names(n):
    return [f"pert{i:02d}x" for i in range(n)]


def effects(n, seed=0, *, unpredictable=0.0):
    """Vectors (n, 3), and effects (n, 25) that go with them but for a part."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    effect = 0.4 * (x @ rng.normal(size=(3, N_GENES))) + unpredictable * rng.normal(size=(n, N_GENES))
    return pd.DataFrame(x, index=names(n)), effect


def cells_of(conditions, change, *, n_cells=40, seed=1, spread=1.0):
    """Log-normalised cells, normal about a level of 3 plus the change; the first condition is the control."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(["ctrl", *conditions], n_cells)
    level = 3 + np.repeat(np.vstack([np.zeros(N_GENES), change]), n_cells, axis=0)
    x = np.maximum(level + spread * rng.normal(size=level.shape), 0.01)
    obs = pd.DataFrame({"perturbation": labels}, index=[f"c{i}" for i in range(len(labels))])
    return anndata.AnnData(x.astype("float32"), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(N_GENES)]))


@pytest.fixture(scope="module")
def screen():
    """30 perturbations and their vectors; the last five are held back."""
    vectors, effect = effects(30)
    return vectors, effect, cells_of(vectors.index[:25], effect[:25])


@pytest.fixture(scope="module")
def fitted(screen):
    vectors, _, cells = screen
    return PerturbationModel(vectors).fit(cells, values="lognorm")


def test_unseen_perturbations_are_predicted_by_those_alike(screen, fitted):
    vectors, effect, _ = screen
    predicted = fitted.predict(list(vectors.index[25:]))
    assert predicted.shape == (5, N_GENES)
    assert predicted.X.dtype == predicted.layers["std"].dtype == np.float32
    correlation = np.corrcoef(predicted.X.ravel(), effect[25:].ravel())[0, 1]
    assert correlation > 0.8
    assert fitted.cv_results_["gain"].max() > 0.5
    assert (predicted.obs["n_unseen"] == 1).all()


def test_random_vectors_leave_the_training_mean(screen):
    vectors, _, cells = screen
    random = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 40)), index=vectors.index)
    model = PerturbationModel(random).fit(cells, values="lognorm")
    predicted = model.predict(list(vectors.index[25:]))
    assert (predicted.obs["mean_share"] > 0.4).all()
    assert model.cv_results_["gain"].max() < 0.05


def test_measured_ones_have_their_own_effect_and_combinations_add_up(screen, fitted):
    vectors, effect, _ = screen
    a, b, unseen = vectors.index[[0, 1, 27]]
    one, two, both, mixed = fitted.predict([a, b, f"{a}+{b}", f"{unseen}+{a}"]).X
    np.testing.assert_allclose(one, effect[0], atol=0.8)
    np.testing.assert_allclose(both, one + two, atol=1e-5)
    np.testing.assert_allclose(mixed, one + fitted.predict([unseen]).X[0], atol=1e-5)
    np.testing.assert_allclose(fitted.predict([f"{b}+{a}"]).X[0], both, atol=1e-6)
    assert fitted.predict([f"{a}+{unseen}"]).obs["n_unseen"].tolist() == [1]


def test_what_a_prediction_rests_on_is_told_in_words_and_adds_up(screen, fitted):
    vectors, _, _ = screen
    seen, unseen = vectors.index[[3, 28]]
    told = fitted.predict([seen, unseen]).obs
    assert told["rests_on"].iloc[0] == f"{seen.upper() if seen.upper() in fitted.parts_ else seen}: measured itself"
    assert told["mean_share"].iloc[0] == 0
    words = told["rests_on"].iloc[1]
    assert words.startswith(f"{unseen}: pert")
    shares = [int(part.split()[-2]) for part in words.split(": ")[1].split(", ")]
    assert sum(shares) == pytest.approx(100, abs=4)
    assert shares[-1] == pytest.approx(100 * told["mean_share"].iloc[1], abs=0.5)
    nearest = words.split(": ")[1].split()[0]
    x = vectors.to_numpy() - vectors.to_numpy().mean(axis=0)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    assert vectors.index[np.argmax(x[:25] @ x[28])] == nearest


@pytest.fixture(scope="module")
def simulated():
    """Models of 20 screens of 40 perturbations, names and true changes of 50, and the mean of each one's controls."""
    found = []
    for seed in range(20):
        vectors, effect = effects(50, seed, unpredictable=0.3)
        cells = cells_of(vectors.index[:40], effect[:40], seed=seed)
        control = cells[cells.obs["perturbation"] == "ctrl"].X.mean(axis=0)
        found.append((PerturbationModel(vectors).fit(cells, values="lognorm"), vectors.index, 3 + effect - control))
    return found


@pytest.mark.parametrize("kind", ["unseen", "measured", "pair of unseen"])
def test_the_standard_deviation_covers_what_would_be_measured(simulated, kind):
    """Nearly 95 % of the changes measured against the same controls are within 1.96 s.d. (93 to 95 in 50 screens)."""
    inside = []
    for seed, (model, known, change) in enumerate(simulated):
        rows = np.arange(10) if kind == "measured" else np.arange(40, 50)
        labels, truth = list(known[rows]), change[rows]
        if kind == "pair of unseen":
            labels = [f"{a}+{b}" for a, b in zip(labels, np.roll(labels, 1), strict=True)]
            truth = truth + np.roll(truth, 1, axis=0)
        measured = truth + np.random.default_rng(seed + 100).normal(size=truth.shape) / np.sqrt(40)
        predicted = model.predict(labels)
        inside.append(abs(measured - predicted.X) < 1.96 * predicted.layers["std"])
    assert 0.90 < np.mean(inside) < 0.97


def test_the_score_is_zero_for_the_mean_and_higher_for_what_is_alike(screen, fitted):
    vectors, effect, cells = screen
    new = cells_of(vectors.index[25:], effect[25:], seed=9)
    mean = PerturbationModel(vectors, shrinkage=np.inf).fit(cells, values="lognorm")
    assert mean.score(new) == pytest.approx(0, abs=1e-9)
    assert fitted.score(new) > 0.4
    shuffled = new[:, np.random.default_rng(0).permutation(N_GENES)].copy()
    assert fitted.score(shuffled) == pytest.approx(fitted.score(new), abs=1e-6)


def test_given_parameters_are_used(screen):
    vectors, _, cells = screen
    model = PerturbationModel(vectors, temperature=0.3, shrinkage=2.0).fit(cells, values="lognorm")
    assert (model.temperature_, model.shrinkage_) == (0.3, 2.0)
    assert model.cv_results_[["temperature", "shrinkage"]].to_numpy().tolist() == [[0.3, 2.0]]


def test_it_is_an_estimator_of_scikit_learn(screen):
    vectors, _, _ = screen
    model = PerturbationModel(vectors, temperature=0.2, how="activation")
    twin = clone(model)
    assert twin.get_params()["temperature"] == 0.2
    assert twin.set_params(how="knockout").how == "knockout"
    with pytest.raises(NotFittedError):
        model.predict(["A"])
    with pytest.raises(NotFittedError):
        model.score(cells_of(["A"], np.zeros((1, N_GENES))))


def test_the_same_again_is_the_same_and_backed_and_chunks_make_no_difference(screen, fitted, tmp_path):
    vectors, _, cells = screen
    asked = list(vectors.index[20:])
    again = PerturbationModel(vectors).fit(cells, values="lognorm").predict(asked)
    np.testing.assert_array_equal(again.X, fitted.predict(asked).X)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    np.testing.assert_allclose(
        PerturbationModel(vectors).fit(backed, values="lognorm").predict(asked).X, again.X, rtol=1e-5, atol=1e-6
    )
    backed.file.close()
    order = np.random.default_rng(0).permutation(cells.n_obs)
    mixed = PerturbationModel(vectors).fit(cells[order], values="lognorm").predict(asked)
    np.testing.assert_allclose(mixed.X, again.X, rtol=1e-4, atol=1e-5)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000))
def test_a_gene_seen_in_combinations_alone_is_measured(seed):
    vectors, effect = effects(12, seed)
    a = names(12)
    pairs = [(i, (i + 1) % 12) for i in range(12)] + [(i, (i + 5) % 12) for i in range(12)]
    change = np.array([effect[i] + effect[j] for i, j in pairs]) / 2
    cells = cells_of([f"{a[i]}+{a[j]}" for i, j in pairs], change, spread=0.3)
    predicted = PerturbationModel(vectors).fit(cells, values="lognorm").predict(a)
    assert (predicted.obs["n_unseen"] == 0).all()
    # Of a hundred seeds the least is 0.79, the median 0.96.
    assert np.corrcoef(predicted.X.ravel(), effect.ravel() / 2)[0, 1] > 0.6


@pytest.mark.parametrize("layout", ["all pairs", "a ring of pairs"])
def test_in_a_screen_of_combinations_parts_are_held_out_too(layout):
    """What is told of unseen parts is measured, though no condition consists of one part alone."""
    inside, gains = [], []
    for seed in range(6):
        vectors, effect = effects(24, seed, unpredictable=0.3)
        pairs = [(i, j) for i in range(16) for j in range(i) if layout == "all pairs" or i - j in {1, 4, 15}]
        change = np.array([effect[i] + effect[j] for i, j in pairs]) / 2
        cells = cells_of([f"{names(24)[i]}+{names(24)[j]}" for i, j in pairs], change, n_cells=20, seed=seed)
        control = cells[cells.obs["perturbation"] == "ctrl"].X.mean(axis=0)
        model = PerturbationModel(vectors).fit(cells, values="lognorm")
        predicted = model.predict(names(24)[16:])
        truth = 3 + effect[16:] / 2 - control
        measured = truth + np.random.default_rng(seed).normal(size=truth.shape) / np.sqrt(20)
        inside.append(abs(measured - predicted.X) < 1.96 * predicted.layers["std"])
        gains.append(model.cv_results_["gain"].max())
    assert min(gains) > 0.1
    assert 0.9 < np.mean(inside) < 0.98


def test_where_nothing_can_be_held_out_the_standard_deviation_of_the_unseen_is_not_known():
    vectors, effect = effects(6)
    a, b, *others = vectors.index
    cells = cells_of([f"{a}+{b}"], effect[:1] + effect[1:2])
    with pytest.warns(BftembedWarning, match="No perturbation can be held out"):
        model = PerturbationModel(vectors).fit(cells, values="lognorm")
    assert model.cv_results_["mse"].isna().all()
    assert model.shrinkage_ == np.inf
    predicted = model.predict([f"{a}+{b}", others[0]])
    assert np.isfinite(predicted.X).all()
    assert np.isnan(predicted.layers["std"]).all(axis=1).tolist() == [False, True]


@pytest.fixture(scope="module")
def dosed():
    vectors, effect = effects(4)
    cells = cells_of(vectors.index, effect)
    cells.obs["dose"] = np.where(cells.obs["perturbation"] == "ctrl", "", "1 uM")
    return PerturbationModel(vectors, how="drug").fit(cells, dose_key="dose", values="lognorm"), cells


def test_units_of_doses_are_those_of_the_training_data(dosed):
    model, cells = dosed
    name = names(1)
    with pytest.raises(InputError, match="The dose '1' has no unit and those of the training data have a molar unit"):
        model.predict(name, dose="1")
    bare = cells.copy()
    bare.obs["dose"] = bare.obs["dose"].str.removesuffix(" uM")
    with pytest.raises(InputError, match="has no unit and those of the training data"):
        model.score(bare)
    with pytest.raises(InputError, match="fitted with doses: pass dose_key="):
        model.score(cells, dose_key=None)
    plain = clone(model).fit(bare, dose_key="dose", values="lognorm")
    with pytest.raises(InputError, match="The dose '1 uM' has a unit and those of the training data have none"):
        plain.predict(name, dose="1 uM")
    one, other, third = (plain.predict(name, dose=dose).X for dose in (1.0, "1", [np.float64(1)]))
    assert (one == other).all()
    assert (one == third).all()


def test_drugs_have_doses():
    """A drug at a dose that was not measured is nearest to itself at the nearest dose."""
    vectors, effect = effects(6)
    labels = [f"{name}" for name in vectors.index for _ in range(2)]
    doses = ["1 uM", "10 uM"] * 6
    change = np.repeat(effect, 2, axis=0) * np.tile([[0.3], [1.0]], (6, 1))
    cells = cells_of([f"{label}|{dose}" for label, dose in zip(labels, doses, strict=True)], change, spread=0.2)
    parts = cells.obs["perturbation"].str.split("|", expand=True)
    cells.obs = cells.obs.assign(perturbation=parts[0], dose=parts[1].fillna(""))
    model = PerturbationModel(vectors, how="drug", temperature=0.1, shrinkage=0.0).fit(
        cells, dose_key="dose", values="lognorm"
    )
    name = vectors.index[0]
    low, high, between, above = model.predict([name] * 4, dose=["1uM", "10000 nM", "3uM", "30 uM"]).X
    np.testing.assert_allclose(model.predict([name], dose="1e-6M").X[0], low, atol=1e-6)
    size = [np.linalg.norm(each) for each in (low, between, high)]
    assert size[0] < size[1] < size[2]
    assert np.linalg.norm(above - high) < np.linalg.norm(above - low)
    assert model.parts_[:2] == [f"{name} at 1e-05", f"{name} at 1e-06"]
    with pytest.raises(InputError, match="fitted with doses"):
        model.predict([name])
    with pytest.raises(InputError, match="2 values for 1 conditions"):
        model.predict([name], dose=["1 uM", "2 uM"])


def test_words_and_embeddings_of_bft_are_similarities(mirror):
    genes = ["RPL3", "RPL5", "RPL8", "RPL11", "PSMA1", "PSMA2", "PSMB1", "PSMB5"]
    effect = np.repeat([[1.0], [-1.0]], 4, axis=0) * np.sign(np.random.default_rng(0).normal(size=N_GENES))
    kept = [0, 1, 2, 4, 5, 6]
    cells = cells_of([genes[i] for i in kept], effect[kept], spread=0.3)
    texts = {
        gene: ("Protein of the ribosome." if gene.startswith("RPL") else "Catalysis of proteolysis.") + gene
        for gene in genes
    }
    table = bft.embed(genes, profiles=texts)
    for similarity in ("tfidf", table, table.to_df()):
        predicted = PerturbationModel(similarity).fit(cells, values="lognorm").predict(["RPL11", "PSMB5"])
        assert (np.sign(predicted.X) == np.sign(effect[[3, 7]])).mean() > 0.9
    assert predicted.uns["bft"]["perturbation_model"]["similarity"] == "DataFrame"


def test_the_result_can_be_written(fitted, screen, tmp_path):
    predicted = fitted.predict(list(screen[0].index[24:27]))
    predicted.write_h5ad(tmp_path / "predicted.h5ad")
    read = anndata.read_h5ad(tmp_path / "predicted.h5ad")
    np.testing.assert_array_equal(read.layers["std"], predicted.layers["std"])
    assert read.obs["rests_on"].astype(str).tolist() == predicted.obs["rests_on"].tolist()


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        (["no such gene"], r"1 genes or drugs were neither measured nor have a vector in `similarity`: no such gene"),
        (["pert01y"], r"Did you mean `pert01x`\?"),
        (["ctrl", "pert01x"], "'ctrl' is a control, whose change is zero by definition"),
        ([], "list of at least one label"),
        ("pert01x", "list of at least one label"),
        (["pert01x", "pert01x"], "'pert01x' more than once"),
        (["pert01x+pert02x", "pert02x+pert01x"], r"more than once, the second time as 'pert02x\+pert01x'"),
        (5, "list of at least one label"),
    ],
)
def test_what_cannot_be_predicted_is_named(fitted, conditions, message):
    with pytest.raises(InputError, match=message):
        fitted.predict(conditions)
    with pytest.raises(InputError, match="fitted without doses"):
        fitted.predict(["pert01x"], dose="1 uM")


@pytest.mark.usefixtures("mirror")
def test_what_was_typed_is_named_where_it_is_an_alias(fitted):
    with pytest.raises(InputError, match=r"vector in `similarity`: NOPE \(read as IGDCC4\)\. Mend"):
        fitted.predict(["NOPE"])


def test_what_cannot_be_learnt_from_is_refused_with_the_remedy(screen):
    vectors, effect, cells = screen
    with pytest.raises(InputError, match=r"No cell is a control: none of vehicle.*Pass control="):
        PerturbationModel(vectors).fit(cells, control="vehicle")
    with pytest.raises(InputError, match="treatment"):
        PerturbationModel(vectors).fit(cells, obs_key="treatment")
    one = cells_of(vectors.index[:1], effect[:1])
    with pytest.raises(InputError, match="1 genes or drugs that were measured 1 have a vector or text; two are needed"):
        PerturbationModel(vectors).fit(one, values="lognorm")
    with pytest.raises(InputError, match=r"25 genes or drugs that were measured 0 have .*without: pert00x"):
        PerturbationModel(vectors.rename("other{}".format)).fit(cells, values="lognorm")
    with pytest.raises(InputError, match="`temperature` is a number above 0, got 0"):
        PerturbationModel(vectors, temperature=0).fit(cells)
    with pytest.raises(InputError, match="`shrinkage` is a number, 0 or more, got -1"):
        PerturbationModel(vectors, shrinkage=-1).fit(cells)
    with pytest.raises(InputError, match=r"`similarity` is 'tfidf', the AnnData .*; got int"):
        PerturbationModel(3).fit(cells, values="lognorm")
    with pytest.raises(InputError, match="there is no file 'tf-idf'"):
        PerturbationModel("tf-idf").fit(cells, values="lognorm")


def test_conditions_of_one_cell_are_left_out_or_refused(screen):
    vectors, effect, cells = screen
    lone = cells.obs["perturbation"].isin(vectors.index[:3]).to_numpy()
    first = lone & ~cells.obs["perturbation"].duplicated().to_numpy()
    with pytest.warns(
        BftembedWarning, match=r"3 conditions have fewer than 10 cells and are left out: pert00x, pert01x"
    ):
        model = PerturbationModel(vectors).fit(cells[first | ~lone], values="lognorm")
    assert len(model.parts_) == 22
    single = cells_of(vectors.index[:5], effect[:5], n_cells=1)
    with pytest.raises(InputError, match=r"No condition has 10 cells or more|Only 1 cells"):
        PerturbationModel(vectors).fit(single, values="lognorm")
    with pytest.raises(InputError, match="`min_cells` is a whole number, 2 or more, got 1"):
        PerturbationModel(vectors, min_cells=1).fit(cells)


def test_perturbations_without_a_vector_have_their_own_effect_and_no_vote(screen):
    vectors, _, cells = screen
    with pytest.warns(BftembedWarning, match="1 of 25 genes or drugs have no vector or text, and no vote: pert04x"):
        model = PerturbationModel(vectors.drop(index="pert04x")).fit(cells, values="lognorm")
    assert model.predict(["pert04x"]).obs["n_unseen"].tolist() == [0]
    assert "pert04x" not in model.predict(["pert29x"]).obs["rests_on"].iloc[0]


@pytest.mark.parametrize(
    ("arguments", "reading", "message"),
    [
        ({"temperature": "0.1"}, {}, "`temperature` is a number above 0, got '0.1'"),
        ({"shrinkage": "a"}, {}, "`shrinkage` is a number, 0 or more, got 'a'"),
        ({"dose_width": None}, {}, "`dose_width` is a number above 0, got None"),
        ({"min_cells": "10"}, {}, "`min_cells` is a whole number, 2 or more, got '10'"),
        ({}, {"control": None}, "`control` is a name that stands for no perturbation, .* got None"),
    ],
)
def test_arguments_of_another_kind_are_named(screen, arguments, reading, message):
    with pytest.raises(InputError, match=message):
        PerturbationModel(screen[0], **arguments).fit(screen[2], **reading)


def test_conditions_may_come_one_by_one_and_shares_are_not_below_zero(screen, fitted):
    labels = list(screen[0].index[25:])
    np.testing.assert_array_equal(fitted.predict(label for label in labels).X, fitted.predict(labels).X)
    vectors, _, cells = screen
    told = PerturbationModel(vectors, shrinkage=0.0).fit(cells, values="lognorm").predict(labels).obs
    assert (told["mean_share"] >= 0).all()
    assert not told["rests_on"].str.contains("-0 %").any()


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_genes_of_one_name_are_scored_by_place_or_refused(screen):
    vectors, _, cells = screen
    twice = cells.copy()
    twice.var_names = ["g0", *twice.var_names[:-1]]
    model = PerturbationModel(vectors).fit(twice, values="lognorm")
    assert np.isfinite(model.score(twice))
    with pytest.raises(InputError, match="some share one"):
        model.score(twice[:, ::-1])


def test_scoring_on_other_genes_is_refused(fitted, screen):
    with pytest.raises(InputError, match=r"1 of the 25 genes of the model, e\.g\. g0, are not in `var_names`"):
        fitted.score(screen[2][:, 1:])
