"""Bundles from directories and urls: whole, damaged, foreign and hostile ones."""

import contextlib
import functools
import hashlib
import http.server
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

import bftembed as bft
from bftembed.datasets import load_bundle
from bftembed.engines import AnnotationEngine
from bftembed.errors import BftembedError, DataError, InputError
from bftembed.profiles import Entity, ProfileStore, write_profiles
from bftembed.sharing import bundle_profiles


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BFTEMBED_MIRROR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    genes = [Entity("gene", name, {"summary": f"About {name}."}) for name in ("TP53", "NA", "ALB")]
    with ProfileStore(tmp_path / "s.sqlite") as store:
        write_profiles(genes, AnnotationEngine(), store=store, progress=False)
        return bundle_profiles(store, tmp_path / "b")


@pytest.fixture
def served(bundle):
    """The directory of the bundle on a web server; `asked` has what was asked for, and says how it misbehaves."""

    class Asked(list):
        how = ""

    asked = Asked()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

        def do_GET(self):
            if not asked.how:
                super().do_GET()
                return
            self.send_response(302 if asked.how == "elsewhere" else 200)
            self.send_header("Location", "file:///etc/hostname")
            self.send_header("Content-Length", str(1 << 40))
            self.end_headers()
            with contextlib.suppress(OSError):  # it hangs up
                while self.wfile.write(b"{" * 65536) and asked.how == "endless":
                    pass
            self.close_connection = True

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(bundle.path.parent))
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/b", asked
    server.shutdown()
    thread.join()
    server.server_close()


def change(bundle, **changes):
    """Change ``bundle.json``."""
    path = bundle.path / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def replaced(bundle, frame):
    """Put another table of texts in, with a checksum that fits."""
    path = bundle.path / "profiles.parquet"
    frame.to_parquet(path, index=False)
    file = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
    change(bundle, files={"profiles.parquet": file})


def test_a_directory_its_index_and_a_file_url_are_one_bundle(bundle):
    for source in (bundle.path, str(bundle.path / "bundle.json"), bundle.path.as_uri(), f"{bundle.path.as_uri()}/"):
        read = load_bundle(source, sha256=bundle.sha256)
        pd.testing.assert_frame_equal(read.profiles, bundle.profiles)
    assert bft.embed(["NA"], facts="none", profiles=read, encoder="none").obs["X_bft_text"].tolist() == [
        "NA. About NA."
    ]
    assert "3 texts (gene), no vectors" in repr(read)
    for shown in ("profiles", "vectors", "licence", "none"):
        assert shown in read._repr_html_()
    with pytest.raises(InputError, match="texts alone"):
        read.encoder()


def test_a_url_is_fetched_once_where_its_checksum_is_known(bundle, served):
    url, asked = served
    read = load_bundle(url)
    assert read.sha256 == bundle.sha256
    assert len(asked) == 2
    asked.clear()
    assert load_bundle(f"{url}/bundle.json", sha256=read.sha256).profiles.equals(bundle.profiles)
    assert asked == []
    (read.path / "profiles.parquet").write_bytes(b"damaged in the cache")
    assert load_bundle(url, sha256=read.sha256).profiles.equals(bundle.profiles)
    assert asked == ["/b/profiles.parquet"]
    (read.path / "bundle.json").write_bytes(b"damaged too")
    assert load_bundle(url, sha256=read.sha256).profiles.equals(bundle.profiles)


def test_a_url_of_another_bundle_or_of_none(bundle, served):
    url, _ = served
    with pytest.raises(DataError, match="checksum is wrong"):
        load_bundle(url, sha256="0" * 64)
    with pytest.raises(DataError, match="404"):
        load_bundle(f"{url}/none")
    (bundle.path / "profiles.parquet").write_bytes(b"other")
    with pytest.raises(DataError, match="5 bytes, but"):
        load_bundle(url)
    (bundle.path / "bundle.json").write_text("<html><title>Sign in</title></html>")
    with pytest.raises(DataError, match="web page"):
        load_bundle(url)
    with pytest.raises(DataError, match="no connection"):
        load_bundle("http://127.0.0.1:9/b")


def test_a_server_that_cuts_off_sends_without_end_or_to_a_page(bundle, served, tmp_path):
    url, asked = served
    asked.how = "cut"
    with pytest.raises(DataError, match="broke before"):
        load_bundle(url)
    asked.how = "endless"
    with pytest.raises(DataError, match="much more"):
        load_bundle(url)
    asked.how = "elsewhere"
    with pytest.raises(DataError, match="could not be had"):
        load_bundle(url)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
    asked.how = ""
    assert load_bundle(url).sha256 == bundle.sha256, "and nothing is left that would be in the way"


def test_forms_of_an_address(bundle, served):
    url, asked = served
    for given in (f" {url}/ ", url.replace("http", "HTTP"), f"{url}?key=k", f"{url}/bundle.json?key=k", f"{url}#part"):
        asked.clear()
        assert load_bundle(given).sha256 == bundle.sha256
        assert asked[0] == "/b/bundle.json" + "?key=k" * ("key" in given)
    for given, told in {
        "hf://datasets/x/y": "no address that is read",
        "s3://x": "no address that is read",
        "https://[::1": "no address",
        "https://huggingface.co/datasets/x/y/tree/main": "/resolve/main",
        str(Path(url)): "no address that is read",
        "x" * 5000: "cannot be read",
        "a\0b": "check the path",
    }.items():
        with pytest.raises(DataError, match=told):
            load_bundle(given)


def test_no_password_is_said_or_logged(bundle, served, caplog):
    url, _ = served
    url = url.replace("http://", "http://me:secret@") + "?key=secret"
    with caplog.at_level("INFO", logger="bftembed"):
        load_bundle(url)
        with pytest.raises(DataError, match="404") as error:
            load_bundle(url.replace("/b?", "/none?"))
    assert "to be sure of the same one" in caplog.text
    assert "secret" not in caplog.text + str(error.value)


def test_a_bundle_is_fetched_by_several_at_once(bundle, served):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(load_bundle, [served[0]] * 16))
    assert {each.sha256 for each in found} == {bundle.sha256}


def test_a_changed_byte_is_told(bundle):
    path = bundle.path / "profiles.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"profiles\.parquet` is damaged, or was changed"):
        load_bundle(bundle.path)
    path.unlink()
    with pytest.raises(DataError, match="is missing"):
        load_bundle(bundle.path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"format": "zip"}, "not of a bundle"),
        ({"schema_version": 2}, "later version"),
        ({"schema_version": 2, "files": {}, "recipe": None, "licence": 1}, "later version"),
        ({"name": "a\x1b[2J"}, "name"),
        ({"made_by": "a\nb"}, "made_by"),
        ({"schema_version": "x"}, "schema_version"),
        ({"files": {}}, "no profiles.parquet"),
        ({"files": {"profiles.parquet": {"sha256": "x", "bytes": 1}}}, "sha256"),
        ({"files": {"../../etc/passwd": {"sha256": "0" * 64, "bytes": 1}}}, "no profiles.parquet"),
        ({"n": 4}, "says other"),
        ({"kind": "drug"}, "says other"),
        ({"recipe": "0" * 64}, "says other"),
    ],
)
def test_an_index_that_lies(bundle, changes, told):
    change(bundle, **changes)
    with pytest.raises(DataError, match=told):
        load_bundle(bundle.path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"null"])
def test_an_index_that_is_none(bundle, content):
    (bundle.path / "bundle.json").write_bytes(content)
    with pytest.raises(DataError, match="not of a bundle"):
        load_bundle(bundle.path)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda frame: frame.assign(text=[1, 2, 3]), "`text` is no text"),
        (lambda frame: frame.assign(text=[None, "a", "b"]), "`text` is no text"),
        (lambda frame: frame.assign(text=" "), "has no text"),
        (lambda frame: frame.assign(entity="TP53"), "stands twice"),
        (lambda frame: frame.drop(columns="ensembl"), "no column `ensembl`"),
        (lambda frame: frame.drop(columns="prompt"), "columns missing: prompt"),
        (lambda frame: frame.assign(schema=99), "schema"),
        (lambda frame: frame.assign(entity=["a", " ", "b"]), "is empty"),
        (lambda frame: frame.assign(prompt=None), "`prompt` is no text"),
        (lambda frame: frame.assign(status="error"), "text that can be used"),
        (lambda frame: frame.assign(info="{"), "says other"),
        (lambda frame: frame.assign(info="[]"), "says other"),
        (lambda frame: frame.assign(info=frame["info"].str.replace("annotation", "other")), "says other"),
    ],
)
def test_a_table_with_a_good_checksum_that_is_none_of_texts(bundle, make, told):
    replaced(bundle, make(bundle.profiles))
    with pytest.raises(DataError, match=told):
        load_bundle(bundle.path)


def test_vectors_of_other_names(bundle, tmp_path):
    def put(frame):
        path = bundle.path / "vectors.parquet"
        frame.to_parquet(path, index=False)
        file = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
        change(bundle, files={**files, "vectors.parquet": file})
        with pytest.raises(DataError, match=r"vectors\.parquet has"):
            load_bundle(bundle.path)

    files = json.loads((bundle.path / "bundle.json").read_text())["files"]
    put(pd.DataFrame({"name": ["a", "b", "c"], "d0": [1.0, 2.0, 3.0]}))
    put(pd.DataFrame({"name": bundle.profiles["entity"], "d0": [1.0, None, 3.0]}))
    put(pd.DataFrame({"name": bundle.profiles["entity"], "d0": ["1", "2", "3"]}))
    put(pd.DataFrame({"name": bundle.profiles["entity"], "d0": [1e300, 2.0, 3.0]}))
    put(pd.DataFrame({"name": bundle.profiles["entity"]}))


def test_what_is_no_bundle_is_told_with_what_to_do(bundle, tmp_path):
    shutil.make_archive(str(tmp_path / "b"), "zip", bundle.path)
    for source, told in {
        tmp_path: "holds no bundle.json",
        tmp_path / "gone": "check the path",
        tmp_path / "b.zip": "unpack it",
        tmp_path / "s.sqlite": "is a file",
    }.items():
        with pytest.raises(DataError, match=told):
            load_bundle(source)
    with pytest.raises(DataError, match="no SHA-256"):
        load_bundle(bundle.path, sha256="abc")
    with pytest.raises(DataError, match="not the bundle that was asked for"):
        load_bundle(bundle.path, sha256="0" * 64)
    with pytest.raises(InputError, match="is a bundle: pass"):
        bft.embed(["TP53"], facts="none", profiles=bundle.path)


def test_a_full_cache_is_told(bundle, served, small_files):
    url, _ = served
    with small_files(300), pytest.raises(BftembedError, match=r"disk is full|cannot be written"):
        load_bundle(url)
