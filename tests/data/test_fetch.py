import logging

import pytest

from bftembed.data import available, fetch, verify
from bftembed.errors import DataError


@pytest.fixture
def mirrored(tmp_path, monkeypatch, cache, write_manifest, content):
    """Data set `toy` in a mirror that is a directory; returns its file there."""
    file = tmp_path / "mirror" / "toys" / "table.tsv"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    monkeypatch.setenv("BFTEMBED_MIRROR", str(tmp_path / "mirror"))
    write_manifest()
    return file


def test_fetch_puts_the_file_at_its_path_in_the_cache(mirrored, cache, content):
    paths = fetch("toy")
    assert paths == {"table": cache / "data" / "toys" / "table.tsv"}
    assert paths["table"].read_bytes() == content
    assert not [path for path in cache.rglob(".*") if path.suffix != ".sha256"]


def test_licence_is_shown_when_data_come_and_only_then(mirrored, caplog):
    with caplog.at_level(logging.INFO, logger="bftembed"):
        fetch("toy")
        assert "Fetching toy (A toy); licence: none stated" in caplog.text
        caplog.clear()
        fetch("toy")
    assert not caplog.text


def test_verified_file_is_neither_read_nor_brought_again(mirrored, monkeypatch):
    fetch("toy")
    mirrored.unlink()
    monkeypatch.setattr("pooch.file_hash", lambda *_: pytest.fail("the file was read again"))
    fetch("toy")


def test_force_brings_the_file_again(mirrored):
    path = fetch("toy")["table"]
    path.write_bytes(path.read_bytes().replace(b"TP53", b"XXXX"))
    fetch("toy")
    assert b"XXXX" in path.read_bytes()
    fetch("toy", force=True)
    assert b"TP53" in path.read_bytes()


def test_file_of_another_size_is_brought_again(mirrored, content):
    path = fetch("toy")["table"]
    path.write_bytes(b"cut off")
    assert fetch("toy")["table"].read_bytes() == content


def test_a_manifest_with_a_new_checksum_is_not_served_the_old_file(mirrored, write_manifest, content):
    fetch("toy")
    newer = content.replace(b"TP53", b"BRCA")
    write_manifest(newer)
    mirrored.write_bytes(newer)
    assert fetch("toy")["table"].read_bytes() == newer


def test_a_file_put_by_hand_is_accepted_once_its_checksum_is_right(cache, write_manifest, content):
    write_manifest()
    path = cache / "data" / "toys" / "table.tsv"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert fetch("toy") == {"table": path}
    path.write_bytes(content.replace(b"TP53", b"XXXX"))
    path.with_name(".table.tsv.sha256").unlink()
    with pytest.raises(DataError, match="could not be had"):
        fetch("toy")


def test_without_a_marker_the_file_is_still_good(mirrored, cache, monkeypatch, caplog):
    fetch("toy")
    marker = cache / "data" / "toys" / ".table.tsv.sha256"
    marker.unlink()
    marker.mkdir()
    with caplog.at_level(logging.DEBUG, logger="bftembed"):
        fetch("toy")
    assert "No marker beside" in caplog.text


def test_available_looks_at_cache_and_mirror_directory(mirrored, cache, monkeypatch):
    assert available("toy")
    assert not cache.exists()
    monkeypatch.delenv("BFTEMBED_MIRROR")
    assert not available("toy")
    monkeypatch.setenv("BFTEMBED_MIRROR", str(mirrored.parents[1]))
    fetch("toy")
    monkeypatch.delenv("BFTEMBED_MIRROR")
    assert available("toy")


def test_available_asks_no_server(cache, write_manifest, serve, answers, content, monkeypatch):
    server = serve(answers(content))
    monkeypatch.setenv("BFTEMBED_MIRROR", server.url)
    write_manifest(file={"url": f"{server.url}/table.tsv"})
    assert not available("toy")
    assert server.asked == []


def test_verify_says_what_is_wrong(mirrored, content):
    (of_mirror,) = verify("toy")
    assert (of_mirror.status, of_mirror.path) == ("ok", mirrored)  # as `available` says
    mirrored.rename(mirrored.with_name("elsewhere"))
    (missing,) = verify("toy")
    assert (missing.name, missing.status, missing.found) == ("table", "missing", None)
    assert not available("toy")
    mirrored.with_name("elsewhere").rename(mirrored)
    path = fetch("toy")["table"]
    (good,) = verify("toy")
    assert (good.status, good.path, good.found) == ("ok", path, good.expected)
    path.write_bytes(content.replace(b"TP53", b"XXXX"))
    assert verify("toy")[0].status == "wrong checksum"
    path.write_bytes(b"x")
    assert verify("toy")[0].status == "wrong size"


def test_unknown_data_set(cache):
    for function in (fetch, available, verify):
        with pytest.raises(DataError, match="There is no data set called 'nope'"):
            function("nope")
