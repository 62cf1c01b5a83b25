import pandas as pd
import pytest

from bftembed.engines import AnnotationEngine, Sampling
from bftembed.errors import InputError
from bftembed.profiles import Entity, ProfileStore, read_profiles, read_texts, write_profiles

TEXTS = {"TP53": "Guards the genome.", "NA": "A virus gene."}
FRAMES = {
    "gene and text": pd.DataFrame({"gene": list(TEXTS), "text": list(TEXTS.values())}),
    "other case, more columns": pd.DataFrame({"n": [1, 2], "Symbol": list(TEXTS), "Text": list(TEXTS.values())}),
    "name and summary": pd.DataFrame({"name": list(TEXTS), "summary": list(TEXTS.values())}),
    "names in the index": pd.DataFrame({"text": list(TEXTS.values()), "score": [1.0, 2.0]}, index=list(TEXTS)),
    "one column and an index": pd.DataFrame({"anything": list(TEXTS.values())}, index=list(TEXTS)),
    "nullable strings": pd.DataFrame({"gene": list(TEXTS), "text": list(TEXTS.values())}, dtype="string"),
}


@pytest.mark.parametrize("form", FRAMES)
def test_frames(form):
    assert read_texts(FRAMES[form], kind="gene") == TEXTS


def test_mappings_and_series():
    assert read_texts(TEXTS, kind="gene") == TEXTS
    assert read_texts(pd.Series(TEXTS), kind="gene") == TEXTS


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz", ".parquet"])
def test_files_of_others(tmp_path, suffix):
    path, frame = tmp_path / f"texts{suffix}", FRAMES["gene and text"]
    frame.to_parquet(path) if suffix == ".parquet" else frame.to_csv(
        path, index=False, sep="\t" if "t" in suffix else ","
    )
    assert read_texts(path, kind="gene") == TEXTS


def test_texts_that_are_missing_or_empty_are_left_out_and_unwritable_characters_replaced():
    frame = pd.DataFrame({"gene": ["A", "B", "C", None, "E"], "text": ["a", None, "  ", "d", "half \ud83e"]})
    assert read_texts(frame, kind="gene") == {"A": "a", "E": "half \ufffd"}
    assert read_texts({"A": "a", "B": None, "C": float("nan")}, kind="gene") == {"A": "a"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame({"a": [1], "b": [2]}), r"no column `text`; its columns: a, b\. Texts are a mapping"),
        (pd.DataFrame({"text": ["t"], "b": [2]}), r"no column of names \(entity, name.*\); its columns: text, b"),
        (pd.DataFrame(), "its columns: none"),
        (["TP53"], r"Texts are a mapping.*; got list"),
        (3, "got int"),
    ],
)
def test_what_is_no_table_of_texts_says_what_is(table, message):
    with pytest.raises(InputError, match=message):
        read_texts(table, kind="gene")


def test_files_that_are_not_there_or_not_readable(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        read_texts(tmp_path / "no.csv", kind="gene")
    (tmp_path / "bad.csv").write_bytes(b"gene,text\n\xff\xfe,a\n")
    with pytest.raises(InputError, match=r"bad.csv` cannot be read"):
        read_texts(tmp_path / "bad.csv", kind="gene")


def test_two_texts_of_one_name_are_refused_and_the_same_twice_is_not():
    twice = pd.DataFrame({"gene": ["A", "A", "B", "B"], "text": ["one", "two", "b", "b"]})
    with pytest.raises(InputError, match=r"1 names have several texts, e\.g\. A"):
        read_texts(twice, kind="gene")
    assert read_texts(twice.iloc[2:], kind="gene") == {"B": "b"}


@pytest.fixture
def store(tmp_path, recorder):
    """Texts of TP53 by two recipes, of A by one, of a drug, and one that failed."""
    with ProfileStore(tmp_path / "s.sqlite") as opened:
        entities = [Entity("gene", "TP53"), Entity("gene", "A")]
        write_profiles(entities, recorder(), store=opened)
        short = recorder(lambda *_: "A short text.")
        write_profiles(entities[:1], short, store=opened, sampling=Sampling(max_new_tokens=9))
        write_profiles([Entity("drug", "X")], recorder(), store=opened)
        write_profiles([Entity("gene", "BAD")], AnnotationEngine(), store=opened)
        yield opened


def test_of_several_recipes_one_is_chosen_by_its_beginning(store, tmp_path):
    frame = store.frame(names=["TP53"])
    first, second = frame["recipe"]
    store.export(tmp_path / "p.csv")
    store.export(tmp_path / "p.parquet")
    for profiles in (store, store.path, store.frame(), tmp_path / "p.csv", tmp_path / "p.parquet"):
        with pytest.raises(InputError, match=r"1 names have texts of several recipes\. Choose one:") as caught:
            read_texts(profiles, kind="gene")
        assert f'recipe="{second[:8]}" (--recipe {second[:8]}): recorder none; template gene; at most 9' in str(
            caught.value
        )
        assert list(read_texts(profiles, kind="gene", recipe=first[:4])) == ["A", "TP53"]
        assert list(read_texts(profiles, kind="gene", recipe=second[:8].upper())) == ["TP53"]
        assert list(read_texts(profiles, kind="drug")) == ["X"]
    with pytest.raises(InputError, match=r"no recipe begins with `zz`\. Choose one:\nrecipe="):
        read_texts(store, kind="gene", recipe="zz")
    with pytest.raises(InputError, match="do not say how they were made"):
        read_texts(TEXTS, kind="gene", recipe="1a")


def test_of_one_recipe_with_other_facts_the_newest_is_taken(store, recorder):
    write_profiles([Entity("gene", "A", {"summary": "It acts."})], recorder(), store=store)
    texts = read_texts(store, kind="gene", recipe=store.frame(names=["A"])["recipe"][0])
    assert "It acts." in texts["A"]


def test_profiles_come_with_what_is_known_of_them_and_names_without_a_text_are_counted(store):
    found = read_profiles(store.frame(names=["A", "BAD"]), kind="gene")
    assert found["entity"].tolist() == ["A"]
    assert found["prompt"].str.contains("Describe the human gene").all()
    assert found.attrs["unusable"] == 1
    assert read_profiles({"A": "a", "B": None, "C": " "}, kind="gene").attrs["unusable"] == 2
