import pytest

from bftembed.engines import AnswerStore
from bftembed.errors import BftembedError, InputError
from bftembed.naming import TermSets, name_sets

T_CELL = ["CD3E", "CD3D", "CD3G", "LCK"]
SETS = {"secret": T_CELL, "other": ["BRCA1", "BRCA2", "RAD51"]}


@pytest.fixture
def name(terms, tmp_path):
    def named(sets=SETS, **options):
        return name_sets(sets, **{"terms": terms, "store": tmp_path / "a.sqlite", "progress": False} | options)

    return named


def test_a_row_for_each_set_with_enriched_terms_beside_the_name(name, staged):
    table, info = name(engine=staged())
    assert table.index.tolist() == list(SETS)
    row = table.loc["secret"]
    assert (row["name"], row["confidence"], row["agreement"]) == ("T cell activation", 0.8, "agrees")
    assert row["best_term"] == "T cell receptor signaling"
    assert row["terms"][0]["overlap"] == sorted(T_CELL)
    assert row["terms"][0]["q_value"] == row["q_value"] < 0.05
    assert (row["claims"], row["summary"], row["kept_at"]) == ([], "", "")
    # The name that suits the first set does not suit the second: seen at once.
    assert (table.loc["other", "agreement"], table.loc["other", "best_term"]) == ("differs", "DNA repair")
    assert info["counts"]["that differ from all enriched terms"] == 1
    assert info["sampling"]["max_new_tokens"] == 512


def test_claims_stand_with_verdict_and_evidence(name, staged):
    table, info = name(engine=staged(), checked=True)
    row = table.loc["secret"]
    assert (row["first_name"], row["name"]) == ("T cell activation", "T cell receptor signaling")
    assert [claim["verdict"] for claim in row["claims"]] == ["supported", "not checkable"]
    assert row["claims"][0]["evidence"].startswith("GO process")
    assert (info["counts"]["claims supported"], info["counts"]["claims not checkable"]) == (1, 3)


def test_without_a_model_the_best_term_is_the_name(name):
    table, info = name({**SETS, "mixed": ["CD3E", "BRCA1", "GENE7"]}, engine="annotation")
    assert table["name"].tolist() == ["T cell receptor signaling", "DNA repair", ""]
    assert table["confidence"].isna().all()
    assert table["agreement"].tolist() == ["agrees", "agrees", "no name"]
    assert info["engine"] == {"engine": "annotation"}
    with pytest.raises(InputError, match="checks what a language model says"):
        name(engine="annotation", checked=True)


def test_a_term_of_common_words_agrees_with_itself(name):
    terms = TermSets({"cellular response to cells (GO:1)": SETS["other"], "rest": [f"GENE{i}" for i in range(40)]})
    row = name({"a": SETS["other"]}, engine="annotation", terms=terms)[0].loc["a"]
    assert (row["name"], row["agreement"]) == ("cellular response to cells", "agrees")


def test_answers_are_kept_and_asked_for_once(name, staged, tmp_path):
    engine = staged()
    first, _ = name(engine=engine, checked=True)
    n = len(engine.asked)
    assert n == 6
    again, _ = name(engine=engine, checked=True)
    assert len(engine.asked) == n
    assert again.equals(first)
    with AnswerStore(tmp_path / "a.sqlite") as store:
        assert len(store) > n


class Killed(BaseException):
    """As Ctrl-C or a kill would end it."""


def test_a_run_that_was_ended_goes_on_where_it_stopped(name, staged):
    def end(request):
        raise Killed

    broken = staged()
    with pytest.raises(Killed):
        name(engine=described(broken, tools=end), checked=True)
    assert broken.stages == ["name", "claims", "tools"]
    engine = staged()
    name(engine=described(engine), checked=True)
    assert engine.stages == ["tools", "verdict", "revision", "summary"]


def described(engine, **answers):
    """The same engine by what it says of itself, with other answers."""
    engine.answers |= answers
    engine.describe = lambda: {"engine": "staged"}
    return engine


def test_a_model_that_fails_at_some_sets_leaves_the_others(name, staged):
    good = staged().answers["name"]
    table, info = name(
        engine=staged(name=lambda request: RuntimeError("too long") if "other" in request.id else good), checked=True
    )
    assert table.loc["secret", "name"] == "T cell receptor signaling"
    row = table.loc["other"]
    assert (row["name"], row["agreement"], row["best_term"]) == ("", "no name", "DNA repair")
    assert row["kept_at"] == "name: error: too long"
    assert info["counts"]["failed at name"] == 1


def test_a_model_that_fails_at_all_sets_is_an_error(name, staged):
    with pytest.raises(BftembedError, match=r"Not one of 2 gene sets could be named. Reasons: error: no window \(2\)"):
        name(engine=staged(name=RuntimeError("no window")))


def test_an_answer_without_a_name_is_a_row_without_one(name, staged):
    row = name(
        {"a": T_CELL}, engine=staged(name="I would have to think about this for a very long time before I say.")
    )[0].loc["a"]
    assert (row["name"], row["agreement"], row["kept_at"]) == ("", "no name", "name: no name")


def test_unrelated_is_told(name, staged):
    row = name({"a": T_CELL}, engine=staged(name="Process: System of unrelated proteins\nConfidence: 0"))[0].loc["a"]
    assert (row["unrelated"], row["confidence"], row["agreement"]) == (True, 0.0, "differs")


def test_unknown_genes_stay_in_the_prompt(name, staged, mirror):
    engine = staged()
    row = name({"a": ["TNFRSF6", "CD3E", "my {gene}"]}, engine=engine)[0].loc["a"]
    assert "CD3E, FAS, my {gene}" in engine.asked[0][0].user
    assert (row["genes"], row["unknown"]) == (["FAS", "CD3E", "my {gene}"], ["my {gene}"])


def test_a_gmt_with_blanks_for_tabs_is_refused_with_its_line(name, tmp_path):
    (tmp_path / "t.gmt").write_text("DNA_repair http://x BRCA1 BRCA2\n")
    with pytest.raises(BftembedError, match="Line 1 of"):
        name(engine="annotation", terms=tmp_path / "t.gmt")


def test_the_embedded_model_gives_a_name_of_its_own(name, model_dir):
    table, info = name({"a": T_CELL}, engine="default", sampling=None)
    assert info["engine"]["engine"] == "transformers"
    assert table.loc["a", "name"] or table.loc["a", "kept_at"]
