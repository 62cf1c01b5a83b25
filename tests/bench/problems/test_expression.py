"""Responses to perturbations: metrics, folds without leaks, baselines, and data in every notation."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse
from scipy.sparse import csr_matrix
from scipy.stats import pearsonr

from bftembed.bench.problems._expression_data import Responses, Setting, measures
from bftembed.bench.problems._expression_models import vote
from bftembed.bench.problems.expression import ExpressionResponse
from bftembed.bench.scoring.probes import Fold
from bftembed.errors import InputError
from bftembed.likeness import unit

GENES = [f"P{i:02d}" for i in range(12)]
N_MEASURED = 60


def planted(*, n_doubles=4, noise=0.3, seed=0, measured=False):
    """Changes that are the sum of what the factors of the perturbed genes do; the factors; single changes."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(len(GENES), 3))
    single = factors @ rng.normal(size=(3, N_MEASURED)) + noise * rng.normal(size=(len(GENES), N_MEASURED))
    pairs = [(i, i + 1) for i in range(n_doubles)]
    change = np.vstack([single, *(single[list(pair)].sum(axis=0) for pair in pairs)])
    parts = [(gene,) for gene in GENES] + [(GENES[a], GENES[b]) for a, b in pairs]
    top = np.argsort(-np.abs(change), axis=1, kind="stable")[:, :20]
    columns = {gene: i for i, gene in enumerate(GENES)} if measured else {}
    return Responses(parts, change, top, rng.random(N_MEASURED), columns), factors.astype(np.float32)


def by_name(scores):
    return {(score.method, score.metric): score for score in scores}


@pytest.fixture(scope="module")
def problem():
    return ExpressionResponse(planted()[0])


@pytest.fixture(scope="module")
def of_truth(problem):
    return problem.evaluate(planted()[1])


def test_true_factors_beat_the_mean_and_random_vectors_do_not(problem, of_truth):
    random = problem.evaluate(np.random.default_rng(5).normal(size=(12, 30)).astype(np.float32))
    assert (of_truth.scores[0].method, of_truth.scores[0].metric) == ("ridge", "normalised pearson delta")
    assert of_truth.scores[0].mean > 0.7
    assert random.scores[0].mean < 0.1
    for kind in ("singles", "doubles, 0 seen"):
        assert by_name(of_truth.scores)["ridge", f"normalised pearson delta, {kind}"].mean > 0.6
    for probe in ("kernel ridge", "nearest neighbours", "kernel vote"):
        assert by_name(of_truth.scores)[probe, "normalised pearson delta"].mean > 0.2


def test_counts_items_and_shapes(of_truth):
    assert of_truth.counts == {
        "perturbations": 16,
        "perturbations without five others that share no gene": 0,
        "singles": 12,
        "doubles, 0 seen": 4,
        "doubles, 2 seen": 4,
        "genes": 60,
        "perturbed genes among them": 0,
    }
    assert of_truth.items == [*GENES, *(f"{a}+{b}" for a, b in itertools.pairwise(GENES[:5]))]
    for score in (*of_truth.scores, *of_truth.baselines):
        kind = score.metric.partition(", ")[2]
        assert score.values.shape == (1, of_truth.counts.get(kind, 16))
        assert score.draws.shape == (1000,)
        low, high = np.quantile(score.draws, [0.025, 0.975])
        assert low - 1e-9 <= score.mean <= high + 1e-9
    assert len(by_name(of_truth.scores)) == len(of_truth.scores)
    assert of_truth.notes == ["No perturbation has what the baseline `ridge on expression components` needs."]


def test_zero_is_the_training_mean_and_one_is_perfect(problem, of_truth):
    """A perfect prediction as a method among others: the truth in place of a probe's predictions."""
    truth = problem.responses.change
    rows = np.arange(len(truth))
    for (method, metric), score in by_name(of_truth.baselines).items():
        if method == "training mean" and metric.startswith("normalised"):
            np.testing.assert_array_equal(score.values, 0)
    mean = np.stack([np.delete(truth, i, axis=0).mean(axis=0) for i in rows])
    found = {
        "perfect": measures(problem.responses, rows, truth),
        "training mean": measures(problem.responses, rows, mean),
    }
    for metric in found["perfect"]:
        normalised, raw = problem._scores("perfect", metric, Setting(rows, found))
        assert normalised.mean == pytest.approx(1)
        np.testing.assert_allclose(normalised.draws, 1)
        assert raw.mean == pytest.approx(0 if metric == "mse" else 1)


def test_the_normalised_score_is_the_gain_over_the_mean_by_what_was_possible(of_truth):
    scores, baselines = by_name(of_truth.scores), by_name(of_truth.baselines)
    for metric, best in (("pearson delta", 1), ("mse", 0), ("direction of top 20", 1), ("discrimination", 1)):
        mine, mean = scores["ridge", metric].mean, baselines["training mean", metric].mean
        assert scores["ridge", f"normalised {metric}"].mean == pytest.approx((mine - mean) / (best - mean))


def test_metrics_equal_those_of_plain_numpy():
    responses, _ = planted(measured=True)
    rng = np.random.default_rng(1)
    tested = np.array([0, 3, 5, 13, 15])
    guess = responses.change[tested] + rng.normal(size=(5, N_MEASURED))
    responses.change[3, 0] = guess[0, 0] = 1000  # expression of P00 itself, which is the first one perturbed
    found = measures(responses, tested, guess)
    for i, row in enumerate(tested):
        truth, top = responses.change[row], responses.top[row]
        assert found["pearson delta"][i] == pytest.approx(np.corrcoef(guess[i], truth)[0, 1])
        assert found["pearson delta of top 20"][i] == pytest.approx(np.corrcoef(guess[i][top], truth[top])[0, 1])
        assert found["mse"][i] == pytest.approx(np.mean((guess[i] - truth) ** 2))
        assert found["direction of top 20"][i] == np.mean(guess[i][top] * truth[top] > 0)
        kept = [j for j in range(N_MEASURED) if j not in {responses.columns[gene] for gene in responses.parts[row]}]
        distances = [np.abs(guess[i] - responses.change[other])[kept].sum() for other in tested]
        farther = sum(distance > distances[i] for distance in distances)
        assert found["discrimination"][i] == pytest.approx(farther / 4)


def test_what_cannot_be_measured_is_nan_and_no_order_is_zero():
    responses, _ = planted()
    responses.change[2, responses.top[2]] = 0.5
    guess = np.vstack([np.full(N_MEASURED, np.nan), np.zeros(N_MEASURED), responses.change[2]])
    found = measures(responses, np.arange(3), guess)
    assert all(np.isnan(values[0]) for values in found.values())
    assert found["pearson delta"][1] == 0
    assert found["direction of top 20"][1] == 0
    assert np.isnan(found["pearson delta of top 20"][2])
    assert found["pearson delta"][2] == pytest.approx(1)


def test_as_near_counts_half():
    responses, _ = planted()
    responses.change[1] = responses.change[0]
    found = measures(responses, np.arange(5), responses.change[:5])
    np.testing.assert_allclose(found["discrimination"], [1 - 0.5 / 4, 1 - 0.5 / 4, 1, 1, 1])


def test_the_ridge_is_that_of_scikit_learn(problem, of_truth):
    """One prediction made by hand, with the penalty that leaves the smallest error of held-out genes."""
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import KFold

    responses, vectors = planted()
    x = responses.has @ (vectors - vectors.mean(axis=0))
    train = [i for i, parts in enumerate(responses.parts) if "P03" not in parts]
    scaled = (x - x[train].mean(axis=0)) / x[train].std(axis=0) / np.sqrt(3)
    errors = []
    penalties = 10.0 ** np.arange(-2, 4)
    for penalty in penalties:
        of_folds = []
        for fit, held in KFold(5, shuffle=True, random_state=0).split(train):
            out = [train[i] for i in held]
            genes = {gene for i in out for gene in responses.parts[i]}
            used = [train[i] for i in fit if genes.isdisjoint(responses.parts[train[i]])]
            model = Ridge(penalty).fit(scaled[used], responses.change[used])
            of_folds.append(((model.predict(scaled[out]) - responses.change[out]) ** 2).mean())
        errors.append(np.mean(of_folds))
    best = Ridge(penalties[np.argmin(errors)]).fit(scaled[train], responses.change[train])
    expected = pearsonr(best.predict(scaled[[3]])[0], responses.change[3]).statistic
    assert by_name(of_truth.scores)["ridge", "pearson delta"].values[0, 3] == pytest.approx(expected, abs=1e-6)


def test_no_perturbation_of_a_tested_gene_is_learned_from(problem):
    known = np.arange(len(problem.responses.parts))
    parts = problem.responses.parts
    unseen, seen = problem._folds(known, unseen=True), problem._folds(known, unseen=False)
    assert [int(fold.test[0]) for fold in unseen] == known.tolist()
    assert [int(fold.test[0]) for fold in seen] == [i for i in known if len(parts[i]) == 2]
    for fold in unseen:
        mine = set(parts[fold.test[0]])
        assert {i for i in known if mine.isdisjoint(parts[i])} == set(fold.train.tolist())
    for fold in seen:
        assert set(fold.train.tolist()) == set(known.tolist()) - {int(fold.test[0])}


def test_predictions_do_not_depend_on_what_they_are_compared_with():
    """Another change of P03, alone and in doubles, leaves the predictions of all of these as they were."""
    from bftembed.bench.problems._expression_models import MODELS, VOTE, predicted

    responses, vectors = planted(measured=True)
    other = dataclasses.replace(responses, change=responses.change.copy())
    with_gene = [i for i, parts in enumerate(responses.parts) if "P03" in parts]
    other.change[with_gene] = 100.0 * np.arange(N_MEASURED)
    problem = ExpressionResponse(responses)
    x, units = responses.has @ vectors, {VOTE: unit(vectors)}
    folds = [fold for fold in problem._folds(np.arange(16), unseen=True) if fold.test[0] in with_gene]
    assert len(folds) == 3
    for fold in folds:
        before, after = (predicted(each, x, units, fold, models=MODELS, unseen=True) for each in (responses, other))
        for method, guess in before.items():
            np.testing.assert_array_equal(guess, after[method])
    elsewhere = problem._folds(np.arange(16), unseen=True)[10]
    before, after = (predicted(each, x, units, elsewhere, models=MODELS, unseen=True) for each in (responses, other))
    assert (before["ridge"] != after["ridge"]).any()


def test_the_sum_of_single_changes_is_exact_where_effects_add_up(of_truth):
    baselines = by_name(of_truth.baselines)
    assert baselines["sum of single changes", "normalised pearson delta, doubles, 2 seen"].mean == pytest.approx(1)
    assert ("sum of single changes", "pearson delta") not in baselines


def test_doubles_are_scored_by_how_many_of_their_genes_occur_elsewhere():
    responses, _ = planted()
    kept = [i for i, parts in enumerate(responses.parts) if parts not in {("P00",), ("P02",), ("P04",)}]
    fewer = Responses(
        [responses.parts[i] for i in kept], responses.change[kept], responses.top[kept], responses.control, {}
    )
    problem = ExpressionResponse(fewer)
    known = np.arange(len(kept))
    unseen, seen = (
        problem._setting(np.zeros((len(kept), 1)), {}, problem._folds(known, unseen=each), {}, 1, unseen=each)
        for each in (True, False)
    )
    kinds = problem._kinds(known, unseen, seen)
    names = {kind: [fewer.names[i] for i in setting.rows] for kind, setting in kinds.items()}
    doubles = ["P00+P01", "P01+P02", "P02+P03", "P03+P04"]
    assert (
        names
        == {
            "singles": [name for name in fewer.names if "+" not in name],
            "doubles, 0 seen": doubles,
            "doubles, 1 seen": [doubles[0], doubles[3]],  # P00 and P04 are nowhere else
            "doubles, 2 seen": doubles[1:3],
        }
    )
    for setting in kinds.values():  # P02 is in two doubles, but not by itself
        assert np.isnan(setting.measured["sum of single changes"]["mse"]).all()


def test_the_components_of_measured_genes_are_a_baseline():
    """Expression that goes with the effects: the perturbed genes' columns of the profiles hold their factors."""
    responses, factors = planted(noise=0.05, measured=True)
    change = responses.change.copy()
    change[:, : len(GENES)] = np.random.default_rng(3).normal(size=(len(change), 3)) @ factors.T / 2
    responses = dataclasses.replace(responses, change=change)
    problem = ExpressionResponse(responses)
    folds = problem._folds(np.arange(16), unseen=True)
    found = problem._setting(np.zeros((16, 1)), {}, folds, {}, 1, unseen=True).measured
    assert found["ridge on expression components"]["mse"].mean() < 0.8 * found["training mean"]["mse"].mean()
    columns = {gene: i for i, gene in enumerate(GENES) if gene != "P03"}
    partly = ExpressionResponse(dataclasses.replace(responses, columns=columns))
    found = partly._setting(np.zeros((16, 1)), {}, folds, {}, 1, unseen=True).measured
    values = found["ridge on expression components"]
    np.testing.assert_array_equal(np.isnan(values["mse"]), ["P03" in parts for parts in responses.parts])


def test_equal_vectors_score_like_the_mean(problem):
    evaluation = problem.evaluate(np.full((12, 5), 0.3, dtype=np.float32))
    for score in evaluation.scores:
        if score.metric.startswith("normalised") and score.method not in {"nearest neighbours", "kernel vote"}:
            np.testing.assert_allclose(score.values, 0, atol=1e-9)
    assert evaluation.notes[-1] == "All vectors are equal: this embedding says nothing of the genes."


def test_the_vote_of_genes_without_a_direction_is_the_mean_effect_of_a_part():
    responses, _ = planted()
    fold = Fold(np.delete(np.arange(16), 8), np.array([8]))
    guess = vote(responses, np.zeros((12, 4), dtype=np.float32), fold)
    size = responses.has[fold.train].sum(axis=1)
    np.testing.assert_allclose(guess, size @ responses.change[fold.train] / (size @ size))


def test_the_vote_by_words_is_a_baseline_where_words_are_given():
    responses, vectors = planted()
    problem = ExpressionResponse(responses, words=lambda names: csr_matrix(unit(vectors)) if names == GENES else None)
    evaluation = problem.evaluate(vectors)
    own, words = by_name(evaluation.scores), by_name(evaluation.baselines)
    for kind in ("", ", doubles, 0 seen", ", doubles, 2 seen"):
        name = f"normalised pearson delta{kind}"
        expected = own["kernel vote", name].mean
        assert words["kernel vote, words of RefSeq and GO", name].mean == pytest.approx(expected)
    assert own["kernel vote", "normalised pearson delta, doubles, 2 seen"].mean > 0.9  # they add up


def test_no_change_is_scored_without_nan(of_truth):
    none = {metric: score for (method, metric), score in by_name(of_truth.baselines).items() if method == "no change"}
    assert none["pearson delta"].mean == 0
    assert not any(np.isnan(score.values).any() or np.isnan(score.draws).any() for score in none.values())
    assert none["normalised mse"].mean != 0


def test_a_gene_without_a_vector_takes_its_perturbations_out(problem):
    _, vectors = planted()
    vectors[3] = np.nan
    evaluation = problem.evaluate(vectors)
    assert evaluation.items == [name for name in problem.responses.names if "P03" not in name.split("+")]
    without = [i for i, parts in enumerate(problem.responses.parts) if "P03" not in parts]
    responses = problem.responses
    alone = Responses(
        [responses.parts[i] for i in without], responses.change[without], responses.top[without], responses.control, {}
    )
    same = ExpressionResponse(alone).evaluate(np.delete(vectors, 3, axis=0))
    np.testing.assert_array_equal(evaluation.scores[0].values, same.scores[0].values)
    vectors[4:] = np.nan
    with pytest.raises(InputError, match=r"Only 5 of 16 perturbations have all vectors, and 0 have 5 others"):
        problem.evaluate(vectors)


def test_results_do_not_depend_on_the_number_of_jobs(problem, of_truth):
    again = problem.evaluate(planted()[1], n_jobs=2)
    for one, two in zip((*of_truth.scores, *of_truth.baselines), (*again.scores, *again.baselines), strict=True):
        np.testing.assert_array_equal(one.values, two.values)


# --- from cells ---

SYMBOLS = ["TP53", "KLF1", "MYC", "JUN", "FOS", "EGFR", "KRAS", "GATA1", "SPI1", "CEBPA", "STAT1", "IRF1"]
PAIRS = [("TP53", "KLF1"), ("MYC", "JUN")]


def cells(labels, *, n=25, seed=0, **more):
    """Counts of 30 genes; cells of each label, and each label's own tilt of the genes."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(2.0, 2.0, 30) * np.exp(0.4 * rng.normal(size=(len(labels), 30)))
    x = rng.poisson(np.repeat(rates, n, axis=0)).astype(np.float32)
    obs = pd.DataFrame({"condition": np.repeat(labels, n), **more})
    obs.index = [f"c{i}" for i in range(len(obs))]
    return AnnData(sparse.csr_matrix(x), obs=obs, var=pd.DataFrame(index=[*SYMBOLS, *(f"G{i}" for i in range(18))]))


GEARS = ["ctrl", *(f"{g}+ctrl" if i % 2 else f"ctrl+{g}" for i, g in enumerate(SYMBOLS)), *("+".join(p) for p in PAIRS)]
PERTPY = ["control", *SYMBOLS, *("+".join(p[::-1]) for p in PAIRS)]
SCPERTURB = ["control", *SYMBOLS, *("_".join(p) for p in PAIRS)]


@pytest.mark.parametrize(("labels", "separator"), [(PERTPY, "+"), (SCPERTURB, "_")])
def test_every_notation_gives_the_same_problem(labels, separator):
    one = ExpressionResponse.from_anndata(cells(GEARS))
    two = ExpressionResponse.from_anndata(cells(labels), separator=separator)
    assert one.entities == two.entities == sorted(SYMBOLS)
    assert one.responses.names == two.responses.names
    assert "KLF1+TP53" in one.responses.names
    np.testing.assert_array_equal(one.responses.change, two.responses.change)
    np.testing.assert_array_equal(one.responses.top, two.responses.top)
    assert one.removed == two.removed == {}


def test_spellings_of_one_perturbation_are_pooled():
    adata = cells([*GEARS, "TP53+ctrl", "JUN+MYC"])
    problem = ExpressionResponse.from_anndata(adata)
    assert len(problem.responses.parts) == 14
    assert problem.notes[0] == "2 conditions are another spelling of one that is there: their cells are pooled."
    renamed = adata.obs["condition"].replace({"TP53+ctrl": "ctrl+TP53", "JUN+MYC": "MYC+JUN"})
    same = ExpressionResponse.from_anndata(AnnData(adata.X, obs=renamed.to_frame(), var=adata.var))
    np.testing.assert_array_equal(problem.responses.change, same.responses.change)


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csc_matrix, lambda x: x.toarray()])
def test_counts_are_normalised_as_scanpy_does_and_logs_are_left_alone(make):
    import scanpy as sc

    counts = cells(GEARS)
    logged = counts.copy()
    sc.pp.normalize_total(logged, target_sum=1e4)
    sc.pp.log1p(logged)
    counts.X = make(counts.X)
    before = counts.X.copy()
    one, two = ExpressionResponse.from_anndata(counts), ExpressionResponse.from_anndata(logged)
    assert one.notes == ("The values are whole numbers: taken as counts, scaled to 10,000 per cell and logged.",)
    assert two.notes == ()
    frame = pd.DataFrame(logged.X.toarray()).groupby(logged.obs["condition"].to_numpy()).mean()
    for i, name in enumerate(one.responses.names):
        label = next(label for label in GEARS if set(label.split("+")) - {"ctrl"} == set(name.split("+")))
        np.testing.assert_allclose(one.responses.change[i], frame.loc[label] - frame.loc["ctrl"], atol=1e-5)
    np.testing.assert_allclose(one.responses.change, two.responses.change, atol=1e-5)
    np.testing.assert_array_equal(one.responses.top, two.responses.top)
    assert (before != counts.X).sum() == 0


def test_the_top_genes_are_those_of_scanpy():
    import scanpy as sc

    adata = cells(["ctrl", *GEARS])  # twice as many controls
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    responses = ExpressionResponse.from_anndata(adata).responses
    adata.obs["condition"] = adata.obs["condition"].astype("category")
    sc.tl.rank_genes_groups(adata, "condition", reference="ctrl", method="t-test", rankby_abs=True)
    named = adata.uns["rank_genes_groups"]["names"]
    for name, top in zip(responses.names, responses.top, strict=True):
        label = next(label for label in GEARS if set(label.split("+")) - {"ctrl"} == set(name.split("+")))
        assert set(adata.var_names[top]) == set(named[label][:20])


def test_what_is_left_out_is_counted():
    odd = ["nothing known", "TP53+KLF1+MYC", "JUN+JUN", "RARE", None]
    adata = cells([*GEARS, *odd])
    rare = np.flatnonzero(adata.obs["condition"] == "RARE")
    adata.obs.loc[adata.obs_names[rare], "condition"] = "GATA1+ctrl+SPI1"
    keep = np.setdiff1d(np.arange(adata.n_obs), rare[3:])
    adata = adata[keep].copy()
    x = adata.X.toarray()
    x[0] = 0
    adata.X = x
    problem = ExpressionResponse.from_anndata(adata)
    expected = {
        "cells without a condition": 25,
        "cells without counts": 1,
        "perturbations of a gene with itself": 1,
        "perturbations of more than two genes": 1,
        "perturbations with fewer than 20 cells": 1,
    }
    assert {reason: n for reason, n in problem.removed.items() if "canonical" not in reason} == expected
    assert "GATA1+SPI1" not in problem.responses.names
    without = ExpressionResponse.from_anndata(adata[1:].copy())
    np.testing.assert_array_equal(problem.responses.change, without.responses.change)


def test_perturbed_genes_are_found_among_the_measured():
    assert ExpressionResponse.from_anndata(cells(GEARS)).responses.columns["KLF1"] == 1


def test_controls_layers_and_columns_can_be_named():
    labels = ["wt", *SYMBOLS]
    adata = cells(labels)
    adata.obs["guide"] = adata.obs.pop("condition")
    adata.layers["raw"], adata.X = adata.X, None
    problem = ExpressionResponse.from_anndata(adata, "guide", "wt", layer="raw", values="counts", min_cells=5)
    same = ExpressionResponse.from_anndata(cells(["ctrl", *SYMBOLS]))
    np.testing.assert_array_equal(problem.responses.change, same.responses.change)
    assert problem.notes == ()


def scaled(adata):
    adata.X = adata.X.toarray() - 3
    return adata


def mixed(adata):
    adata.X = adata.X * np.float32(7.7)
    return adata


@pytest.mark.parametrize(
    ("adata", "options", "message"),
    [
        (cells(GEARS), {"condition": "guide"}, r"no column `guide`; it has condition\. Pass condition="),
        (cells(GEARS[1:]), {}, r"No cell is a control: none of control, ctrl, .* Pass control="),
        (cells(PERTPY), {"control": "wt"}, r"No cell is a control: none of wt is among the conditions"),
        (cells(["ctrl"]), {}, r"There is no perturbation but controls \(ctrl\)"),
        (cells(GEARS[:8]), {}, r"10 perturbations are needed, there are 7\. Left out before: none"),
        (cells(GEARS), {"min_cells": 26}, r"Only 25 cells are controls; 26 are needed"),
        (cells(GEARS), {"min_cells": 1}, r"`min_cells` is at least 2"),
        (cells(GEARS)[:, :19].copy(), {}, r"at least 20 genes; the data have 19"),
        (cells(GEARS), {"layer": "raw"}, r"no layer 'raw'; this AnnData has no layers"),
        (AnnData(obs=cells(GEARS).obs, var=cells(GEARS).var), {}, r"`.X` .* is empty .*; it has no layers"),
        (cells(GEARS), {"values": "log"}, "`values` is 'auto', 'counts' or 'lognorm', got 'log'"),
        (scaled(cells(GEARS)), {}, r"negative values .*, as scaled data do"),
        (mixed(cells(GEARS)), {}, "neither counts nor log-normalised: cell"),
    ],
)
def test_errors_say_what_to_do(adata, options, message):
    with pytest.raises(InputError, match=message):
        ExpressionResponse.from_anndata(adata, **options)


def test_few_perturbations_say_what_was_left_out():
    with pytest.raises(InputError, match=r"there are 0\. Left out before: perturbations with fewer than 20 cells: 14"):
        ExpressionResponse.from_anndata(_few_cells())


def _few_cells():
    adata = cells(GEARS)
    control = np.flatnonzero(adata.obs["condition"] == "ctrl")
    first = np.concatenate([np.flatnonzero(adata.obs["condition"] == label)[:19] for label in GEARS[1:]])
    return adata[np.concatenate([control, first])].copy()
