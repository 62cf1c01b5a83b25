"""Real downloads from a real server on loopback, and all the ways they go wrong."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from bftembed.data import _download as module
from bftembed.data import fetch
from bftembed.errors import DataError

FETCH = "from bftembed.data import fetch; print(fetch('toy')['table'])"
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in\n to  GitHub</title></head><body></body></html>"


@pytest.fixture
def target(cache):
    return cache / "data" / "toys" / "table.tsv"


@pytest.fixture
def fails(target):
    """Fetch `toy`, check that nothing is left, and return what the error says."""

    def check():
        with pytest.raises(DataError) as error:
            fetch("toy")
        assert not target.exists()
        assert not target.parent.exists() or not list(target.parent.iterdir())
        return str(error.value)

    return check


def test_download(cache, target, write_manifest, serve, answers, content):
    server = serve(answers(content))
    write_manifest(file={"url": f"{server.url}/raw/table.tsv"})
    assert fetch("toy") == {"table": target}
    assert target.read_bytes() == content
    assert server.asked == ["/raw/table.tsv"]
    assert target.stat().st_mode & 0o444 == 0o444


def test_mirror_url_is_asked_first(target, write_manifest, serve, answers, content, monkeypatch):
    server, origin = serve(answers(content)), serve(answers(content))
    monkeypatch.setenv("BFTEMBED_MIRROR", f"{server.url}/base/")
    write_manifest(file={"url": f"{origin.url}/x", "path": "toys/my table.tsv"})
    assert fetch("toy")["table"].read_bytes() == content
    assert server.asked == ["/base/toys/my%20table.tsv"]
    assert origin.asked == []


@pytest.mark.parametrize("as_url", [False, True])
def test_mirror_directory_is_asked_first(tmp_path, target, write_manifest, content, monkeypatch, as_url):
    file = tmp_path / "a mirror" / "toys" / "table.tsv"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    mirror = file.parents[1]
    monkeypatch.setenv("BFTEMBED_MIRROR", mirror.as_uri() if as_url else str(mirror))
    write_manifest()
    assert fetch("toy")["table"].read_bytes() == content


def test_mirror_without_or_with_a_wrong_file_gives_way_to_the_url(
    tmp_path, target, write_manifest, serve, answers, content, monkeypatch, caplog
):
    server = serve(answers(content))
    write_manifest(file={"url": f"{server.url}/x"})
    monkeypatch.setenv("BFTEMBED_MIRROR", str(tmp_path))
    fetch("toy")
    assert "No such file or directory" in caplog.text
    (tmp_path / "toys").mkdir()
    (tmp_path / "toys" / "table.tsv").write_bytes(content.replace(b"TP53", b"XXXX"))
    fetch("toy", force=True)
    assert "its checksum is wrong" in caplog.text
    assert target.read_bytes() == content
    assert server.asked == ["/x", "/x"]


def test_wrong_checksum_gives_expected_and_found(fails, write_manifest, serve, answers, content):
    server = serve(answers(content.replace(b"TP53", b"XXXX")))
    write_manifest(file={"url": f"{server.url}/x"})
    message = fails()
    assert "expected sha256 2" in message or "expected sha256" in message
    assert "found" in message
    assert f"{server.url}/x" in message
    assert "BFTEMBED_MIRROR" in message


@pytest.mark.parametrize(("status", "reason"), [(404, "404 Not Found"), (500, "500 Internal Server Error")])
def test_status(fails, write_manifest, serve, answers, status, reason):
    server = serve(answers(b"gone", status=status))
    write_manifest(file={"url": f"{server.url}/x"})
    assert f"the server answered {reason}" in fails()


def test_web_page_is_named(fails, write_manifest, serve, answers):
    server = serve(answers(PAGE, kind="text/html"))
    write_manifest(file={"url": f"{server.url}/x"})
    assert "a web page (titled 'Sign in to GitHub') came in place of the data" in fails()


def test_web_page_without_title(fails, write_manifest, serve, answers):
    server = serve(answers(b"\xef\xbb\xbf\n<HTML><body>no</body>"))
    write_manifest(file={"url": f"{server.url}/x"})
    assert "a web page (without a title)" in fails()


def test_truncated_download(fails, write_manifest, serve, answers, content):
    server = serve(answers(content[:-3], length=len(content)))
    write_manifest(file={"url": f"{server.url}/x"})
    assert "the connection broke before the file was complete" in fails()


def test_shorter_file(fails, write_manifest, serve, answers, content):
    server = serve(answers(content[:-3]))
    write_manifest(file={"url": f"{server.url}/x"})
    assert f"it gave {len(content) - 3} bytes, but {len(content)} are expected" in fails()


def test_endless_answer_is_cut_off(fails, write_manifest, serve, answers, monkeypatch):
    monkeypatch.setattr(module, "_SLACK", 1000)
    server = serve(answers(bytes(200_000)))
    write_manifest(file={"url": f"{server.url}/x"})
    assert "it sent much more than the file should hold" in fails()


def test_no_server(fails, write_manifest, serve, answers):
    write_manifest(file={"url": "http://127.0.0.1:9/x"})  # the port for discarding, where nobody listens
    assert "no connection" in fails()


def test_slow_server(fails, write_manifest, serve, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_S", (5.0, 0.2))
    done = threading.Event()
    server = serve(lambda _request: done.wait(30))
    write_manifest(file={"url": f"{server.url}/x"})
    message = fails()
    done.set()
    assert "the server did not answer in time" in message


def _wait_for(condition):
    for _ in range(12000):
        if result := condition():
            return result
        time.sleep(0.01)
    return pytest.fail("waited for two minutes in vain")


def test_killed_download_leaves_nothing_under_the_final_name(cache, target, write_manifest, serve, answers, content):
    half, done = len(content) // 2, threading.Event()

    def stall(request):
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[:half])
        done.wait(60)

    server = serve(stall)
    write_manifest(file={"url": f"{server.url}/x"})
    process = subprocess.Popen([sys.executable, "-c", FETCH])
    try:
        (part,) = _wait_for(lambda: list(target.parent.glob(".*.table.tsv")))
        _wait_for(lambda: server.asked)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        done.set()
    assert not target.exists()

    server.answer = answers(content)
    os.utime(part, (0, 0))  # the remains of a download that died long ago
    assert fetch("toy")["table"].read_bytes() == content
    assert not part.exists()


def test_young_part_of_another_process_is_left_alone(cache, target, write_manifest, serve, answers, content):
    target.parent.mkdir(parents=True)
    part = target.with_name(".0123456789ab.table.tsv")
    part.write_bytes(b"half")
    server = serve(answers(content))
    write_manifest(file={"url": f"{server.url}/x"})
    fetch("toy")
    assert part.exists()


def test_two_processes_fetch_at_the_same_time(cache, target, write_manifest, serve, answers, content):
    both = threading.Barrier(2, timeout=60)
    full = answers(content)

    def together(request):
        both.wait()  # neither is answered before both have asked
        full(request)

    server = serve(together)
    write_manifest(file={"url": f"{server.url}/x"})
    processes = [
        subprocess.Popen([sys.executable, "-c", FETCH], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert [out.strip() for out, _ in outputs] == [str(target)] * 2
    assert target.read_bytes() == content
    assert sorted(path.name for path in target.parent.iterdir()) == [".table.tsv.sha256", "table.tsv"]


@pytest.fixture
def small_disk(cache):
    """A file system of 64 KiB at the cache."""
    cache.mkdir()
    mount = shutil.which("mount")
    if mount is None:
        pytest.skip("there is no program `mount`")
    made = subprocess.run([mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", cache], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    yield cache
    subprocess.run(["umount", cache], check=True)


def test_full_disk(small_disk, fails, write_manifest, serve, answers):
    big = os.urandom(200_000)
    server = serve(answers(big))
    write_manifest(big, file={"url": f"{server.url}/x"})
    message = fails()
    assert "The disk is full" in message
    assert "BFTEMBED_CACHE" in message


def test_read_only_cache(small_disk, fails, write_manifest, serve, answers, content):
    server = serve(answers(content))
    write_manifest(file={"url": f"{server.url}/x"})
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    message = fails()
    assert "The cache cannot be written (Read-only file system)" in message
    assert "BFTEMBED_CACHE" in message


def test_cache_that_is_a_file(cache, write_manifest):
    cache.write_text("not a directory")
    write_manifest()
    with pytest.raises(DataError, match=r"The cache cannot be written \(Not a directory\)"):
        fetch("toy")
    assert cache.read_text() == "not a directory"


def test_a_url_of_unknown_size_gives_no_more_than_a_mebibyte(cache, serve, answers, tmp_path):
    server = serve(answers(b"x" * (1 << 20)))
    module.download_url(server.url, tmp_path / "fits")
    assert (tmp_path / "fits").stat().st_size == 1 << 20
    server.answer = answers(b"x" * ((1 << 20) + 1))
    with pytest.raises(DataError, match="much more than the file should hold"):
        module.download_url(server.url, tmp_path / "more")
    assert {path.name for path in tmp_path.iterdir()} <= {"fits", "cache"}
