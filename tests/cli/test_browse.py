import re

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from typer.testing import CliRunner

from bftembed.cli.main import app
from bftembed.errors import InputError


def invoke(*arguments):
    done = CliRunner().invoke(app, ["browse", *map(str, arguments)])
    if isinstance(done.exception, InputError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def file(tmp_path):
    obs = pd.DataFrame({"X_bft_text": ["One.", "Two."], "dose": [1.0, 2.0]}, index=["imatinib", "dasatinib"])
    made = AnnData(obs=obs, obsm={"X_bft": np.eye(2, dtype=np.float32)})
    made.uns["bft"] = {"X_bft": {"entities": {"kind": "drug", "encoder": {"encoder": "none"}}}}
    made.write_h5ad(tmp_path / "drugs.h5ad")
    return tmp_path / "drugs.h5ad"


def test_a_page_is_written(file, tmp_path):
    said = invoke(file, "-o", tmp_path / "page.html", "--color", "dose", "--title", "Drugs & doses", "--layout", "pca")
    assert re.fullmatch(r"wrote .*page\.html: 0\.\d MB, open it in a browser\n", said)
    assert "<title>Drugs &amp; doses</title>" in (tmp_path / "page.html").read_text()


def test_what_is_wrong_is_said(file, tmp_path):
    with pytest.raises(InputError, match="genes"):
        invoke(file, "-o", tmp_path / "page.html", "--among", "genes")
    with pytest.raises(InputError, match="no file"):
        invoke(tmp_path / "none.h5ad", "-o", tmp_path / "page.html")
