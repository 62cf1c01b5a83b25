"""The command line, as a user meets it: in processes of its own where what ends it matters, else in this one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from typer.testing import CliRunner

import bftembed
from bftembed.cli.main import app
from bftembed.encoders import get_encoder
from bftembed.errors import BftembedError

COMMAND = [sys.executable, "-c", "from bftembed.cli.main import run; run()"]


def bftembed_process(*arguments, timeout=300, **environment):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=os.environ | {"BFTEMBED_MIRROR": ""} | environment,
    )


def invoke(*arguments):
    """Run in this process; errors of the package come out as they are."""
    result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def no_tables(monkeypatch, tmp_path):
    """A cache of its own and no mirror: gene tables are not available."""
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BFTEMBED_MIRROR", raising=False)


@pytest.fixture
def cells(tmp_path):
    adata = anndata.AnnData(sp.csr_matrix(np.array([[3, 0, 1], [0, 2, 2]], dtype=np.float32)))
    adata.obs_names, adata.var_names = ["a", "b"], ["TP53", "CD3E", "ALB"]
    adata.var["some"] = [True, True, False]
    adata.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


def test_version_and_help():
    assert invoke("--version").strip() == bftembed.__version__
    done = bftembed_process("--help")
    assert done.returncode == 0
    for verb in ("embed", "profiles", "genes", "data", "doctor", "demo"):
        assert verb in done.stdout


@pytest.mark.filterwarnings("ignore::bftembed.errors.BftembedWarning")
def test_embed_file_to_file_with_the_real_tiny_model(no_tables, cells, tiny_model, tmp_path):
    options = ["--engine", f"transformers:{tiny_model}", "--max-new-tokens", 8, "--store", tmp_path / "s.sqlite"]
    options += ["--temperature", 1.0]
    planned = invoke("embed", cells, "--dry-run", *options)
    assert "unique prompts    3" in planned
    assert "to generate       3" in planned
    assert "assumed speed" in planned
    out = tmp_path / "out.h5ad"
    assert f"wrote {out}" in invoke("embed", cells, "-o", out, *options)
    made = anndata.read_h5ad(out)
    assert made.varm["X_bft"].shape == (3, 384)
    assert np.isfinite(made.obsm["X_bft"]).all()
    assert made.X.nnz == 4
    again = invoke("embed", cells, "--dry-run", *options)
    assert "in the store      3" in again
    slim = tmp_path / "slim.zarr"
    invoke("embed", cells, "-o", slim, "--no-keep-x", "--mask-var", "some", *options)
    assert anndata.read_zarr(slim).obsm["X_bft"].shape == (2, 384)
    genes = tmp_path / "genes.h5ad"
    invoke("embed", cells, "-o", genes, "--no-cells", *options)
    assert "X_bft" not in anndata.read_h5ad(genes).obsm


def test_zarr_input(mirror, cells, tmp_path):
    adata = anndata.read_h5ad(cells)
    adata.write_zarr(tmp_path / "cells.zarr")
    invoke("embed", tmp_path / "cells.zarr", "-o", tmp_path / "out.zarr", "--engine", "annotation")
    assert np.isfinite(anndata.read_zarr(tmp_path / "out.zarr").obsm["X_bft"]).all()


def test_a_list_of_names_and_the_profiles_commands(mirror, tmp_path):
    names, store = tmp_path / "genes.txt", tmp_path / "s.sqlite"
    names.write_text("# my genes\nTP53\nCD3E\nTP53\n")
    out = tmp_path / "genes.h5ad"
    assert "2 x 384" in invoke("embed", names, "-o", out, "--engine", "annotation", "--store", store)
    assert anndata.read_h5ad(out).obs_names.tolist() == ["TP53", "CD3E"]
    assert f"store: {store}" in invoke("profiles", "write", names, "--engine", "annotation", "--store", store)
    shown = invoke("profiles", "show", "TP53", "--store", store, "--prompt")
    assert "tumor protein p53" in shown
    assert "[user] TP53." in shown
    assert "2 profiles" in invoke("profiles", "stats", "--store", store)
    assert "wrote 2 names" in invoke("profiles", "export", tmp_path / "p.parquet", "--store", store)
    assert "added 2 profiles" in invoke("profiles", "import", tmp_path / "p.parquet", "--store", tmp_path / "t.sqlite")
    with pytest.raises(BftembedError, match="no profile of `XYZ`"):
        invoke("profiles", "show", "XYZ", "--store", store)


def test_options_of_the_encoder(mirror, tmp_path):
    (tmp_path / "genes.txt").write_text("TP53\nCD3E\n")
    out = tmp_path / "genes.h5ad"
    prompts = ["--encoder-prompt", "passage: ", "--encoder-query-prompt", "query: ", "--encoder-batch-size", 1]
    where = ["-o", out, "--engine", "annotation", "--store", tmp_path / "s.sqlite"]
    invoke("embed", tmp_path / "genes.txt", *where, *prompts)
    adata = anndata.read_h5ad(out)
    made_with = adata.uns["bft"]["X_bft"]["entities"]["encoder"]
    assert (made_with["prompt"], made_with["query_prompt"], made_with["spec"]) == ("passage: ", "query: ", "default")
    text = adata.obs["X_bft_text"]["CD3E"]
    np.testing.assert_allclose(adata["CD3E"].X[0], get_encoder().encode([f"passage: {text}"])[0][0], atol=1e-5)
    with pytest.raises(BftembedError, match="no prompt 'passage'"):
        invoke("embed", tmp_path / "genes.txt", *where, "--encoder-prompt-name", "passage")


def test_genes_check_lists_what_is_not_approved(mirror, tmp_path):
    (tmp_path / "genes.csv").write_text("TP53\np53\nENSG00000141510.5\n2-Sep\nRUBBISH1\n")
    said = invoke("genes", "check", tmp_path / "genes.csv")
    assert "ENSG00000141510.5 -> TP53" in said
    assert "2-Sep -> SEPTIN2" in said
    assert "RUBBISH1 -> -" in said


def test_genes_check_fails_where_next_to_none_is_a_gene(mirror, tmp_path):
    names = ["TP53", "CD4", "EGFR", "INS", "MYC", *range(15)]
    (tmp_path / "genes.txt").write_text("\n".join(f"GRCh38_{name}" for name in names))
    with pytest.raises(BftembedError, match=r"have the prefix 'GRCh38_'.*`sed -E 's/\^GRCh38_//'`"):
        invoke("genes", "check", tmp_path / "genes.txt")


@pytest.mark.parametrize("command", ["embed", "profiles write"])
def test_numbers_are_refused_as_names_of_genes(mirror, command, tmp_path):
    (tmp_path / "genes.txt").write_text("\n".join(map(str, range(30))))
    options = {"embed": ["-o", tmp_path / "x.h5ad"], "profiles write": []}[command]
    with pytest.raises(BftembedError, match=r"None of 30 .*They are numbers"):
        invoke(*command.split(), tmp_path / "genes.txt", "--engine", "annotation", *options)


@pytest.mark.filterwarnings("ignore:.*are no drugs of")
def test_names_of_drugs_stay_whole(tiny_model, tmp_path):
    drugs = ["2,4-dinitrophenol", "ICI-118,551", "5'-azacytidine"]
    (tmp_path / "drugs.txt").write_text("\n".join(drugs))
    options = ["--kind", "drug", "--engine", f"transformers:{tiny_model}", "--store", tmp_path / "s.sqlite"]
    invoke("embed", tmp_path / "drugs.txt", "-o", tmp_path / "x.h5ad", "--max-new-tokens", 4, *options)
    assert anndata.read_h5ad(tmp_path / "x.h5ad").obs_names.tolist() == drugs


def test_gene_sets_of_a_gmt_file(no_tables, tmp_path):
    (tmp_path / "sets.gmt").write_text("T cells\thttp://x\tCD3E\tCD3D\nB cells\t\tCD19\n")
    options = ["--kind", "gene_set", "--engine", "annotation", "--store", tmp_path / "s.sqlite"]
    assert "to generate       2" in invoke("embed", tmp_path / "sets.gmt", "--dry-run", *options)
    invoke("embed", tmp_path / "sets.gmt", "-o", tmp_path / "x.h5ad", *options)
    texts = anndata.read_h5ad(tmp_path / "x.h5ad").obs["X_bft_text"]
    assert texts.to_dict() == {"T cells": "T cells. CD3E, CD3D.", "B cells": "B cells. CD19."}


def test_data_commands(mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path))
    listed = invoke("data", "list")
    assert "* hgnc_genes" in listed
    fetched = invoke("data", "fetch", "hgnc_genes", "hallmark_gene_sets")
    assert "licence MIT" in fetched
    assert "ok" in invoke("data", "verify", "hgnc_genes")
    path = next(line for line in fetched.splitlines() if "hgnc" in line and "licence" not in line)
    Path(path).write_bytes(b"damaged" + Path(path).read_bytes()[7:])
    with pytest.raises(BftembedError, match="`bftembed data fetch --force hgnc_genes` fetches them again"):
        invoke("data", "verify", "hgnc_genes")
    with pytest.raises(BftembedError, match="hgnc_genes"):
        invoke("data", "fetch", "hgnc_gene")


@pytest.mark.filterwarnings("ignore::bftembed.errors.BftembedWarning")
def test_example_files_are_embedded_as_they_are(no_tables, tmp_path):
    assert "700 cells x 765 genes" in invoke("data", "example", tmp_path / "a", "--n-genes", "5")
    genes = (tmp_path / "a" / "genes.txt").read_text().split()
    scaled = bftembed.datasets.pbmc68k_reduced()
    assert set(genes) == set(scaled.var["dispersions_norm"].nlargest(5).index)
    texts = tmp_path / "texts.csv"
    texts.write_text("gene,text\n" + "".join(f"{gene},About {gene}.\n" for gene in genes))
    options = ("--profiles", texts, "--empty", "nan")
    invoke("embed", tmp_path / "a" / "cells.h5ad", "-o", tmp_path / "r.h5ad", "--mask-var", "top", *options)
    found = anndata.read_h5ad(tmp_path / "r.h5ad")
    assert found.var_names[np.isfinite(found.varm["X_bft"]).all(axis=1)].tolist() == genes
    with pytest.raises(BftembedError, match="is there already"):
        invoke("data", "example", tmp_path / "a")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["embed", "nothing.h5ad", "-o", "x.h5ad"], "There is no file `nothing.h5ad`"),
        (["embed", "{cells}"], "-o result.h5ad"),
        (["embed", "{cells}", "-o", "x.csv"], "--no-cells"),
        (["embed", "{text}", "-o", "x.h5ad", "--engine", "annotation"], "holds no names"),
        (["embed", "{junk}", "-o", "x.h5ad", "--engine", "annotation"], "AnnData"),
        (["embed", "{cells}", "-o", "x.h5ad", "--engine", "nonsense"], "is no engine"),
        (["embed", "{cells}", "-o", "x.h5ad", "--engine", "transformers:no/such"], "There is no model `no/such`"),
        (["embed", "{cells}", "-o", "x.h5ad", "--engine", "annotation"], "annotation engine needs facts"),
        (["embed", "{cells}", "-o", "x.h5ad", "--engine", "openai:m@http://127.0.0.1:9/v1"], "No server answers"),
        (["embed", "{cells}", "-o", "x.h5ad", "--encoder", "tfidf", "--engine", "{tiny}"], "is no encoder"),
        (["profiles", "stats", "--store", "none.sqlite"], "There is no profile store"),
        (["profiles", "stats", "--store", "{junk}"], "not a database"),
        (["genes", "check", "{text}"], "There are no gene tables"),
        (["embed", "{binary}", "-o", "x.h5ad", "--engine", "annotation"], "no UTF-8 text"),
        (["embed", "{names}", "-o", "none/x.h5ad", "--engine", "annotation"], "There is no directory"),
        (["embed", "{cells}", "-o", "x.zarr", "--engine", "{tiny}"], "--no-keep-x"),
        (["embed", "{cells}", "-o", "x.h5ad", "--engine", "{tiny}", "--key-added", "a/b"], "without `/`"),
        (["embed", "{cells}", "-o", "x.h5ad", "--engine", "{tiny}", "--layer", "zz"], "no layer 'zz'"),
        (["embed", "{cells}", "-o", "x.h5ad", "--engine", "{tiny}", "--mask-var", "zz"], "no column `zz`"),
        (["embed", "{negative}", "-o", "x.h5ad", "--engine", "{tiny}"], "negative values"),
        (["embed", "{cells}", "-o", "x.h5ad", "--engine", "transformers:./none"], "no model directory `./none`"),
        (["embed", "{cells}", "-o", "x.h5ad", "--engine", "{tiny}", "--template", "{binary}"], "UTF-8"),
        (["data", "fetch", "nonsense"], "nonsense"),
    ],
)
@pytest.mark.filterwarnings("ignore::bftembed.errors.BftembedWarning")
def test_bad_input_is_one_screen_with_the_remedy_and_writes_nothing(
    arguments, message, no_tables, cells, tiny_model, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("# nothing\n")
    (tmp_path / "junk.h5ad").write_bytes(b"junk" * 1000)
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)))
    (tmp_path / "names.txt").write_text("TP53")
    negative = anndata.read_h5ad(cells)
    negative.X = negative.X * -1
    negative.write_h5ad(tmp_path / "negative.h5ad")
    places = {"text": "text.txt", "junk": "junk.h5ad", "binary": "binary.txt", "names": "names.txt"}
    places |= {"negative": "negative.h5ad", "cells": cells, "tiny": f"transformers:{tiny_model}"}
    before = {path: path.read_bytes() for path in tmp_path.glob("*.*") if path.is_file()}
    with pytest.raises(BftembedError) as caught:
        invoke(*[argument.format(**places) for argument in arguments])
    said = str(caught.value)
    assert message in said
    assert len(said.splitlines()) <= 10
    assert {path: path.read_bytes() for path in before} == before
    assert not (tmp_path / "x.h5ad").exists()


def test_an_error_is_a_message_and_not_a_traceback(tmp_path):
    done = bftembed_process("embed", tmp_path / "nothing.h5ad", "-o", tmp_path / "x.h5ad")
    assert done.returncode == 1
    assert done.stderr.startswith("error: There is no file")
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_cleanly_and_the_next_run_goes_on(tiny_model, no_tables, tmp_path):
    names, store = tmp_path / "genes.txt", tmp_path / "s.sqlite"
    names.write_text("\n".join(f"GENE{i}" for i in range(1000)))
    arguments = ["profiles", "write", names, "--engine", f"transformers:{tiny_model}", "--batch-size", 4]
    arguments += ["--max-new-tokens", 48, "--temperature", 1.0, "--store", store, "--facts", "none"]
    # Where the tests run in the background of a shell, Ctrl-C is ignored, and children would inherit that.
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal.SIGINT, ours)
    from bftembed.profiles import ProfileStore

    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if store.exists() and len(ProfileStore(store)) >= 8:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    try:
        _, said = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "run the same command again to go on" in said
    assert "Traceback" not in said
    with ProfileStore(store) as opened:
        frame = opened.frame().set_index("entity")
    before = frame["created"]
    assert 8 <= len(before) < 1000
    names.write_text("\n".join([*before.index, "NEW1", "NEW2"]))
    assert bftembed_process(*arguments).returncode == 0
    with ProfileStore(store) as opened:
        after = opened.frame().set_index("entity")["created"]
    assert set(after.index) == {*before.index, "NEW1", "NEW2"}
    kept = frame.index[frame["status"] == "ok"]  # what came out badly is drawn once more
    assert len(kept) >= 4
    assert (after[kept] == before[kept]).all()


@pytest.mark.filterwarnings("ignore::bftembed.errors.BftembedWarning")
def test_a_full_disk_leaves_the_older_result(mirror, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    try:
        (tmp_path / "many.txt").write_text("\n".join(f"CD{i}" for i in range(1, 300)))
        (disk / "out.h5ad").write_text("older")
        options = ["--engine", "annotation", "--store", tmp_path / "s.sqlite"]
        with pytest.raises(BftembedError, match="cannot be written"):
            invoke("embed", tmp_path / "many.txt", "-o", disk / "out.h5ad", *options)
        assert [path.name for path in disk.iterdir()] == ["out.h5ad"]
        assert (disk / "out.h5ad").read_text() == "older"
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.filterwarnings("ignore::bftembed.errors.BftembedWarning")
def test_demo_leaves_its_files_and_generates_nothing_the_second_time(no_tables, tiny_model, tmp_path):
    import matplotlib as mpl

    mpl.use("Agg")
    options = ["demo", "-o", tmp_path / "demo", "--n-genes", 200, "--engine", f"transformers:{tiny_model}"]
    options += ["--max-new-tokens", 16]
    first = invoke(*options)
    assert "control: random vectors" in first
    assert "control: PCA" in first
    assert {path.name for path in (tmp_path / "demo").iterdir()} >= {"pbmc68k_bft.h5ad", "umap.png", "profiles.parquet"}
    assert len(pd.read_parquet(tmp_path / "demo" / "profiles.parquet")) == 200
    assert "200 generated" in first
    assert "0 generated, 200 from the store" in invoke(*options)
