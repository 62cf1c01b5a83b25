import pytest
from typer.testing import CliRunner

from bftembed.cli._ray import with_address
from bftembed.cli.main import app
from bftembed.errors import ClusterError, InputError


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ([], []),
        (["genes.txt", "--ray"], ["genes.txt", "--ray=default"]),
        (["--ray", "genes.txt", "-o", "x.csv"], ["--ray=default", "genes.txt", "-o", "x.csv"]),
        (["--ray", "-o", "x.csv"], ["--ray=default", "-o", "x.csv"]),
        (["--ray", "auto", "genes.txt"], ["--ray", "auto", "genes.txt"]),
        (["--ray", "[::1]:6379"], ["--ray", "[::1]:6379"]),
        (["--ray=head:1"], ["--ray=head:1"]),
        *((["--ray", odd, "genes.txt"],) * 2 for odd in ("10.0.0.1", "localhost", "ray://h:10001", "head:port", ":1")),
        (["--", "--ray"], ["--", "--ray"]),
    ],
)
def test_address_may_be_left_out(given, understood):
    assert with_address(given) == understood


def test_refused_with_a_sentence(tmp_path):
    pytest.importorskip("ray.data", reason="pip install 'bftembed[ray]'")
    names, output = tmp_path / "types.txt", tmp_path / "out.csv"
    names.write_text("B cell\nT cell\n")
    (tmp_path / "cells.h5ad").touch()

    def run(*arguments):
        CliRunner().invoke(app, ["embed", *map(str, arguments), "-o", str(output)], catch_exceptions=False)

    with pytest.raises(InputError, match="--ray embeds names"):
        run(tmp_path / "cells.h5ad", "--ray", "--no-cells")
    with pytest.raises(InputError, match="leave --ray out"):
        run(names, "--kind", "cell", "--ray", "auto", "--profiles", names)
    with pytest.raises(InputError, match="say how a Ray cluster is used: pass --ray"):
        run(names, "--kind", "cell", "--ray-workers", "4")
    engine = ("--engine", "openai:model@http://127.0.0.1:1/v1", "--encoder", "none")
    for odd in ("10.0.0.1", "localhost", "ray://h:10001", "head:port"):
        with pytest.raises(InputError, match=f"`{odd}` is no address of a Ray cluster: write HOST:PORT"):
            run("--ray", odd, names, "--kind", "cell", "--store", tmp_path / "texts.sqlite", *engine)
    with pytest.raises(ClusterError, match=r"Nothing answers at the Ray address `127.0.0.1:1`"):
        run("--ray", "127.0.0.1:1", names, "--kind", "cell", "--store", tmp_path / "texts.sqlite", *engine)
