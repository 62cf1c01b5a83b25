"""Integration: labels never reach an embedding, one point never wins, and matches are counted as by hand."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score
from sklearn.metrics.pairwise import cosine_distances

from bftembed.bench import Source
from bftembed.bench.problems.integration import BatchIntegration
from bftembed.bench.problems.modalities import JointModalities, ModalityMatching, _foscttm, closer_cells
from bftembed.bench.sources.base import CellVectors, NotApplicableError
from bftembed.errors import InputError

TYPES = ["B", "NK", "T"]
GENES = [f"G{i:02d}" for i in range(60)]


class Spy(Source):
    """Vectors of genes that tell types (`signal`) or nothing, and what it was shown of the cells."""

    label = spec = "spy"

    def __init__(self, *, lacking=()):
        self.seen, self.lacking = [], set(lacking)

    def genes(self, names):
        rng = np.random.default_rng(0)
        vectors = rng.normal(scale=0.3, size=(len(GENES), 4)).astype(np.float32)
        vectors[np.arange(60), np.arange(60) % 3] += 3
        table = dict(zip(GENES, vectors, strict=True))
        return np.array([np.full(4, np.nan) if name in self.lacking else table[name] for name in names], np.float32)

    def cells(self, adata):
        self.seen.append(adata)
        return CellVectors(np.asarray(adata.X @ self.genes(list(adata.var_names)), np.float32))


class OfGenes(Source):
    """The genes' vectors of `Spy`, of which cells are means."""

    label = spec = "of genes"

    def __init__(self, **options):
        self.spy = Spy(**options)

    def genes(self, names):
        return self.spy.genes(names)


class Eraser(OfGenes):
    """Writes into the cells that it is shown."""

    def cells(self, adata):
        vectors = super().cells(adata)
        adata.X = adata.X * 0
        return vectors


def cells(n=150, *, labels=True, seed=0):
    """Cells whose type shows in every third gene, in two batches; six proteins of their genes."""
    rng = np.random.default_rng(seed)
    kind, second = np.arange(n) % 3, np.arange(n) // 3 % 2
    x = rng.gamma(1.0, 0.5, size=(n, 60))
    x[np.arange(60) % 3 == kind[:, None]] += 1
    x[:, :10] += 0.7 * second[:, None]
    names = rng.permutation([f"cell{i:03d}" for i in range(n)])
    obs = pd.DataFrame({"batch": pd.Categorical(np.array(["u", "v"])[second])}, index=names)
    if labels:
        obs["cell_type"] = pd.Categorical(np.array(TYPES)[kind])
    adata = anndata.AnnData(sp.csr_matrix(x.astype(np.float32)), obs=obs, var=pd.DataFrame(index=GENES))
    protein = rng.normal(scale=0.4, size=(n, 6)) + 2.0 * (np.arange(6) % 3 == kind[:, None]) - 1
    adata.obsm["protein"] = pd.DataFrame(protein, index=names, columns=GENES[:6])
    adata.obsm["X_pca"] = np.eye(3)[kind]
    adata.uns["removed"] = {"genes": 2}
    return adata


def means(scores, metric=None):
    return {(s.method, s.metric) if metric is None else s.method: s.mean for s in scores if metric in (None, s.metric)}


@pytest.fixture(scope="module")
def batches():
    return BatchIntegration(cells())


@pytest.fixture(scope="module")
def evaluated(batches):
    return batches.evaluate(batches.embed(Spy()))


def test_an_embedding_sees_no_label():
    spy, adata = Spy(), cells()
    made = BatchIntegration(adata)
    made.embed(spy)
    (seen,) = spy.seen
    assert list(seen.obs) == ["batch"]
    assert not seen.uns
    assert not seen.obsm
    assert not len(seen.var.columns)
    assert list(seen.obs_names) == list(made.entities) == sorted(adata.obs_names)
    np.testing.assert_array_equal(seen.X.toarray(), adata[seen.obs_names].X.toarray())
    assert "cell_type" in adata.obs
    assert made.removed == {"genes": 2}


def test_totals_are_the_weighted_means_of_their_metrics(evaluated):
    value = means(evaluated.scores)
    bio = ["label silhouette", "NMI", "ARI", "cLISI"]
    mixed = ["BRAS", "iLISI", "kBET", "PCR comparison", "graph connectivity"]
    assert [score.metric for score in evaluated.scores] == ["total", "bio", "batch", *bio, *mixed]
    of = {metric: value["scIB", metric] for metric in ("total", "bio", "batch", *bio, *mixed)}
    assert of["bio"] == pytest.approx(np.mean([of[metric] for metric in bio]))
    assert of["batch"] == pytest.approx(np.mean([of[metric] for metric in mixed]))
    assert of["total"] == pytest.approx(0.6 * of["bio"] + 0.4 * of["batch"])


def test_one_point_is_last_and_knowing_nothing_is_below_knowing(evaluated):
    total = means(evaluated.baselines, "total")
    assert list(total) == [
        "PCA, not integrated",
        "PCA, scaled batch by batch",
        "PCA, cells shuffled",
        "random genes",
        "one point",
    ]
    assert total["one point"] == 0 < 0.2 < min(value for name, value in total.items() if name != "one point")
    assert means(evaluated.scores, "total")["scIB"] > total["PCA, cells shuffled"] + 0.2
    bio = means(evaluated.baselines, "bio")
    assert bio["PCA, not integrated"] > bio["PCA, cells shuffled"] + 0.2


def test_equal_vectors_count_nothing_and_are_told(batches):
    found = batches.evaluate(np.full((150, 3), 7.1, np.float32))
    assert {score.mean for score in found.scores} == {0.0}
    assert "All cells are at one point: every metric of scIB counts 0." in found.notes


def test_notes_name_packages_and_what_was_not_scored(evaluated):
    first, second = evaluated.notes
    assert first.startswith("Metrics: label silhouette, NMI")
    assert "scib 1." in first
    assert "scib-metrics 0." in first
    assert second == "Every label is in every batch: there are no isolated labels to score."


def test_cells_without_labels_have_batch_scores_only():
    problem = BatchIntegration(cells(labels=False))
    found = problem.evaluate(problem.embed(Spy()))
    assert [score.metric for score in found.scores] == ["batch", "BRAS", "iLISI", "kBET", "PCR comparison"]
    assert found.counts == {"cells": 150, "batch u": 75, "batch v": 75}
    assert found.notes[1].startswith("No labels")


def test_cells_of_unknown_type_are_left_out_of_labels_and_counted():
    adata = cells()
    adata.obs.loc[adata.obs_names[:12], "cell_type"] = np.nan
    for problem in (BatchIntegration(adata), JointModalities(adata)):
        assert problem.removed == {"genes": 2, "cells of unknown type": 12}
        assert len(problem.entities) == 138
    matching = ModalityMatching(adata)
    found = matching.evaluate(matching.embed(Spy()))
    assert len(found.items) == 150
    assert found.counts["cells of unknown type, only matched"] == 12
    assert sum(found.counts[f"label {name}"] for name in TYPES) == 138


@pytest.mark.parametrize("kind", [BatchIntegration, JointModalities, ModalityMatching])
def test_cells_without_a_vector_take_no_part(kind):
    """The rest scores as it would by itself; here it has a label that is in one batch only."""
    adata = cells()
    whole = kind(adata)
    vectors = whole.embed(Spy()).matrix
    obs = adata.obs.loc[whole.entities]
    gone = ((obs["cell_type"] == "NK") & (obs["batch"] == "v")).to_numpy()
    lacking = vectors.copy()
    lacking[gone] = np.nan
    found = whole.evaluate(lacking)
    names = np.array(whole.entities)[~gone]
    assert list(found.items) == list(names)
    assert (found.counts["cells"], found.counts["label NK"], found.counts["label B"]) == (125, 25, 50)
    if kind is BatchIntegration:
        alone = kind(adata[names]).evaluate(vectors[~gone])
        assert means(found.scores) == means(alone.scores)
        # What is usual for a gene is another in fewer cells, so that random vectors give other cells.
        same, fewer = ({k: v for k, v in means(e.baselines).items() if "random" not in k[0]} for e in (found, alone))
        assert same == fewer
        assert "isolated labels" in [score.metric for score in found.scores]
        assert found.notes[1:] == ["Too few cells or batches for kBET: NK."]
    lacking = vectors.copy()
    lacking[89:] = np.nan
    with pytest.raises(InputError, match="Only 89 of 150 cells have a vector; 90 are needed"):
        whole.evaluate(lacking)


@pytest.mark.parametrize("kind", [BatchIntegration, JointModalities, ModalityMatching])
def test_a_source_cannot_change_the_cells(kind):
    problem = kind(cells())
    first, second = problem.embed(Eraser()), problem.embed(Eraser())
    np.testing.assert_array_equal(first.matrix, second.matrix)
    assert problem.cells.X.sum() > 0


def test_cells_of_unknown_batch_are_left_out_and_counted():
    adata = cells()
    names = np.sort(adata.obs_names)
    adata.obs.loc[names[:12], "batch"] = np.nan
    adata.obs.loc[names[10:14], "cell_type"] = np.nan
    problem = BatchIntegration(adata)
    assert problem.removed == {"genes": 2, "cells of unknown type": 4, "cells of unknown batch": 10}
    assert list(problem.entities) == list(names[14:])
    counts = problem.evaluate(problem.embed(Spy())).counts
    assert [name for name in counts if name.startswith("batch")] == ["batch u", "batch v"]
    assert len(JointModalities(adata).entities) == 146  # their scores know no batch


@pytest.mark.parametrize("kind", [BatchIntegration, JointModalities, ModalityMatching])
def test_names_that_repeat(kind):
    adata = cells()
    adata.obs_names = ["same", "same", *adata.obs_names[2:]]
    with pytest.raises(InputError, match=r"Names of cells repeat, e\.g\. 'same'"):
        kind(adata)
    adata = cells()
    adata.var_names = [*GENES[:-2], "G", "G"]
    with pytest.raises(InputError, match=r"Names of genes repeat, e\.g\. 'G'"):
        kind(adata)


@pytest.mark.parametrize(("n_batches", "lacking"), [(2, "kBET"), (1, "BRAS and kBET")])
def test_metrics_that_no_label_can_have_are_left_out_and_told(n_batches, lacking):
    """Fifteen labels of ten cells are too few for kBET, and labels of one batch each have neither."""
    adata = cells()
    label = np.arange(150) % 15 if n_batches == 2 else np.arange(150) // 3 % 2
    adata.obs["cell_type"] = pd.Categorical([f"type {i}" for i in label])
    problem = BatchIntegration(adata)
    found = problem.evaluate(problem.embed(Spy()))
    value = {score.metric: score.mean for score in found.scores}
    assert not {*lacking.split(" and ")} & set(value)
    assert np.isfinite([score.mean for score in [*found.scores, *found.baselines]]).all()
    mixed = [metric for metric in ("BRAS", "iLISI", "PCR comparison", "graph connectivity") if metric in value]
    assert value["batch"] == pytest.approx(np.mean([value[metric] for metric in mixed]))
    assert value["total"] == pytest.approx(0.6 * value["bio"] + 0.4 * value["batch"])
    assert f"No label has enough cells and batches to score {lacking}." in found.notes
    assert not [note for note in found.notes if note.startswith("Too few cells")]
    assert {score.metric for score in found.baselines} == set(value)


@pytest.mark.parametrize("kind", [BatchIntegration, JointModalities, ModalityMatching])
def test_genes_without_a_vector_are_counted_and_random_vectors_of_the_others_stand_beside(kind):
    problem = kind(cells())
    lacking = GENES[20:50]
    vectors = problem.embed(OfGenes(lacking=lacking))
    random_of_same = problem.random(genes=~np.isin(GENES, lacking))
    found = problem.evaluate(vectors)
    assert "30 of 60 genes have a vector." in found.notes
    beside = {
        s.method.partition(",")[0]: s.mean for s in reversed(found.baselines) if s.metric == found.scores[0].metric
    }
    by_hand = problem.evaluate(random_of_same)
    assert beside["random vectors of the same genes"] == by_hand.scores[0].mean != beside["random genes"]
    assert not [note for note in by_hand.notes if "genes have" in note]  # of an array nobody knows
    again = problem.evaluate(vectors)
    assert (means(again.baselines), again.notes) == (means(found.baselines), found.notes)
    assert means(by_hand.baselines).keys() == {key for key in means(found.baselines) if "same genes" not in key[0]}


def test_an_embedding_with_all_genes_or_of_cells_needs_no_other_random_vectors():
    problem = BatchIntegration(cells())
    for source, said in ((OfGenes(), True), (Spy(lacking=GENES[:30]), False)):
        vectors = problem.embed(source)
        found = problem.evaluate(vectors._replace(matrix=np.nan_to_num(vectors.matrix)))
        assert ("60 of 60 genes have a vector." in found.notes) == said
        assert not [score for score in found.baselines if "same genes" in score.method]


def test_scaling_batch_by_batch_is_shown_for_itself():
    """Batches that differ in every gene by an offset alone: principal components of the scaled cells mix them."""
    adata = cells()
    shifted = adata.X.toarray() + 3.0 * (adata.obs["batch"] == "v").to_numpy()[:, None]
    adata.X = sp.csr_matrix(shifted.astype(np.float32))
    problem = BatchIntegration(adata)
    scaled = problem._scaled_in(problem.adata.obs["batch"].to_numpy(str), np.arange(150))
    for batch in "uv":
        values = scaled.X[problem.adata.obs["batch"] == batch]
        np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(values.std(axis=0), 1, atol=1e-5)
    mixed = means(problem.evaluate(problem.embed(Spy())).baselines, "batch")
    assert mixed["PCA, scaled batch by batch"] > mixed["PCA, not integrated"] + 0.2


def test_cells_of_one_batch_are_refused():
    problem = BatchIntegration(cells())
    vectors = problem.embed(Spy())
    adata = cells(300)
    one = BatchIntegration(adata[adata.obs["batch"] == "u"])
    with pytest.raises(InputError, match="The 150 cells with a vector are of one batch"):
        one.evaluate(vectors)
    adata.obs["cell_type"] = "T"
    with pytest.raises(InputError, match="The 300 cells with a vector are of one type"):
        BatchIntegration(adata).evaluate(BatchIntegration(adata).embed(Spy()))


@pytest.mark.parametrize("kind", [BatchIntegration, JointModalities, ModalityMatching])
def test_equal_input_gives_equal_results_whatever_the_order_of_the_cells(kind):
    adata = cells()
    first, second = kind(adata), kind(adata[np.random.default_rng(1).permutation(150)])
    results = [problem.evaluate(problem.embed(Spy()), n_jobs=n) for problem, n in ((first, 1), (second, 2))]
    for a, b in zip(*(result.scores + result.baselines for result in results), strict=True):
        assert (a.method, a.metric, a.mean) == (b.method, b.metric, b.mean)
        np.testing.assert_array_equal(a.draws, b.draws)


def test_a_joint_embedding_is_scored_beside_its_parts():
    problem = JointModalities(cells())
    found = problem.evaluate(problem.embed(Spy()))
    bio = means(found.scores, "bio")
    assert list(bio) == ["side by side", "average", "RNA alone", "protein alone"]
    assert (found.scores[0].method, found.scores[0].metric) == ("side by side", "bio")
    assert min(bio.values()) > 0.6
    of_baselines = means(found.baselines, "bio")
    assert list(of_baselines) == ["PCA of RNA and proteins", "random genes", "one point"]
    assert of_baselines["one point"] == 0
    assert "isolated" not in found.notes[0]


def test_modalities_weigh_the_same_in_a_joint_embedding():
    """A modality of large numbers does not drown the other one, and a common offset changes nothing."""
    problem = JointModalities(cells())
    vectors = problem.embed(Spy()).matrix.astype(float)
    other = vectors * np.repeat([1e3, 1e-3], 4) + np.repeat([5e3, 1], 4)
    a, b = (means(problem.evaluate(x).scores) for x in (vectors, other))
    assert a == pytest.approx(b, abs=1e-4)


@pytest.mark.parametrize("kind", [JointModalities, ModalityMatching])
def test_an_embedding_without_genes_or_a_protein_is_not_applicable(kind):
    class OfCells(Spy):
        def genes(self, names):
            return Source.genes(self, names)

    problem = kind(cells())
    with pytest.raises(NotApplicableError, match="`spy` has no embedding of genes"):
        problem.embed(OfCells())
    with pytest.raises(NotApplicableError, match="`spy` has no vector of G01, G04, so that a protein"):
        problem.embed(Spy(lacking=["G01", "G04", "G30"]))


def by_hand(distances):
    """FOSCTTM of both directions, cell by cell."""
    n = len(distances)
    total = 0.0
    for matrix in (distances, distances.T):
        for i in range(n):
            for j in range(n):
                if j != i:
                    total += 1.0 if matrix[i, j] < matrix[i, i] else 0.5 if matrix[i, j] == matrix[i, i] else 0.0
    return total / (2 * n * (n - 1))


@given(st.integers(2, 12), st.integers(1, 6), st.integers(0, 10_000))
@settings(max_examples=60)
def test_foscttm_by_hand(n, n_values, seed):
    """Few different values, so that ties are frequent; a weighting equals a sample so drawn."""
    rng = np.random.default_rng(seed)
    distances = rng.integers(0, n_values, (n, n)).astype(float)
    closer = (closer_cells(distances) + closer_cells(distances.T)) / 2
    assert _foscttm(closer, np.ones((1, n)))[0] == pytest.approx(by_hand(distances))
    drawn = rng.multinomial(n, np.full(n, 1 / n))
    rows = np.repeat(np.arange(n), drawn)
    pairs = [(i, j) for i in rows for j in rows if i != j]
    if pairs:
        expected = np.mean([closer[i, j] for i, j in pairs])
        assert _foscttm(closer, drawn[None].astype(float))[0] == pytest.approx(expected)


@pytest.fixture(scope="module")
def matching():
    return ModalityMatching(cells())


def test_perfect_wrong_and_equal_matches(matching):
    x = np.random.default_rng(0).normal(size=(150, 5)).astype(np.float32)
    first = {}
    for name, other in {"same": x, "opposite": -x, "none": np.ones_like(x)}.items():
        found = matching.evaluate(np.hstack([x, other]))
        assert found.scores[0].metric == "1 - FOSCTTM"
        first[name] = found.scores[0].mean
    assert first["same"] == 1
    assert first["opposite"] == 0
    assert first["none"] == 0.5


def test_matching_takes_cosines_of_centred_vectors(matching):
    vectors = matching.embed(Spy()).matrix
    found = matching.evaluate(vectors)
    rna, protein = (part - part.mean(axis=0) for part in np.split(vectors.astype(float), 2, axis=1))
    assert 1 - found.scores[0].mean == pytest.approx(by_hand(cosine_distances(rna, protein)), abs=1e-6)
    assert found.scores[0].mean > 0.7
    low, high = found.scores[0].describe()["interval_items"]
    assert low < found.scores[0].mean < high
    assert found.items == matching.entities


def test_labels_are_carried_over_from_other_cells_only(matching):
    """By hand, with vectors in which a cell is nearest to itself and its type shows faintly."""
    rng = np.random.default_rng(0)
    truth = matching.adata.obs["cell_type"].to_numpy(str)
    x = rng.normal(size=(150, 10)) + 0.7 * (truth[:, None] == np.array([*TYPES, *"1234567"]))
    rna, protein = x, x + rng.normal(scale=0.3, size=x.shape)
    value = means(matching.evaluate(np.hstack([rna, protein]).astype(np.float32)).scores)
    rna, protein = (part - part.mean(axis=0) for part in (rna, protein))
    accuracies = []
    for direction, query, reference in (("RNA to protein", protein, rna), ("protein to RNA", rna, protein)):
        distances = cosine_distances(query, reference)
        guess = []
        for i in range(150):
            near = [j for j in np.argsort(distances[i]) if j != i][:15]
            names, n = np.unique(truth[near], return_counts=True)
            guess.append(names[n.argmax()])
        method = f"vectors of genes, {direction}"
        accuracies.append(accuracy_score(truth, guess))
        assert value[method, "accuracy"] == pytest.approx(accuracies[-1])
        assert value[method, "macro F1"] == pytest.approx(f1_score(truth, guess, average="macro"))
    assert accuracies[0] != accuracies[1]
    assert 0.3 < min(accuracies) < max(accuracies) < 0.9


def test_baselines_of_matching(matching):
    found = means(matching.evaluate(matching.embed(Spy())).baselines)
    assert found["one point", "1 - FOSCTTM"] == 0.5
    assert found["own genes of the proteins", "1 - FOSCTTM"] > 0.6
    assert found["most frequent label", "accuracy"] == pytest.approx(1 / 3)
    assert 0.4 < found["random genes", "1 - FOSCTTM"] < 0.9
