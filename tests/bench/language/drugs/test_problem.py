"""Questions on drugs, on files of the user: pairs with all their defects, and cells with planted effects."""

import json

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from bftembed.bench import Answer, Model, find_tasks, run
from bftembed.bench.language.drugs.problem import drug_reasoning
from bftembed.errors import DataError

CLASSES = {
    "HDAC": ["vorinostat", "panobinostat", "belinostat", "entinostat"],
    "EGFR": ["erlotinib", "gefitinib", "afatinib", "Lapatinib (ditosylate)"],
}
DRUGS = [drug for drugs in CLASSES.values() for drug in drugs]
HELD_OUT = ["vorinostat", "panobinostat", "erlotinib", "gefitinib"]
GENES = ["CDKN1A", "MYC", "DUSP6", "EGR1", "GAPDH", "ACTB", *(f"feature{i}" for i in range(200))]
#: Factors by which the drugs of a class change genes.
PLANTED = {"HDAC": {"CDKN1A": 5, "MYC": 0.2, "NA": 2}, "EGFR": {"DUSP6": 0.2, "EGR1": 0.2, "CDKN1A": 0.3}}


def pairs_of(lines=("",), held_out=HELD_OUT):
    """Every drug and gene: whether the class of the drug changes the gene."""
    rows = [
        (drug, gene, int(gene in PLANTED[kind]), "test" if drug in held_out or line in held_out else "train", line)
        for kind, drugs in CLASSES.items()
        for drug in drugs
        for gene in ("CDKN1A", "MYC", "DUSP6", "NA")
        for line in lines
    ]
    return pd.DataFrame(rows, columns=["pert", "gene", "label", "split", "cell"])


@pytest.fixture
def written(tmp_path):
    """Write pairs (a frame, or text), names, or JSON, and give the path."""

    def write(content, name="pairs.csv"):
        path = tmp_path / name
        if isinstance(content, pd.DataFrame):
            content.to_csv(path, index=False)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


@pytest.fixture(scope="module")
def h5ad(tmp_path_factory):
    """Counts of 20 cells of each drug and the control in two lines."""
    rng = np.random.default_rng(0)
    means, obs, counts = rng.gamma(9, 1, len(GENES)), [], []
    for line in ("C32", "HOP62"):
        for drug in ("DMSO_TF", *DRUGS):
            kind = next((kind for kind, drugs in CLASSES.items() if drug in drugs), "")
            factors = [PLANTED.get(kind, {}).get(gene, 1) for gene in GENES]
            counts.append(rng.poisson(means * factors, (20, len(GENES))))
            obs += [(drug, line)] * 20
    obs = pd.DataFrame(obs, columns=["drug", "cell_line"], index=[f"c{i}" for i in range(len(obs))])
    path = tmp_path_factory.mktemp("cells") / "cells.h5ad"
    AnnData(np.vstack(counts).astype(np.float32), obs=obs, var=pd.DataFrame(index=GENES)).write_h5ad(path)
    return path


def prompts(problem):
    return {q.request.id: q.request.user for q in problem.questions()}


def answers(problem):
    ids = [question.request.id for question in problem.questions()]
    return {id: Answer(id, logprobs=(-1.0, -2.0)) for id in ids}


def per_gene(problem, method="retrieval only"):
    rows = problem.evaluate(answers(problem)).baselines
    return next(row.mean for row in rows if (row.method, row.metric) == (method, "auroc per gene"))


def test_drugs_are_described_by_the_repurposing_table(mirror, written):
    problem = drug_reasoning("de", pairs=written(pairs_of(lines=["C32"])))
    asked = prompts(problem)["vorinostat|MYC|C32"]
    assert asked.startswith("Drug vorinostat: Mechanism of action: HDAC inhibitor; targets: HDAC1, ")
    assert "C32 cells are treated with vorinostat. Does the expression of the gene MYC change" in asked
    assert problem.wording.pert_texts["Lapatinib (ditosylate)"].startswith("Mechanism of action: EGFR inhibitor")
    assert problem.kept == {"held_out.txt": "erlotinib\ngefitinib\npanobinostat\nvorinostat\n"}
    assert per_gene(problem) == 1


def test_descriptions_and_similarities_of_the_user(mirror, written):
    texts = written({"vorinostat": "Acts on {histones} and {0}.", "entinostat": "Acts on histones."}, "texts.json")
    likeness = written({"vorinostat": ["afatinib"], "erlotinib": ["entinostat"]}, "similarity.json")
    genes = written({"MYC": "Stops {the} cell cycle."}, "genes.json")
    files = {"drug_descriptions": texts, "gene_descriptions": genes, "drug_similarity": likeness}
    problem = drug_reasoning("de", pairs=written(pairs_of()), preset="evidence", **files, gene_similarity=likeness)
    asked = prompts(problem)
    assert asked["vorinostat|MYC"].startswith(
        "Drug vorinostat: Acts on {histones} and {0}.\nRead-out gene MYC: Stops {the} cell cycle.\n\nMeasured:\n"
        "- treatment with afatinib: MYC did not change\n"
    )
    assert "- treatment with entinostat: DUSP6 did not change" in asked["erlotinib|DUSP6"].split("Measured:\n")[1]
    assert asked["erlotinib|DUSP6"].startswith("Read-out gene DUSP6: no summary is known.\n")  # no line on the drug
    counts = problem.evaluate(answers(problem)).counts
    assert counts["perturbations without text"] == 3
    assert counts["genes without text"] == 2


@pytest.mark.parametrize("preset", ["evidence", "evidence_as_released", "evidence_shuffled", "steps"])
def test_no_tested_drug_stands_in_evidence(mirror, written, preset):
    problem = drug_reasoning("de", pairs=written(pairs_of(lines=["C32", "HOP62"])), preset=preset)
    shown = [line for text in prompts(problem).values() for line in text.splitlines() if line.startswith("- ")]
    assert len(shown) > 100
    assert not [line for line in shown for drug in HELD_OUT if f"with {drug}" in line]


def test_a_held_out_cell_line_is_answered_from_the_others(mirror, written):
    pairs = pairs_of(lines=["C32", "HOP62", "PANC1"], held_out=["PANC1"])
    problem = drug_reasoning("de", pairs=written(pairs), preset="evidence")
    assert problem.kept == {"held_out.txt": "PANC1\n"}
    for name, text in prompts(problem).items():
        lines = [line for line in text.splitlines() if line.startswith("- ")]
        assert not any("PANC1" in line for line in lines)
        if name == "erlotinib|MYC|PANC1":
            assert lines[:2] == [
                f"- treatment with erlotinib in {c} cells: MYC did not change" for c in ("C32", "HOP62")
            ]
        if name.startswith("train:"):
            drug, _, line = name.removeprefix("train:").split("|")
            assert not any(f"with {drug}:" in each or f"with {drug} in {line}" in each for each in lines)
    assert per_gene(problem) == 1


def test_what_is_held_out_can_be_given_and_does_not_depend_on_the_order(mirror, written):
    pairs = pairs_of().drop(columns=["split", "cell"])
    problem = drug_reasoning("de", pairs=written(pairs), held_out=written("\n".join(HELD_OUT) + "\n\n", "list.txt"))
    assert sorted({item.id.split("|")[0] for item in problem.items}) == sorted(HELD_OUT)
    many = pd.concat([pairs.assign(pert=pairs["pert"] + f" {n}") for n in "abc"])
    kept = drug_reasoning("de", pairs=written(many)).kept
    assert len(kept["held_out.txt"].splitlines()) == round(0.2 * 24)
    assert drug_reasoning("de", pairs=written(many.sample(frac=1, random_state=1))).kept == kept
    again = drug_reasoning("de", pairs=written(many), held_out=written(kept["held_out.txt"], "again.txt"))
    assert again.kept == kept


def test_from_cells_to_results_and_again_from_what_was_kept(mirror, h5ad, written, ruled, tmp_path):
    tasks = find_tasks(names=["perturbation_reasoning.vcworld_de", "perturbation_reasoning.vcworld_dir"])
    knows = ruled(lambda text: 1 if "HDAC inhibitor" in text else -1)
    files = {"h5ad": h5ad, "held_out": written("\n".join(HELD_OUT), "list.txt")}
    de, up = run(tasks, [Model(knows, label="knows")], tmp_path / "run", files=files)
    assert (de.status, up.status) == ("ok", "ok"), de.reason
    baselines = {(row.method, row.metric): row.mean for row in de.baselines}
    assert baselines["retrieval only", "auroc per gene"] > 0.9
    assert {"given/h5ad", "given/held_out"} <= set(de.data)
    # EGFR inhibitors lower DUSP6, EGR1 and CDKN1A; HDAC inhibitors lower MYC and raise CDKN1A.
    assert up.counts["genes scored"] >= 2
    folder = tmp_path / "run/results" / de.task.name
    assert (folder / "held_out.txt").read_text().split() == sorted(HELD_OUT)
    pairs = pd.read_csv(folder / "pairs.csv", keep_default_na=False)
    labels = pairs.set_index(["pert", "gene", "cell"])["label"]
    for kind, factors in PLANTED.items():
        for gene in ("CDKN1A", "MYC", "DUSP6"):
            assert labels.get((CLASSES[kind][0], gene, "C32"), 0) == int(gene in factors), (kind, gene)
    (again,) = run(
        tasks[:1], [Model(knows, label="knows")], tmp_path / "again", files={"pairs_de": folder / "pairs.csv"}
    )
    assert again.scores == de.scores
    assert again.items_digest == de.items_digest
    direction = pd.read_csv(folder.with_name(up.task.name) / "pairs.csv").set_index(["pert", "gene", "cell"])["label"]
    assert direction["vorinostat", "CDKN1A", "C32"] == 1
    assert direction["erlotinib", "CDKN1A", "C32"] == 0


def test_files_are_asked_for(h5ad, written):
    with pytest.raises(DataError, match=r"give `--file pairs_dir=TABLE` or `--file h5ad=CELLS`, not both"):
        drug_reasoning("dir")
    with pytest.raises(DataError, match="not both"):
        drug_reasoning("de", pairs=written(pairs_of()), h5ad=h5ad)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.drop(columns="gene"), "no column gene"),
        (lambda p: p.drop(columns="label"), "no column label"),
        (
            lambda p: p.assign(label=p["label"].replace(1, 2)),
            r"row 1 \(vorinostat, CDKN1A, label 2\) has a label other",
        ),
        (lambda p: p.assign(label=""), "row 1 .* has a label other than 0 and 1"),
        (lambda p: p.assign(gene=["", *p["gene"][1:]]), "row 1 .* has no name in `gene`"),
        (lambda p: p.assign(pert=["", *p["pert"][1:]]), "row 1 .* has no name in `pert`"),
        (lambda p: p.assign(split="val"), "row 1 .* has a split other than"),
        (lambda p: p.assign(split="train"), "No gene has both answers in the test"),
        (lambda p: p.assign(split="test"), "No pair is of train"),
        (lambda p: pd.concat([p, p[:1]]), "row 1 .* is there twice|row 33 .* is there twice"),
        (lambda p: p.assign(split=["train", *p["split"][1:]]), "the split is broken"),
        (lambda p: p.replace("entinostat", "Vorinostat hydrate"), "one drug, Vorinostat hydrate and vorinostat, is in"),
        (lambda p: p.replace("entinostat", "DMSO_TF"), "rows of the control `DMSO_TF`"),
    ],
)
def test_broken_pairs(mirror, written, change, message):
    with pytest.raises(DataError, match=message):
        drug_reasoning("de", pairs=written(change(pairs_of())))
