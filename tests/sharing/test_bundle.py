"""Bundles written from stores, read back, and all that a maker can do wrong."""

import numpy as np
import pandas as pd
import pytest

import bftembed as bft
from bftembed.engines import Request
from bftembed.errors import EncoderError, InputError, StoreError
from bftembed.profiles import ProfileStore
from bftembed.profiles.recipe import Recipe, key_of
from bftembed.sharing import bundle_profiles


def test_texts_and_vectors_come_back_and_embed_without_any_model(store, letters, tmp_path, monkeypatch):
    made = bundle_profiles(store, tmp_path / "b", encoder=letters, licence="cc-by-4.0", name="Mine")
    assert made.profiles["entity"].tolist() == ["NA", "TP53"], "no text that failed, and NA is a gene"
    assert (made.index.name, made.index.kind, made.index.n, made.index.licence) == ("Mine", "gene", 2, "cc-by-4.0")
    again = bft.datasets.load_bundle(tmp_path / "b", sha256=made.sha256)
    np.testing.assert_array_equal(again.vectors, letters.encode(made.profiles["text"].tolist())[0])
    monkeypatch.setattr(type(letters), "_encode", lambda *_, **__: pytest.fail("encoded again"))
    genes = bft.embed(["TP53", "NA"], facts="none", profiles=again, encoder=again.encoder())
    np.testing.assert_array_equal(genes.X, again.vectors[::-1])
    assert genes.uns["bft"]["X_bft"]["entities"]["encoder"]["encoder"] == "letters"
    with pytest.raises(EncoderError, match="give the encoder"):
        again.encoder().encode(["T cell"], query=True)
    with ProfileStore(tmp_path / "other.sqlite") as other:
        assert other.load(tmp_path / "b" / "profiles.parquet") == 2, "it can be gone on with"


def test_no_place_of_the_maker_is_in_any_file(store, letters, tmp_path, secrets):
    bundle_profiles(store, tmp_path / "b", encoder=letters)
    for file in (tmp_path / "b").iterdir():
        held = file.read_bytes()
        if file.suffix == ".parquet":
            import pyarrow.parquet as pq

            held += repr((pq.read_table(file).to_pylist(), pq.read_schema(file).metadata)).encode()
        for secret in (*secrets, str(tmp_path), "mine7.sqlite"):
            assert secret.encode() not in held, f"{secret} in {file.name}"


def test_keys_follow_what_is_said_of_the_recipe(store, tmp_path):
    made = bundle_profiles(store, tmp_path / "b")
    recipe = Recipe.parse(made.profiles["info"].iloc[0])
    assert recipe.digest == made.index.recipe == made.profiles["recipe"].iloc[0]
    assert recipe.model == "tuned"
    for row in made.profiles.to_dict("records"):
        assert row["key"] == key_of(recipe.digest, Request("", row["prompt"], row["system"]))


def test_the_same_store_gives_the_same_files(store, tmp_path):
    first, second = (bundle_profiles(store, tmp_path / name, name="x") for name in "ab")
    assert first.sha256 == second.sha256
    assert (tmp_path / "a/README.md").read_bytes() == (tmp_path / "b/README.md").read_bytes()


def test_a_bundle_is_replaced_and_nothing_else(store, letters, tmp_path):
    target = tmp_path / "b"
    bundle_profiles(store, target, encoder=letters)
    bundle_profiles(store, target)
    assert not (target / "vectors.parquet").exists()
    (target / ".git").mkdir()
    with pytest.raises(InputError, match=r"other things than a bundle \(\.git\)"):
        bundle_profiles(store, target)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("my notes")
    with pytest.raises(InputError, match=r"no bundle\.json"):
        bundle_profiles(store, tmp_path / "mine")
    assert (tmp_path / "mine" / "README.md").read_text() == "my notes"
    with pytest.raises(InputError, match="is a file"):
        bundle_profiles(store, store)


def test_a_full_disk_is_told_and_leaves_the_former_bundle(store, tmp_path, small_files):
    target = tmp_path / "b"
    former = bundle_profiles(store, target)
    with small_files(2000), pytest.raises(StoreError, match=r"b` cannot be written .* Free space"):
        bundle_profiles(store, target, name="other")
    assert bft.datasets.load_bundle(target).sha256 == former.sha256
    assert {path.name for path in tmp_path.iterdir()} <= {
        "b",
        "mine7.sqlite",
        "cache",
        "mine7.sqlite-wal",
        "mine7.sqlite-shm",
    }


def test_what_is_not_clear_has_to_be_chosen(store, write, tmp_path):
    with pytest.raises(InputError, match="no texts of kind 'drug': 3 gene"):
        bundle_profiles(store, tmp_path / "b", kind="drug")
    write(store)
    with pytest.raises(InputError, match=r"choose one by `kind`"):
        bundle_profiles(store, tmp_path / "b")
    write(store, "gene", ["ALB"], max_new_tokens=8)
    with pytest.raises(InputError, match="several recipes: choose one") as error:
        bundle_profiles(store, tmp_path / "b", kind="gene")
    recipe = next(line[:8] for line in str(error.value).splitlines() if "at most 8" in line)
    assert bundle_profiles(store, tmp_path / "b", kind="gene", recipe=recipe).profiles["entity"].tolist() == ["ALB"]
    write(store, "gene_set", ["BAD"])
    with pytest.raises(InputError, match="no text of kind 'gene_set' that can be used"):
        bundle_profiles(store, tmp_path / "c", kind="gene_set")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("licence", ["CC BY", "", "mit\nname: x", "../x"])
def test_a_licence_that_is_no_identifier(store, tmp_path, licence):
    with pytest.raises(InputError, match="no identifier of a licence"):
        bundle_profiles(store, tmp_path / "b", licence=licence)


def test_an_empty_store_a_missing_one_and_one_of_no_vectors(no_tables, store, tmp_path):
    with ProfileStore(tmp_path / "empty.sqlite"):
        pass
    with pytest.raises(InputError, match="store is empty"):
        bundle_profiles(tmp_path / "empty.sqlite", tmp_path / "b")
    with pytest.raises(StoreError, match="no profile store"):
        bundle_profiles(tmp_path / "gone.sqlite", tmp_path / "b")
    with pytest.raises(InputError, match="makes no vectors"):
        bundle_profiles(store, tmp_path / "b", encoder="none")


def test_an_export_is_as_good_as_its_store(store, tmp_path):
    with ProfileStore(store, read_only=True) as opened:
        opened.export(tmp_path / "e.parquet")
    first, second = (bundle_profiles(each, tmp_path / "b", name="x") for each in (store, tmp_path / "e.parquet"))
    pd.testing.assert_frame_equal(first.profiles, second.profiles)
