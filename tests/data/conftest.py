"""A cache, manifests and a real web server of each test's own."""

import hashlib
import http.server
import threading

import pytest
import yaml

CONTENT = b"gene\tvalue\nTP53\t1\nNA\t2\n"


@pytest.fixture
def content():
    """What the data set `toy` holds."""
    return CONTENT


@pytest.fixture
def cache(tmp_path, monkeypatch):
    directory = tmp_path / "cache"
    monkeypatch.setenv("BFTEMBED_CACHE", str(directory))
    monkeypatch.delenv("BFTEMBED_MIRROR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return directory


@pytest.fixture
def own_manifests(tmp_path, monkeypatch):
    directory = tmp_path / "manifests"
    directory.mkdir()
    monkeypatch.setenv("BFTEMBED_MANIFESTS", str(directory))
    return directory


@pytest.fixture
def write_manifest(own_manifests):
    """Write a valid manifest `toy`, changed as asked; returns its path."""

    def write(content=CONTENT, *, name="toy", file=None, **changes):
        entry = {
            "name": "table",
            "path": "toys/table.tsv",
            "url": "http://127.0.0.1:9/table.tsv",
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "reader": "tsv",
            **(file or {}),
        }
        manifest = {
            "name": name,
            "title": "A toy",
            "description": "Two rows.",
            "licence": "none stated",
            "citation": "Nobody",
            "homepage": "https://example.org/toy",
            "files": [entry],
            **changes,
        }
        path = own_manifests / f"{name}.yaml"
        path.write_text(yaml.safe_dump({key: value for key, value in manifest.items() if value is not ...}))
        return path

    return write


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.answer(self)

    def log_message(self, *args):
        """Keep the test's output clean."""


@pytest.fixture
def serve():
    """Start a server on loopback that answers as the given function does; returns it with its `url` and `asked`."""
    servers = []

    def start(answer):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        server.daemon_threads = True
        server.answer, server.asked = answer, []
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread))
        return server

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def answers():
    """Make answers for `serve`."""

    def make(body, *, status=200, length=None, kind="application/octet-stream"):
        def answer(request):
            request.send_response(status)
            request.send_header("Content-Type", kind)
            request.send_header("Content-Length", str(len(body) if length is None else length))
            request.end_headers()
            request.wfile.write(body)

        return answer

    return make
