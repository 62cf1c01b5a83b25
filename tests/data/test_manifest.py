import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bftembed._paths import shipped_dir
from bftembed.data import Manifest, get_manifest, list_manifests
from bftembed.data.manifest import ManifestFile
from bftembed.data.readers import READERS
from bftembed.errors import DataError

SHIPPED = [path.stem for path in sorted(shipped_dir("data_manifests").glob("*.yaml"))]


def test_shipped_manifests_are_all_listed_and_sorted():
    assert [manifest.name for manifest in list_manifests(shipped_dir("data_manifests"))] == sorted(SHIPPED)
    assert {"hgnc_genes", "refseq_gene_summary", "go_annotations"} <= set(SHIPPED)


def test_shipped_manifests_pin_what_they_point_at():
    paths = {}
    for manifest in list_manifests(shipped_dir("data_manifests")):
        for file in manifest.files:
            assert manifest.commit in file.url
            assert file.url.startswith("https://raw.githubusercontent.com/")
            assert file.reader in READERS
            assert paths.setdefault(file.path, file.sha256) == file.sha256


def test_a_manifest_in_words_has_its_release_or_commit():
    manifest = get_manifest("ncbi_gene_info")
    assert str(manifest) == "NCBI Gene, human gene_info (June 2015)"
    assert str(manifest.model_copy(update={"version": None})) == "NCBI Gene, human gene_info (a736274)"
    assert str(manifest.model_copy(update={"version": None, "commit": None})) == "NCBI Gene, human gene_info"


@pytest.mark.parametrize("wrong", ["HGNC_genes", "hgnc_gene", "GO_annotations"])
def test_unknown_name_gives_the_nearest(wrong):
    with pytest.raises(DataError, match=r"Did you mean `(hgnc_genes|go_annotations)`\?"):
        get_manifest(wrong)


def test_a_name_like_no_other_lists_what_there_is():
    with pytest.raises(DataError, match=r"There are: .*hgnc_genes"):
        get_manifest("%%%%")


def test_own_manifests_come_beside_the_shipped_and_before_them(write_manifest):
    write_manifest()
    write_manifest(name="hgnc_genes", title="Mine")
    assert get_manifest("toy").files[0].path == "toys/table.tsv"
    assert get_manifest("hgnc_genes").title == "Mine"
    assert {manifest.name for manifest in list_manifests()} == {*SHIPPED, "toy"}


def test_own_directory_that_does_not_exist_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("BFTEMBED_MANIFESTS", str(tmp_path / "none"))
    with pytest.raises(DataError, match="BFTEMBED_MANIFESTS is set to"):
        list_manifests()


def test_a_broken_manifest_does_not_hide_the_others(own_manifests):
    (own_manifests / "broken.yaml").write_text("a: [")
    assert get_manifest("hgnc_genes").name == "hgnc_genes"
    with pytest.raises(DataError, match=r"broken\.yaml is not readable YAML"):
        get_manifest("broken")


UNSAFE = [
    "/etc/passwd",
    "../x",
    "a/../../x",
    "C:/x",
    "C:x",
    "a\\..\\b",
    "\\\\host\\x",
    "~/x",
    "",
    ".",
    "a/",
    " a",
    "a\0b",
]


@pytest.mark.parametrize("path", UNSAFE)
def test_paths_that_leave_the_cache_are_refused(write_manifest, path):
    write_manifest(file={"path": path})
    with pytest.raises(DataError, match=r"files\.0\.path`: .* must be a plain relative path"):
        get_manifest("toy")


@given(st.text(alphabet="ab./\\:~ \n", max_size=12))
def test_an_admitted_path_stays_inside(tmp_path_factory, path):
    root = (tmp_path_factory.getbasetemp() / "root").resolve()
    entry = {"name": "t", "url": "https://e.org/t", "sha256": "0" * 64, "bytes": 1, "reader": "tsv", "path": path}
    try:
        file = ManifestFile(**entry)
    except ValidationError:
        return
    assert root in (root / file.path).resolve().parents


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"licence": ...}, "`licence` is missing"),
        ({"licence": ..., "license": "MIT"}, "`license` is not a known key. Did you mean `licence`?"),
        ({"zzz": 1}, "`zzz` is not a known key"),
        ({"file": {"sha265": "x"}}, "`files.0.sha265` is not a known key. Did you mean `sha256`?"),
        ({"file": {"sha256": "ABC"}}, "`files.0.sha256`: String should match pattern"),
        ({"file": {"bytes": 0}}, "`files.0.bytes`: Input should be greater than 0 (found '0')"),
        ({"file": {"url": "ftp://example.org/x"}}, "`files.0.url`"),
        ({"files": []}, "`files`: List should have at least 1 item"),
    ],
)
def test_wrong_keys_and_values_are_explained_on_one_screen(write_manifest, change, message):
    path = write_manifest(**change)
    with pytest.raises(DataError) as error:
        get_manifest("toy")
    text = str(error.value)
    assert message in text
    assert str(path) in text
    assert len(text.splitlines()) < 12
    assert "pydantic" not in text


def test_many_problems_are_cut_short(write_manifest):
    write_manifest(**{f"key{i}": 1 for i in range(20)})
    with pytest.raises(DataError, match=r"\.\.\. and 12 more"):
        get_manifest("toy")


def test_content_that_is_no_mapping_is_refused(own_manifests):
    (own_manifests / "toy.yaml").write_text("- a\n- b\n")
    with pytest.raises(DataError, match="must be a mapping"):
        get_manifest("toy")


def test_name_must_be_that_of_the_file(write_manifest):
    path = write_manifest()
    path.rename(path.with_name("other.yaml"))
    with pytest.raises(DataError, match=r"calls itself 'toy'; its name must be that of the file, 'other'"):
        get_manifest("other")


def test_two_files_cannot_share_a_path(write_manifest):
    path = write_manifest()
    content = yaml.safe_load(path.read_text())
    content["files"].append({**content["files"][0], "name": "again"})
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(DataError, match=r"two files have the same path 'toys/table\.tsv'"):
        get_manifest("toy")


def test_file_by_name(write_manifest):
    write_manifest()
    manifest = get_manifest("toy")
    assert isinstance(manifest, Manifest)
    assert manifest.file("table") is manifest.files[0]
    with pytest.raises(DataError, match="has no file 'tabel'; it has table"):
        manifest.file("tabel")
