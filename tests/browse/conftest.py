"""Pages to try, and a real browser to try them in."""

import importlib.util
import warnings
import zlib
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

import bftembed as bft
from bftembed.encoders import Encoder

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
TEXTS = {
    "CD3E": "A subunit of the T cell receptor complex. It passes on signals of the receptor.",
    "CD3D": "Another subunit of the T cell receptor complex.",
    "CD8A": "A co-receptor of cytotoxic T cells.",
    "ALB": "Albumin, the protein of blood plasma, made by the liver.",
    "APOA1": "A lipoprotein of blood plasma, made by the liver and the intestine.",
    "INS": "Insulin, a hormone of the pancreas that lowers glucose in blood.",
}


class Words(Encoder):
    """Words, each in the place that a checksum gives it."""

    name = "words"

    def describe(self):
        return {"encoder": self.name}

    @property
    def max_seq_length(self):
        return 1000

    def count_tokens(self, texts):
        return [len(text.split()) for text in texts]

    def _encode(self, texts, *, query):
        made = np.zeros((len(texts), 64), dtype=np.float32)
        for row, text in zip(made, texts, strict=True):
            for word in text.lower().split():
                row[zlib.crc32(word.strip(".,").encode()) % 64] += 1
        return made / np.linalg.norm(made, axis=1, keepdims=True)


@pytest.fixture(scope="session")
def words():
    """An encoder that needs no model."""
    return Words()


@pytest.fixture
def genes(words):
    """Six genes by `bft.embed`, with a column of labels and one of numbers."""
    made = bft.embed(list(TEXTS), facts="none", profiles=TEXTS, encoder=words)
    made.obs["lineage"] = pd.Categorical(["T cell"] * 3 + ["liver"] * 2 + [None])
    made.obs["level"] = np.array([1, 2, 3, 4, np.nan, 6])
    return made


#: A name, its text and its place on the map.
TRICKY = [
    ("<script>window.bad=1</script>", "<img src=x onerror='window.bad=1'> & \"quoted\"", (0, 0)),
    ("</script><b>bold", "It ends the </script> of a page.", (10, 0)),
    ("naïve-β 基因 😀", "Ünïcode: 基因 ß 😀.", (0, 10)),
    ("DUP", "The first of two.", (10, 10)),
    ("DUP", "The second of two.", (5, 5)),
    ("EMPTY", "", (5, 0)),
    ("NOVECTOR", "It has a text and no vector.", (np.nan, np.nan)),
    ("ZERO", "Its vector is zero.", (0, 5)),
    ("%%MAP%%", "%%TEXTS%% %%TITLE%% $& \\1", (10, 5)),
]


@pytest.fixture(scope="session")
def tricky():
    """Names and texts that break pages, doubled names, and vectors that are none."""
    names, texts, places = zip(*TRICKY, strict=True)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(len(names), 8)).astype(np.float32)
    vectors[names.index("NOVECTOR")] = np.nan
    vectors[names.index("ZERO")] = 0
    obs = pd.DataFrame({"X_bft_text": list(texts), "label <i>": ["a<b", "c&d", "e"] * 3}, index=list(names))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a name is there twice
        made = anndata.AnnData(obs=obs, obsm={"X_bft": vectors, "X_umap": np.array(places, dtype=np.float32)})
    encoder = {"encoder": "words", "spec": ""}
    made.uns["bft"] = {"X_bft": {"entities": {"kind": "drug", "encoder": encoder, "store": "/home/me/s.sqlite"}}}
    return made


@pytest.fixture(scope="session")
def driver():
    """The module that drives a browser, which stands outside of the package."""
    spec = importlib.util.spec_from_file_location("chromium", BENCHMARKS / "chromium.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def chromium(driver):
    """A headless Chromium."""
    if driver.find_chromium() is None:
        pytest.skip("no Chromium is on this machine (Debian: apt install chromium), or it is none with Unix pipes")
    browser = driver.Chromium(patience=60)
    yield browser
    browser.close()
