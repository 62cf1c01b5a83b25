"""Nodes that cannot work together are found before any work; what answers at an address is looked at."""

import http.server
import threading

import pytest

import bftembed
from bftembed.errors import ClusterError, InputError
from bftembed.scale.cluster import Pool, connected, files_digest

NAMES = ["type 1 of cell", "type 2 of cell"]
OTHER = "Metadata-Version: 2.1\nName: bftembed\nVersion: 0.0.9\n"
#: A node's Python that finds no bftembed, as one in which it is not installed.
BARE = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "bftembed":
            raise ModuleNotFoundError(f"No module named {name!r}", name="bftembed")
sys.meta_path.insert(0, Absent())
"""


@pytest.fixture
def odd_node(cluster, tmp_path):
    """Start a node whose Python has another `bftembed`, see what a run says, and end the node."""
    started = []

    def message(path, **options):
        node = cluster.node(PYTHONPATH=str(path))
        started.append(node)
        driver = cluster.drive(NAMES, {"parts": str(tmp_path / "parts"), **options}, log=str(tmp_path / "log"))
        _, text = driver.communicate(timeout=300)
        assert driver.returncode == 1
        assert not (tmp_path / "log").exists()  # before any work
        return text

    yield message
    for node in started:
        cluster.kill(node)


def test_node_without_the_package(odd_node, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(BARE)
    message = odd_node(tmp_path)
    assert "ClusterError: On 1 of " in message
    assert "(first: the Ray node " in message
    assert "bftembed is not installed. All must run the same version: " in message


def test_node_with_another_version(odd_node, tmp_path):
    (tmp_path / "bftembed").mkdir()
    (tmp_path / "bftembed" / "__init__.py").write_text("__version__ = '0.0.9'\n")
    message = odd_node(tmp_path)
    assert f"bftembed is 0.0.9, and {bftembed.__version__} here. All must run the same version" in message


def test_another_program_has_the_port():
    pytest.importorskip("ray", reason="pip install 'bftembed[ray]'")
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    server.RequestHandlerClass.log_message = lambda *_: None
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"127.0.0.1:{server.server_address[1]}"
    try:
        with (
            pytest.raises(ClusterError, match=f"What answers at `{address}` is no Ray cluster: another program"),
            connected(address, Pool()),
        ):
            pass
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("address", ["host", "host:", "ray://host:1", ":x"])
def test_no_address(address):
    pytest.importorskip("ray", reason="pip install 'bftembed[ray]'")
    with pytest.raises(InputError, match="write HOST:PORT"), connected(address, Pool()):
        pass


@pytest.mark.parametrize(
    ("pool", "resources", "n"),
    [
        (Pool(), {"CPU": 2.0}, 2),
        (Pool(3, 2), {"CPU": 6.0}, 3),
        (Pool(num_gpus=1), {"CPU": 64.0, "GPU": 8.0}, 8),
        (Pool(num_gpus=2), {"CPU": 64.0, "GPU": 8.0}, 4),
        (Pool(num_gpus=0.5), {"CPU": 64.0, "GPU": 1.0}, 2),
    ],
)
def test_number_of_workers(pool, resources, n):
    assert pool.size(resources) == n


@pytest.mark.parametrize(
    ("pool", "resources", "message"),
    [
        (Pool(), {}, r"ask for 2, and the Ray cluster has 0: take fewer workers, or add .*--num-cpus=N"),
        (Pool(num_gpus=1), {"CPU": 4.0}, r"1 workers with 1 GPUs each ask for 1, .* has 0: .*--num-gpus=N"),
    ],
)
def test_too_small(pool, resources, message):
    with pytest.raises(ClusterError, match=message):
        pool.size(resources)


def test_digest_of_the_files():
    assert files_digest() == files_digest()
    assert len(files_digest()) == 64
