"""Embeddings by their short names."""

import anndata
import numpy as np
import pandas as pd
import pytest

from bftembed.bench import Source, get_source
from bftembed.bench.sources.base import NotApplicableError, checked
from bftembed.bench.sources.grammar import FORMS, kinds
from bftembed.errors import InputError, PluginError
from bftembed.profiles import ProfileStore


def test_labels_and_arguments(tmp_path):
    source = get_source("control=random")
    assert (source.label, source.spec) == ("control", "random")
    assert get_source("random").label == "random"
    assert get_source(source) is source
    table = tmp_path / "a=b.csv"
    table.write_text("gene,d0\nTP53,1.0\n")
    assert get_source(f"file:{table}").label == f"file:{table}"
    assert get_source(f"mine=file:{table}").label == "mine"


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("randon", r"Did you mean `random`\?"),
        ("", "is no embedding"),
        ("file", "write `file:PATH`"),
        ("random:3", "`random` takes no argument"),
        ("text:go", "there are `text:refseq` and `text:annotation`"),
        ("h5ad:x.h5ad#X", "names no array"),
        ("h5ad:x.h5ad#varm/", "names no array"),
    ],
)
def test_bad_names_are_refused_with_what_to_write(spec, match):
    with pytest.raises(InputError, match=match):
        get_source(spec)


PLUGIN = """
import numpy as np
from bftembed.bench import Source

class Same(Source):
    \"\"\"The same number for every gene.\"\"\"

    argument_name = "NUMBER"

    def genes(self, names):
        return np.full((len(names), 2), float(self.argument), dtype=np.float32)

class Plain(Source):
    takes_encoder = True

    def __init__(self, argument, *, label, spec, encoder):
        super().__init__(argument, label=label, spec=spec)
        self.encoder = encoder
"""


def test_a_source_of_an_installed_package_is_found(installed):
    installed(
        "plug_sources",
        PLUGIN,
        "[bftembed.sources]\nsame = plug_sources:Same\nplain = plug_sources:Plain\nno = plug_sources:np\n"
        "random = plug_sources:Same\n",
    )
    source = get_source("mine=same:3")
    assert (source.label, source.spec, source.argument) == ("mine", "same:3", "3")
    np.testing.assert_array_equal(source.genes(["TP53"]), [[3, 3]])
    assert get_source("plain", encoder="any").encoder == "any"
    assert get_source("random").genes(["TP53"]).shape == (1, 384)  # what the project has is not replaced
    with pytest.raises(InputError, match="write `same:NUMBER`"):
        get_source("same")
    with pytest.raises(InputError, match=r"Did you mean `same`\?(?s:.*)same +of an installed package"):
        get_source("sam")
    with pytest.raises(PluginError, match="is no subclass"):
        get_source("no")


def test_the_list_of_kinds_has_those_of_installed_packages(installed):
    installed("plug_sources", PLUGIN, "[bftembed.sources]\nsame = plug_sources:Same\n")
    assert kinds()["same:NUMBER"] == "The same number for every gene."
    assert kinds()["h5ad:FILE#varm/KEY"] == FORMS["h5ad"].about


def test_random_vectors_are_those_of_the_name():
    first, second = get_source("random"), get_source("random")
    both = first.genes(["TP53", "BRCA1"])
    np.testing.assert_array_equal(second.genes(["BRCA1", "TP53"])[::-1], both)
    assert both.shape == (2, 384)
    assert both.dtype == np.float32
    assert abs(np.corrcoef(both)[0, 1]) < 0.2
    assert (first.drugs(["TP53"]) != both[:1]).any()


def test_a_source_says_what_it_cannot():
    class Nothing(Source):
        pass

    assert (Nothing().label, Nothing().spec) == ("Nothing", "Nothing")
    with pytest.raises(NotApplicableError, match="`nothing` has no embedding of genes"):
        Nothing(label="nothing").genes(["TP53"])
    with pytest.raises(NotApplicableError, match="no embedding of drugs"):
        Nothing().drugs(["aspirin"])


def test_a_file_is_mapped_to_canonical_symbols(tmp_path, mirror):
    path = tmp_path / "e.csv"
    path.write_text("gene,d0,d1\nENSG00000141510,1,2\nSEPT1,3,4\nTP53,5,6\nnothing,7,8\n")
    source = get_source(f"file:{path}")
    vectors = source.genes(["TP53", "SEPTIN1", "BRCA1"])
    np.testing.assert_array_equal(vectors[:2], [[5, 6], [3, 4]])  # of two rows of one gene that of its symbol
    assert np.isnan(vectors[2]).all()
    before = source.describe()
    path.write_text(path.read_text().replace("1,2", "1,9"))
    assert get_source(f"file:{path}").describe() != before


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        get_source(f"file:{tmp_path}/no.csv").describe()
    for kind in ("geneformer", "scgpt"):
        with pytest.raises(InputError, match="There is no directory"):
            get_source(f"{kind}:{tmp_path}/no").describe()


@pytest.fixture
def stored(tmp_path):
    adata = anndata.AnnData(
        np.ones((3, 2), dtype=np.float32),
        obs=pd.DataFrame(index=["c1", "c2", "c3"]),
        var=pd.DataFrame(index=["TP53", "BRCA1"]),
    )
    adata.varm["X_bft"] = np.array([[1, 2], [np.nan, np.nan]], dtype=np.float32)
    adata.obsm["X_scGPT"] = np.arange(6, dtype=np.float32).reshape(3, 2)
    path = tmp_path / "e.h5ad"
    adata.write_h5ad(path)
    return path


def test_arrays_of_an_anndata(stored):
    vectors = get_source(f"h5ad:{stored}#varm/X_bft").genes(["BRCA1", "TP53"])
    assert np.isnan(vectors[0]).all()
    np.testing.assert_array_equal(vectors[1], [1, 2])
    cells = get_source(f"h5ad:{stored}#obsm/X_scGPT")
    asked = anndata.AnnData(np.ones((2, 1)), obs=pd.DataFrame(index=["c3", "new"]))
    found = cells.cells(asked).matrix
    np.testing.assert_array_equal(found[0], [4, 5])
    assert np.isnan(found[1]).all()
    with pytest.raises(NotApplicableError, match="no embedding of genes"):
        cells.genes(["TP53"])
    with pytest.raises(NotApplicableError, match="None of the 1 cells"):
        cells.cells(anndata.AnnData(np.ones((1, 1)), obs=pd.DataFrame(index=["other"])))
    with pytest.raises(InputError, match=r"has no varm\['no'\]; it has X_bft"):
        get_source(f"h5ad:{stored}#varm/no").genes(["TP53"])


def test_a_file_that_is_no_h5ad(tmp_path):
    (tmp_path / "x.h5ad").write_text("no")
    with pytest.raises(InputError, match="is no h5ad file that can be read"):
        get_source(f"h5ad:{tmp_path}/x.h5ad#varm/X").genes(["TP53"])


def test_words_of_refseq(mirror):
    source = get_source("tfidf")
    vectors = source.genes(["TP53", "CDKN1A", "OR51E1", "no such gene"])
    assert vectors.shape == (4, 300)
    assert np.isnan(vectors[3]).all()
    unit = vectors[:3] / np.linalg.norm(vectors[:3], axis=1, keepdims=True)
    assert unit[0] @ unit[1] > unit[0] @ unit[2]
    np.testing.assert_array_equal(get_source("tfidf").genes(["TP53"])[0], vectors[0])


def test_refseq_texts_hold_no_go_terms(mirror):
    texts = get_source("text:refseq")._texts("gene")
    assert texts["TP53"].startswith("TP53. This gene encodes a tumor suppressor")
    assert "DNA-binding transcription factor activity" not in texts["TP53"]
    assert "aspirin" in get_source("text:refseq")._texts("drug")


def test_tissue_expression(mirror):
    vectors = get_source("hpa").genes(["ALB", "APOA1", "KRT5"])
    assert vectors.shape == (3, 37)
    distance = np.linalg.norm(vectors[0] - vectors[1:], axis=1)
    assert distance[0] < distance[1]  # two genes of the liver, one of the skin


def test_without_gene_tables_there_are_no_summaries(monkeypatch):
    monkeypatch.setattr("bftembed.datasets.gene_facts", lambda: None)
    with pytest.raises(InputError, match="RefSeq summaries have not been fetched"):
        get_source("tfidf").genes(["TP53"])


def test_an_empty_store_has_no_profiles(tmp_path):
    ProfileStore(tmp_path / "p.sqlite").close()
    with pytest.raises(InputError, match="holds no usable profile"):
        get_source(f"profiles:{tmp_path}/p.sqlite").describe()


def test_texts_of_a_store_are_encoded(tmp_path, monkeypatch):
    import bftembed as bft
    from bftembed.engines import AnnotationEngine
    from bftembed.profiles import Entity, write_profiles

    path = tmp_path / "p.sqlite"
    entities = [
        Entity("gene", "TP53", {"summary": "A tumor suppressor."}),
        Entity("gene", "KRT5", {"summary": "A keratin of the skin."}),
    ]
    with ProfileStore(path) as store:
        write_profiles(entities, AnnotationEngine(), store=store)
    source = get_source(f"profiles:{path}")
    vectors = source.genes(["KRT5", "BRCA1", "TP53"])
    assert vectors.shape == (3, 384)
    assert np.isnan(vectors[1]).all()
    encoder = bft.encoders.get_encoder("default")
    expected, _ = encoder.encode(["KRT5. A keratin of the skin."])
    np.testing.assert_allclose(vectors[0], expected[0], atol=1e-5)
    description = source.describe()
    assert description["encoder"]["encoder"]
    assert get_source(f"profiles:{path}").describe() == description
    monkeypatch.setenv("HOME", str(tmp_path))
    np.testing.assert_array_equal(get_source("profiles:~/p.sqlite").genes(["KRT5"]), vectors[:1])
    assert np.isnan(source.drugs(["aspirin"])).all()


@pytest.mark.parametrize("kind", FORMS)
def test_every_form_has_a_place(kind):
    assert FORMS[kind].about
    special = {"text": "refseq", "h5ad": "x.h5ad#varm/X", "mean": "random", "batchwise": "random"}
    argument = special.get(kind, "x" if FORMS[kind].argument else "")
    source = get_source(f"{kind}:{argument}" if argument else kind)
    assert source.label.startswith(kind)


def test_half_vectors_and_infinite_ones_are_refused():
    good = np.array([[1, 2], [np.nan, np.nan]], dtype=np.float32)
    assert checked(good, 2, "x") is good
    with pytest.raises(InputError, match="1 vectors are NaN in part"):
        checked(np.array([[1, np.nan]], dtype=np.float32), 1, "x")
    with pytest.raises(InputError, match="1 hold infinite values"):
        checked(np.array([[1, np.inf]], dtype=np.float32), 1, "x")
    with pytest.raises(InputError, match="of shape"):
        checked(good, 3, "x")
