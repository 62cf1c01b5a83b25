"""Bundles written from stores, read back, and all that a maker can do wrong."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bftembed as bft
from bftembed.engines import Request
from bftembed.errors import BftembedError, EncoderError, InputError, StoreError
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
    with pytest.raises(InputError, match=r"other things than a bundle \(README\.md\)"):
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


def test_a_json_file_of_another_program_is_nobodys_bundle(store, tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "bundle.json").write_text('{"format": "javascript"}')
    with pytest.raises(InputError, match=r"other things than a bundle \(bundle\.json\)"):
        bundle_profiles(store, tmp_path / "b")


def test_a_link_leads_to_its_directory_and_stays(store, tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "link").symlink_to("b")
    assert bundle_profiles(store, tmp_path / "link").path == tmp_path / "b"
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "b" / "bundle.json").is_file()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError, match="cannot be written"):
        bundle_profiles(store, tmp_path / "loop")


@pytest.mark.parametrize(
    ("directory", "told"),
    [
        (".", "the directory you are in"),
        ("..", "other things"),
        ("a\0b", "NUL byte"),
        ("a\udc80b", "half a character"),
        ("x" * 300, "cannot be written"),
        ("a\nb", "no name of a bundle"),
    ],
)
def test_directories_that_cannot_be(store, tmp_path, monkeypatch, directory, told):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(InputError, match=told):
        bundle_profiles(store, directory)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\0", "\udc80", "\x1b[2J", 5])
def test_a_name_that_is_no_line(store, tmp_path, name):
    with pytest.raises(InputError, match="no name of a bundle"):
        bundle_profiles(store, tmp_path / "b", name=name)


def test_names_of_any_kind_come_back_with_their_vectors(store, write, letters, tmp_path):
    names = ["a/b", "..", "=1+1", "β", "NA", "nan", "1", " x", "x", "x ", "a\nb", "a\rb", "\u2028x", '"', "x" * 900]
    write(store, "drug", names)
    made = bundle_profiles(store, tmp_path / "b", kind="drug", encoder=letters)
    assert made.profiles["entity"].tolist() == sorted(names)
    assert len((tmp_path / "b" / "names.txt").read_bytes().splitlines()) == len(names)
    drugs = bft.embed(["=1+1", "a/b"], kind="drug", facts="none", profiles=made, encoder=made.encoder())
    rows = [made.profiles["entity"].tolist().index(name) for name in drugs.obs_names]
    np.testing.assert_array_equal(drugs.X, made.vectors[rows])


def test_clusters_that_are_numbered_have_vectors_too(store, write, letters, tmp_path):
    write(store, "cluster", ["0", "1", "2"])
    made = bundle_profiles(store, tmp_path / "b", kind="cluster", encoder=letters)
    assert (made.profiles["entity"].tolist(), made.vectors.shape) == (["0", "1", "2"], (3, 5))


def test_vectors_are_added_to_a_bundle(store, letters, tmp_path):
    first = bundle_profiles(store, tmp_path / "b")
    for source in (first, tmp_path / "b"):
        second = bundle_profiles(source, tmp_path / "b", encoder=letters)
        pd.testing.assert_frame_equal(first.profiles, second.profiles)
        assert second.vectors is not None


def test_vectors_that_cannot_be_read_again_leave_the_former_bundle(store, letters, tmp_path, monkeypatch):
    former = bundle_profiles(store, tmp_path / "b")
    monkeypatch.setattr(type(letters), "_encode", lambda _, texts, **__: np.full((len(texts), 2), np.inf, np.float32))
    with pytest.raises(BftembedError):
        bundle_profiles(store, tmp_path / "b", encoder=letters)
    assert bft.datasets.load_bundle(tmp_path / "b").sha256 == former.sha256


def test_a_killed_maker_leaves_the_former_bundle(store, tmp_path):
    former = bundle_profiles(store, tmp_path / "b")
    code = (
        "import os, signal\n"
        "from bftembed.sharing import bundle\n"
        "bundle.card = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"bundle.bundle_profiles({str(store)!r}, {str(tmp_path / 'b')!r}, name='other')"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert bft.datasets.load_bundle(tmp_path / "b").sha256 == former.sha256
    (left,) = tmp_path.glob(".????????????.b")
    os.utime(left, (0, 0))
    assert bundle_profiles(store, tmp_path / "b", name="other").index.name == "other"
    assert not left.exists()


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
