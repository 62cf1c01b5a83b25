"""TF-IDF of what the tables say of genes and drugs."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from bftembed import datasets
from bftembed.errors import InputError
from bftembed.likeness import drug_words, gene_words, text_words


def test_words_of_genes_are_those_of_scikit_learn(mirror):
    names = ["GATA1", "no such gene", "RPL5", "KLF1"]
    found = gene_words(names)
    facts = datasets.gene_facts().frame.set_index("symbol")
    columns = ["full_name", "summary", "biological_process", "cellular_component", "molecular_function"]
    facts = facts[(facts[columns[1:]] != "").any(axis=1)]
    texts = facts[columns].agg(" ".join, axis=1).str.replace("|", " ")
    expected = TfidfVectorizer(stop_words="english", sublinear_tf=True, min_df=2).fit(texts)
    known = expected.transform(texts.loc[["GATA1", "RPL5", "KLF1"]])
    np.testing.assert_allclose(found[[0, 2, 3]].toarray(), known.toarray(), atol=1e-6)
    assert found[1].nnz == 0
    alike = (found @ found.T).toarray()
    assert alike[0, 3] > alike[0, 2]


def test_other_facts_give_other_words(mirror):
    with_names, without = gene_words(["GATA1"]), gene_words(["GATA1"], columns=["summary"])
    assert without.nnz < with_names.nnz
    assert without.nnz


def test_drugs_are_found_in_any_case(mirror):
    found = drug_words(["Vorinostat", "panobinostat", "aspirin", "no such drug"])
    alike = (found @ found.T).toarray()
    assert alike[0, 1] > 3 * alike[0, 2]
    assert found.getnnz(axis=1)[3] == 0


def test_missing_tables_are_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr(datasets, "gene_facts", lambda: None)
    monkeypatch.setattr(datasets, "drug_facts", lambda: None)
    with pytest.raises(InputError, match="bftembed data fetch genes"):
        gene_words(["GATA1"])
    with pytest.raises(InputError, match="bftembed data fetch broad_repurposing"):
        drug_words(["aspirin"])


def test_words_of_texts_are_those_of_scikit_learn_and_may_be_none():
    texts = ["binds the DNA of chromatin", "binds RNA", "chromatin opens", ""]
    expected = TfidfVectorizer(stop_words="english", sublinear_tf=True, min_df=2).fit_transform(texts)
    np.testing.assert_allclose(text_words(texts).toarray(), expected.toarray(), atol=1e-6)
    for none in ([], [""], ["one text alone"], ["nothing", "shared"], ["the", "the"]):
        assert text_words(none).shape[0] == len(none)
        assert text_words(none).nnz == 0
