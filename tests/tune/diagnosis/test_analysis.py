import json

import numpy as np
import pandas as pd
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from bftembed.errors import BftembedWarning, InputError
from bftembed.tune.diagnosis.analysis import DiagnosisSettings, analyse, diagnose, draw_pieces, read_tracks
from bftembed.tune.diagnosis.confidences import TokenTrack, confidences
from bftembed.tune.diagnosis.lexicon import pattern_lexicon
from bftembed.tune.diagnosis.result import _counts

LEXICONS = [pattern_lexicon("genes", "GENE", ignore_case=False), pattern_lexicon("absent", "nowhere")]
SETTINGS = DiagnosisSettings(skip=0, grid_low=(0.1, 0.2), grid_density=(0.2, 0.5), grid_run=(3, 6), resamples=400)
ANCHOR = "share of group B, biomedical less general"


def make_track(document, words, confidence):
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    spans = np.stack([ends - [len(word) for word in words], ends], axis=1).astype(np.int32)
    ids = np.arange(len(words), dtype=np.int32)
    return TokenTrack(document, 0, " ".join(words), ids, spans, np.asarray(confidence, dtype=np.float32))


def corpus(rng, *, n, dense, n_tokens=40):
    """Texts with twelve low tokens each: in a row, and then some of them genes, or scattered."""
    tracks = []
    for document in range(n):
        confidence = np.full(n_tokens, 0.9)
        words = np.full(n_tokens, "word", dtype=object)
        words[rng.choice(n_tokens, 2, replace=False)] = "GENE"
        if rng.random() < dense:
            start = rng.integers(0, n_tokens - 12)
            confidence[start : start + 12] = 0.01
            words[start : start + 12 : 3] = "GENE"
        else:
            confidence[::3][:12] = 0.01
        tracks.append(make_track(document, words.tolist(), confidence))
    return tracks


@pytest.fixture(scope="module")
def planted():
    rng = np.random.default_rng(8)
    tracks = {name: corpus(rng, n=60, dense=dense) for name, dense in (("bio", 0.7), ("med", 0.5), ("news", 0.2))}
    return analyse(tracks, biomedical=["bio", "med"], settings=SETTINGS, lexicons=LEXICONS, model={"model": "none"})


def test_the_planted_difference_is_found(planted):
    table = planted.table().set_index("corpus")
    windows = planted.windows
    for name in ("bio", "med", "news"):
        own = windows[windows["corpus"] == name]
        assert table.loc[name, "share_b"] == pytest.approx((own["group"] == "B").mean())
        assert table.loc[name, "share_a"] == pytest.approx((own["group"] == "A").mean())
        assert table.loc[name, "low_tokens"] == pytest.approx(0.3)
        row = table.loc[name]
        assert row["share_b_lower"] < row["share_b"] < row["share_b_upper"]
        # Sixty independent texts: the interval of a proportion, with the width that theory gives.
        width = 2 * 1.96 * np.sqrt(row["share_b"] * (1 - row["share_b"]) / 60)
        assert row["share_b_upper"] - row["share_b_lower"] == pytest.approx(width, rel=0.25)
    difference = table.loc["biomedical - general"]
    share = table["share_b"]
    assert difference["share_b"] == pytest.approx((share["bio"] + share["med"]) / 2 - share["news"])
    assert difference["share_b_lower"] > 0
    # Twelve of forty in random order hardly ever make a run of six.
    assert table["share_b_shuffled"].abs().max() < 0.2
    assert difference["excess_lower"] > 0


def test_the_words_of_the_runs_are_enriched(planted):
    rows = planted.enrichment_table().set_index(["lexicon", "corpus"])
    for name in ("bio", "med", "news", "pooled"):
        row = rows.loc[("genes", name)]
        assert row["ratio_lower"] > 1
        assert row["ratio_lower"] < row["ratio"] < row["ratio_upper"]
        assert row["note"] == ""
    bio = rows.loc[("genes", "bio")]
    assert bio["ratio"] == pytest.approx(bio["per_1000_b"] / bio["per_1000_a"])
    text_has = {track.document: track.text.count("GENE") for track in planted.tracks["bio"]}
    own = planted.windows[planted.windows["corpus"] == "bio"]
    for group in "AB":
        expected = own.loc[own["group"] == group, "document"].map(text_has).sum()
        assert bio[f"matches_{group.lower()}"] == expected
    absent = rows.loc["absent"]
    assert absent["ratio"].isna().all()
    assert set(absent["note"]) == {"no match in either group"}


def test_every_combination_of_the_grid_is_there(planted):
    shares = planted.shares
    cells = shares.groupby("corpus")[["low", "density", "run"]].value_counts()
    assert (cells == 1).all()
    assert set(cells.groupby("corpus").size()) == {2 * 2 * 2}
    # More tokens asked for in a row or a higher share of them: less of group B.
    wide = shares[shares["corpus"] == "news"].pivot_table(index=["low", "density"], columns="run", values="share_b")
    assert (wide[3] >= wide[6]).all()
    assert (planted.enrichment.groupby(["corpus", "lexicon"]).size() == 8).all()


def test_the_verdict_counts_intervals(planted):
    first, *_ = planted.verdict().splitlines()
    own = planted.shares[planted.shares["corpus"] == "biomedical - general"]
    above = (own["share_b_lower"] > 0).sum()
    below = (own["share_b_upper"] < 0).sum()
    assert first == f"{ANCHOR}: above 0 in {above}, below in {below}, undecided in {8 - above - below} of 8 settings"
    assert above > 0
    for text in ("biomedical - general", "no match in either group", ANCHOR):
        assert text in planted.report()
        assert text in planted._repr_html_() or text not in planted.verdict()


def test_an_interval_counts_where_the_whole_of_it_is_on_one_side():
    lower, upper = pd.Series([-2, -1, 0.5, np.nan, 0]), pd.Series([-1, 1, 2, np.nan, 1])
    assert _counts(lower, upper, 0) == "above 0 in 1, below in 1, undecided in 3 of 5 settings"


def test_corpora_are_resampled_independently():
    tracks = corpus(np.random.default_rng(1), n=40, dense=0.5)
    made = analyse({"bio": tracks, "news": tracks}, biomedical=["bio"], settings=SETTINGS, lexicons=LEXICONS)
    row = made.table().set_index("corpus").loc["biomedical - general"]
    assert row["share_b"] == 0
    # The same texts drawn together would differ by nothing.
    width = 2 * 1.96 * np.sqrt(2 * 0.25 / 40)
    assert row["share_b_upper"] - row["share_b_lower"] == pytest.approx(width, rel=0.25)


def test_json_holds_all_but_the_tracks(planted, tmp_path):
    planted.to_json(tmp_path / "d.json")
    content = json.loads((tmp_path / "d.json").read_text())
    assert set(content) == {"settings", "model", "corpora", "shares", "enrichment", "windows"}
    assert content["settings"]["window"] == 256
    assert content["model"] == {"model": "none"}
    for name in ("corpora", "shares", "enrichment", "windows"):
        again = pd.DataFrame(content[name])
        frame = getattr(planted, name)
        assert list(again.columns) == list(frame.columns)
        numbers = frame.select_dtypes("number").replace([np.inf, -np.inf], np.nan)
        np.testing.assert_allclose(again[numbers.columns].astype(float), numbers, rtol=1e-9, atol=1e-9)


def test_the_same_seed_gives_the_same_and_another_corpus_changes_no_row():
    rng = np.random.default_rng(1)
    tracks = {"bio": corpus(rng, n=20, dense=0.5), "news": corpus(rng, n=20, dense=0.3)}
    options = {"settings": SETTINGS, "lexicons": LEXICONS}
    both = analyse(tracks, biomedical=["bio"], **options)
    pd.testing.assert_frame_equal(both.shares, analyse(tracks, biomedical=["bio"], **options).shares)
    alone = analyse({"bio": tracks["bio"]}, biomedical=["bio"], **options)
    assert set(alone.shares["corpus"]) == {"bio"}
    pd.testing.assert_frame_equal(alone.shares, both.shares[both.shares["corpus"] == "bio"])
    assert ANCHOR not in alone.verdict()


def test_groups_without_windows_and_single_texts_have_no_interval():
    confident = [make_track(i, ["GENE"] * 40, np.full(40, 0.9)) for i in range(5)]
    dense = [make_track(0, ["GENE"] * 40, np.full(40, 0.01))]
    made = analyse({"sure": confident, "one": dense}, biomedical=["one"], settings=SETTINGS, lexicons=LEXICONS)
    table = made.table().set_index("corpus")
    assert table["share_b"].tolist() == [0, 1, 1]
    assert table[["share_b_lower", "share_b_upper"]].isna().all(axis=None)
    notes = made.enrichment_table().set_index(["lexicon", "corpus"])["note"]
    assert notes["genes"].to_dict() == dict.fromkeys(["sure", "one", "pooled"], "no window in group A")
    assert (made.windows.set_index("corpus")["group"] == ["", "", "", "", "", "B"]).all()
    assert made.enrichment["ratio"].isna().all()
    assert "undecided in 8 of 8" in made.verdict()


def test_corpora_of_unequal_length_are_compared_with_a_warning():
    rng = np.random.default_rng(1)
    tracks = {"short": corpus(rng, n=4, dense=0.5), "long": corpus(rng, n=4, dense=0.5, n_tokens=80)}
    with pytest.warns(BftembedWarning, match=r"40 tokens in `short` and 80 in `long`.* Pass a `length`.* e\.g\. 40\."):
        analyse(tracks, biomedical=[], settings=SETTINGS, lexicons=LEXICONS)


def test_bad_corpora_are_refused():
    short = [make_track(0, ["one"] * 5, np.full(5, 0.5))]
    with pytest.raises(InputError, match="No text of `s` has 16 tokens to predict: the longest has 5"):
        analyse({"s": short}, biomedical=[], settings=SETTINGS, lexicons=LEXICONS)
    with pytest.raises(InputError, match="no corpus to diagnose"):
        diagnose({}, biomedical=[])
    with pytest.raises(InputError, match="`med` is called biomedical but is not one of the corpora: s"):
        diagnose({"s": ["text"]}, biomedical=["med"])


def test_diagnose_reads_texts_with_a_model(tiny_model):
    texts = {
        "genes": [f"GENE{i} encodes a kinase that leads to growth of cells in culture." * 3 for i in range(4)],
        "news": [f"The committee met on day {i} to discuss the bridge over the river." * 3 for i in range(5)],
    }
    settings = DiagnosisSettings(length=30, limit=4, resamples=50)
    made = diagnose(texts, biomedical=["genes"], model=str(tiny_model), settings=settings, lexicons=LEXICONS)
    assert made.corpora["pieces"].tolist() == [4, 4]
    assert made.corpora["tokens"].tolist() == [120, 120]
    assert (made.windows["tokens"] == 30 - settings.skip).all()
    assert made.model["model"] == "tiny"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny_model), AutoTokenizer.from_pretrained(tiny_model)
    expected = confidences(model, tokenizer, texts["genes"], max_length=31)
    first = [track.confidence for track in expected if track.part == 0]
    for track, confidence in zip(made.tracks["genes"], first, strict=True):
        np.testing.assert_allclose(track.confidence, confidence, rtol=1e-4)
    with pytest.raises(InputError, match="No text of `one` has 30 tokens to predict: the longest has 0"):
        diagnose({"one": ["word"]}, biomedical=[], model=str(tiny_model), settings=settings, lexicons=LEXICONS)
    with pytest.raises(InputError, match="601 tokens cannot be read at once"):
        read_tracks(model, tokenizer, texts["news"], name="news", settings=DiagnosisSettings(length=600))


def test_segments_are_drawn_evenly_over_the_texts(tiny_model):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    texts = ["word " * n for n in (400, 50, 400, 50, 10)]

    def drawn(**options):
        settings = DiagnosisSettings(length=20, **options)
        return [(p.document, p.part) for p in draw_pieces(tokenizer, texts, 21, name="n", settings=settings)]

    every = drawn()
    assert {document for document, _ in every} == {0, 1, 2, 3}
    six = drawn(limit=6)
    assert {(0, 0), (1, 0), (2, 0), (3, 0)} < set(six)
    assert len(six) == 6
    assert all(part <= 1 for _, part in six)
    assert six == sorted(six)
    assert drawn(limit=6) == six
    assert len({tuple(drawn(limit=2, seed=seed)) for seed in range(8)}) > 1
    assert drawn(limit=1000) == every
