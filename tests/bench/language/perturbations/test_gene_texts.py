"""Texts of genes under the names that were asked for."""

from bftembed.bench import gene_documents, gene_summaries


def test_texts_are_by_the_given_name_and_lacking_ones_are_left_out(mirror):
    names = ["GATA1", "no gene", "MRE11A", "AHSA1"]  # an old symbol, and a gene with GO terms alone
    summaries, documents = gene_summaries(names), gene_documents(names)
    assert set(summaries) == {"GATA1", "MRE11A"}
    assert set(documents) == {"GATA1", "MRE11A", "AHSA1"}
    assert summaries["GATA1"] in documents["GATA1"]
    assert "|" not in documents["GATA1"]
    assert "erythro" in summaries["GATA1"]
