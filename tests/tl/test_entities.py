import numpy as np
import pytest

from bftembed.encoders import get_encoder
from bftembed.engines import AnnotationEngine
from bftembed.errors import BftembedError, BftembedWarning, InputError
from bftembed.profiles import Entity, ProfileStore, write_profiles
from bftembed.tl._entities import TextSource, embed_entities

TEXTS = {"TP53": "Guards the genome.", "CD3E": "Part of the T cell receptor.", "ALB": "Carries molecules in blood."}


def genes(*names):
    return [Entity("gene", name, {"full_name": f"the gene {name}"}) for name in names]


def test_vectors_are_the_encoders_and_missing_texts_are_nan_rows():
    with pytest.warns(BftembedWarning, match="1 of 3 names have no text"):
        result = embed_entities(genes("CD3E", "XYZ", "TP53"), TextSource(profiles=TEXTS))
    expected = get_encoder().encode([TEXTS["CD3E"], TEXTS["TP53"]])[0]
    np.testing.assert_allclose(result.vectors[[0, 2]], expected, atol=1e-6)
    assert np.isnan(result.vectors[1]).all()
    assert result.vectors.dtype == np.float32
    assert result.texts == [TEXTS["CD3E"], None, TEXTS["TP53"]]
    assert result.info["counts"] == {"given": 3, "missing": 1}
    assert result.info["encoder"]["dim"] == 384


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["TP53", "ALB", "XYZ"], "1 of 3 names .* no vector: XYZ; 1 given text is of none of these names: CD3E."),
        (["TP53", "XYZ"], "1 of 2 names have no text in `profiles`, and no vector: XYZ."),
        (["TP53", "CD3E"], None),
        (["TP53", "ALB", "CD3E"], None),
    ],
)
def test_names_without_a_text_and_texts_without_a_name_are_told(names, told):
    source = TextSource(profiles=TEXTS, encoder="none")
    if told is None:  # a bundle of all genes is used for a few
        embed_entities(genes(*names), source)
        return
    with pytest.warns(BftembedWarning, match=f"^{told}$"):
        embed_entities(genes(*names), source)


def test_texts_from_an_export_a_store_and_a_frame_are_the_same(tmp_path):
    with ProfileStore(tmp_path / "s.sqlite") as store:
        source = TextSource(engine="annotation", store=store)
        written = embed_entities(genes("TP53", "CD3E"), source)
        store.export(tmp_path / "p.parquet")
        frame = store.frame()
    assert written.info["engine"] == {"engine": "annotation"}
    for profiles in (tmp_path / "p.parquet", str(tmp_path / "s.sqlite"), frame):
        again = embed_entities(genes("TP53", "CD3E"), TextSource(profiles=profiles))
        assert again.texts == written.texts
        np.testing.assert_array_equal(again.vectors, written.vectors)


def test_of_texts_by_several_recipes_one_is_chosen(tmp_path):
    with ProfileStore(tmp_path / "s.sqlite") as store:
        for template in ("annotation", "gene"):
            written = write_profiles(genes("TP53"), AnnotationEngine(), store=store, template=template)
    with pytest.raises(InputError, match=r"texts of several recipes\. Choose one:\nrecipe="):
        embed_entities(genes("TP53"), TextSource(profiles=tmp_path / "s.sqlite"))
    source = TextSource(profiles=tmp_path / "s.sqlite", recipe=written.recipe.digest[:6])
    assert embed_entities(genes("TP53"), source).texts == written.texts
    with pytest.raises(InputError, match="pass `profiles` too"):
        TextSource(recipe="1a")


def test_nothing_usable_says_why(tmp_path):
    with pytest.raises(InputError, match="nothing to embed"):
        embed_entities([], TextSource(profiles=TEXTS))
    with pytest.raises(InputError, match=r"None of 1 names .*`XYZ`.*; 3 given texts are of none of these names: TP53"):
        embed_entities(genes("XYZ"), TextSource(profiles=TEXTS))
    with pytest.raises(BftembedError, match=r"Not one of 1 profiles.*empty text"):
        embed_entities([Entity("gene", "A")], TextSource(engine="annotation", store=tmp_path / "s.sqlite"))
    with pytest.raises(InputError, match="no file"):
        embed_entities(genes("A"), TextSource(profiles=tmp_path / "none.sqlite"))
    with pytest.raises(InputError, match="not both"):
        TextSource(engine="annotation", profiles=TEXTS)


def test_some_failures_are_named_in_the_log(tmp_path, caplog):
    entities = [*genes("TP53"), Entity("gene", "BARE")]
    result = embed_entities(entities, TextSource(engine="annotation", store=tmp_path / "s.sqlite"))
    assert np.isfinite(result.vectors).all(axis=1).tolist() == [True, False]
    assert "1 of 2 names have no annotation" in caplog.text
    assert "BARE" in caplog.text


def test_long_texts_are_split_and_counted(tmp_path):
    long = " ".join(f"Sentence number {i} says something about the gene." for i in range(60))
    result = embed_entities(genes("LONG", "TP53"), TextSource(profiles={**TEXTS, "LONG": long}))
    assert result.info["encoder"]["n_split"] == 1
