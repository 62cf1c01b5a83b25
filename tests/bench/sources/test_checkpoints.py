import json
import os
import pickle
import shutil

import numpy as np
import pytest
import torch
from anndata import AnnData, read_h5ad
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, BertModel

from bftembed.bench import get_source
from bftembed.bench.sources.base import NotApplicableError
from bftembed.bench.sources.checkpoints import geneformer_cells, read_geneformer_tokens, read_scgpt_tokens
from bftembed.errors import DataError, GeneNameError, InputError, ModelError

N_GENES = 20
GENES = [f"ENSG{i:011d}" for i in range(N_GENES)]
SPECIAL = {"V1": ["<pad>", "<mask>"], "V2": ["<pad>", "<mask>", "<cls>", "<eos>"]}
POSITIONS = 12  # fewer than genes, so that cells are cut


def dictionary(version):
    order = np.random.default_rng(3).permutation(N_GENES)
    return {name: i for i, name in enumerate([*SPECIAL[version], *(GENES[i] for i in order)])}


def medians():
    values = np.random.default_rng(4).choice([0.5, 1.0, 2.0, 3.7], N_GENES)  # few, for equal values
    return {gene: np.float64(value) for gene, value in zip(GENES, values, strict=True)}


def make(directory, version="V1", kind=BertForMaskedLM, padding=0, n_layers=3):
    """A tiny Geneformer: random weights, in the layout of ctheodoris/Geneformer."""
    config = BertConfig(
        vocab_size=len(dictionary(version)) + padding,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=n_layers,
        num_attention_heads=2,
        max_position_embeddings=POSITIONS,
        hidden_act="relu",
        initializer_range=0.5,  # wide enough that a cell depends on the order of its genes
        pad_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        kind(config).save_pretrained(directory)
    end = {"V1": "gc30M", "V2": "gc104M"}[version]
    (directory / f"token_dictionary_{end}.pkl").write_bytes(pickle.dumps(dictionary(version)))
    (directory / f"gene_median_dictionary_{end}.pkl").write_bytes(pickle.dumps(medians()))
    return directory


@pytest.fixture(autouse=True)
def one_thread():
    """Models this small only wait for a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=["V1", "V2"])
def geneformer(request, tmp_path_factory):
    return make(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return make(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def checkpoint(whole, tmp_path):
    """A copy to be damaged."""
    return shutil.copytree(whole, tmp_path / "model")


def some_cells(n=7, seed=0, genes=GENES):
    counts = np.random.default_rng(seed).poisson(0.9, (n, len(genes)))
    adata = AnnData(counts.astype(np.float32))
    adata.var_names, adata.obs_names = genes, [f"cell{i}" for i in range(n)]
    return adata


def oracle(directory, adata, layer):
    """One cell at a time, without padding, by the model of transformers itself; the rank by a sort of tuples."""
    model = BertForMaskedLM.from_pretrained(directory).eval()
    tokens = pickle.loads(next(directory.glob("token_dictionary*")).read_bytes())
    factors = pickle.loads(next(directory.glob("gene_median*")).read_bytes())
    rows = []
    for counts in np.asarray(adata.X):
        total = sum(counts.tolist())
        ranked = sorted(
            (-count / total * 10_000 / factors[gene], tokens[gene])
            for gene, count in zip(adata.var_names, counts.tolist(), strict=True)
            if count > 0
        )
        ids = [token for _, token in ranked]
        if "<cls>" in tokens:
            ids = [tokens["<cls>"], *ids[: POSITIONS - 2], tokens["<eos>"]]
        ids = ids[:POSITIONS]
        with torch.no_grad():
            states = model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
        state = states[model.config.num_hidden_layers + layer][0].numpy()
        rows.append(np.mean(state[1:-1] if "<cls>" in tokens else state, axis=0))
    return np.array(rows)


def test_the_source_ranks_the_counts_of_log_normalised_cells(whole):
    counts = some_cells()
    cells = counts.copy()
    cells.layers["counts"], cells.X = counts.X, np.log1p(counts.X)
    source = get_source(f"geneformer:{whole}")
    np.testing.assert_array_equal(source.cells(cells).matrix, geneformer_cells(whole, counts))
    del cells.layers["counts"]
    with pytest.raises(NotApplicableError, match="needs counts"):
        source.cells(cells)


@pytest.mark.parametrize("layer", [0, -1, -2, -3])
def test_cells_are_what_transformers_gives_cell_by_cell(geneformer, layer):
    adata = some_cells()
    embedding = geneformer_cells(geneformer, adata, layer=layer)
    assert embedding.dtype == np.float32
    np.testing.assert_allclose(embedding, oracle(geneformer, adata, layer), atol=2e-5)


def test_the_default_is_the_second_to_last_layer(geneformer):
    adata = some_cells()
    np.testing.assert_array_equal(geneformer_cells(geneformer, adata), geneformer_cells(geneformer, adata, layer=-1))
    assert not np.allclose(geneformer_cells(geneformer, adata), geneformer_cells(geneformer, adata, layer=0), atol=1e-2)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 16])
def test_batches_and_chunks_change_nothing(geneformer, batch_size):
    adata = some_cells(n=40)
    adata.X[3] = 0
    embedding = geneformer_cells(geneformer, adata, batch_size=batch_size)
    np.testing.assert_allclose(embedding, geneformer_cells(geneformer, adata, batch_size=7), atol=2e-5)


@settings(max_examples=15)
@given(st.data())
def test_a_cell_does_not_depend_on_the_others(geneformer, data):
    counts = np.array(data.draw(st.lists(st.lists(st.integers(0, 3), min_size=N_GENES, max_size=N_GENES), min_size=2)))
    i = data.draw(st.integers(0, len(counts) - 1))
    adata = AnnData(counts.astype(np.float32))
    adata.var_names = GENES
    np.testing.assert_allclose(
        geneformer_cells(geneformer, adata)[i], geneformer_cells(geneformer, adata[[i]])[0], atol=2e-5
    )


def test_the_order_of_columns_changes_nothing(geneformer):
    adata = some_cells()
    order = np.random.default_rng(1).permutation(N_GENES)
    np.testing.assert_array_equal(geneformer_cells(geneformer, adata), geneformer_cells(geneformer, adata[:, order]))


@pytest.mark.parametrize("kind", ["csr", "csc", "sparse_array", "int", "backed", "explicit_zeros"])
def test_any_matrix(geneformer, tmp_path, kind):
    adata = some_cells()
    expected = geneformer_cells(geneformer, adata)
    dense = adata.X
    if kind == "backed":
        adata.X = sparse.csr_matrix(dense)
        adata.write_h5ad(tmp_path / "x.h5ad")
        adata = read_h5ad(tmp_path / "x.h5ad", backed="r")
    elif kind == "explicit_zeros":
        rows, columns = np.indices(dense.shape)
        adata.X = sparse.csr_matrix((dense.ravel().astype(np.float64), (rows.ravel(), columns.ravel())))
    else:
        adata.X = {
            "csr": sparse.csr_matrix,
            "csc": sparse.csc_matrix,
            "sparse_array": sparse.csr_array,
            "int": lambda x: x.astype(np.int32),
        }[kind](dense)
    np.testing.assert_array_equal(geneformer_cells(geneformer, adata), expected)
    if kind == "explicit_zeros":
        assert adata.X.nnz == dense.size, "the input was changed"
    if kind == "backed":
        adata.file.close()


def test_ids_from_a_column_with_versions_and_twice(geneformer):
    adata = some_cells(genes=[*GENES, *GENES[:3], "NKX2-5"])
    adata.var_names = [f"symbol{i}" for i in range(adata.n_vars)]
    adata.var["ensembl_id"] = [*GENES[:10], *(f"{gene}.7" for gene in GENES[10:]), *GENES[:3], None]
    added = some_cells()
    added.X = adata.X[:, :N_GENES].copy()
    added.X[:, :3] += adata.X[:, N_GENES : N_GENES + 3]
    np.testing.assert_allclose(geneformer_cells(geneformer, adata), geneformer_cells(geneformer, added), atol=2e-5)


def test_genes_without_token_or_median_are_left_out(checkpoint):
    factors = medians()
    del factors[GENES[0]]
    factors[GENES[1]] = float("nan")
    (checkpoint / "gene_median_dictionary_gc30M.pkl").write_bytes(pickle.dumps(factors))
    adata = some_cells(genes=[*GENES, "ENSG00000999999"])
    np.testing.assert_allclose(
        geneformer_cells(checkpoint, adata), geneformer_cells(checkpoint, adata[:, GENES[2:]]), atol=2e-5
    )


def test_cells_without_known_genes_are_nan(geneformer):
    adata = some_cells(genes=[*GENES[:5], "A", "B"])
    adata.X[1] = 0
    adata.X[4, :5], adata.X[4, 5] = 0, 9
    embedding = geneformer_cells(geneformer, adata)
    assert np.isnan(embedding).all(axis=1).tolist() == [False, True, False, False, True, False, False]
    assert np.isnan(embedding).any(axis=1).sum() == 2
    assert geneformer_cells(geneformer, adata[:0]).shape == (0, 16)


def test_no_known_gene(checkpoint):
    adata = some_cells(genes=[f"SYMBOL{i}" for i in range(9)])
    with pytest.raises(
        GeneNameError, match=r"None of the 9 names in adata\.var_names .* like 'SYMBOL0', 'SYMBOL1', 'SYMBOL2'\."
    ):
        geneformer_cells(checkpoint, adata)
    adata.var["ensembl_id"] = "ENSMUSG00000059552"
    with pytest.raises(GeneNameError, match=r"None of the 9 names in adata\.var\['ensembl_id'\]"):
        geneformer_cells(checkpoint, adata)


@pytest.mark.parametrize("value", [0.5, -1, np.nan, np.inf])
def test_values_that_are_no_counts(checkpoint, value):
    adata = some_cells()
    adata.X[2, 4] = value
    with pytest.raises(InputError, match=rf"adata\.X has {value:g} in cell 'cell2', gene '{GENES[4]}'.*raw counts"):
        geneformer_cells(checkpoint, adata)


def test_arguments_out_of_range(checkpoint):
    with pytest.raises(InputError, match=r"layer is 1; this model has -3 \(its input\) to 0"):
        geneformer_cells(checkpoint, some_cells(), layer=1)
    with pytest.raises(InputError, match=r"layer is -4"):
        geneformer_cells(checkpoint, some_cells(), layer=-4)
    with pytest.raises(InputError, match=r"batch_size is 0"):
        geneformer_cells(checkpoint, some_cells(), batch_size=0)
    with pytest.raises(InputError, match=r"adata\.X is empty"):
        geneformer_cells(checkpoint, AnnData(obs=some_cells().obs, var=some_cells().var))


def as_bin(directory, **options):
    """The same checkpoint as torch writes it, with the keys of old versions of transformers."""
    from safetensors.torch import load_file

    state = load_file(directory / "model.safetensors")
    state["bert.embeddings.position_ids"] = torch.arange(POSITIONS)[None]
    torch.save(state, directory / "pytorch_model.bin", **options)
    (directory / "model.safetensors").unlink()


def test_an_old_checkpoint(checkpoint):
    expected, tokens = geneformer_cells(checkpoint, some_cells()), read_geneformer_tokens(checkpoint)
    as_bin(checkpoint, _use_new_zipfile_serialization=False)
    config = json.loads((checkpoint / "config.json").read_text())
    kept = "hidden_size intermediate_size num_hidden_layers num_attention_heads max_position_embeddings vocab_size"
    old = {key: config[key] for key in [*kept.split(), "hidden_act", "layer_norm_eps", "type_vocab_size"]}
    extra = {"gradient_checkpointing": False, "position_embedding_type": "absolute", "transformers_version": "4.6.0"}
    (checkpoint / "config.json").write_text(json.dumps({"model_type": "bert", "pad_token_id": 0, **old, **extra}))
    np.testing.assert_array_equal(geneformer_cells(checkpoint, some_cells()), expected)
    np.testing.assert_array_equal(read_geneformer_tokens(checkpoint).matrix, tokens.matrix)


@pytest.mark.parametrize("kind", [BertForMaskedLM, BertForSequenceClassification, BertModel])
@pytest.mark.parametrize("version", ["V1", "V2"])
@pytest.mark.parametrize("padding", [0, 6])
def test_tokens(tmp_path, kind, version, padding):
    names, matrix = read_geneformer_tokens(make(tmp_path, version, kind, padding))
    table = kind.from_pretrained(tmp_path).get_input_embeddings().weight.detach().numpy()
    assert sorted(names) == GENES
    assert matrix.dtype == np.float32
    for name, row in zip(names, matrix, strict=True):
        np.testing.assert_array_equal(row, table[dictionary(version)[name]])


def test_nothing_is_said_about_heads(checkpoint, capfd):
    geneformer_cells(checkpoint, some_cells())
    assert "LOAD REPORT" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_single(checkpoint, half):
    exact = read_geneformer_tokens(checkpoint).matrix
    BertForMaskedLM.from_pretrained(checkpoint).to(half).save_pretrained(checkpoint)
    matrix = read_geneformer_tokens(checkpoint).matrix
    np.testing.assert_array_equal(matrix, torch.tensor(exact).to(half).float().numpy())
    assert geneformer_cells(checkpoint, some_cells()).dtype == np.float32


def test_dictionaries_as_json(checkpoint):
    expected, tokens = geneformer_cells(checkpoint, some_cells()), read_geneformer_tokens(checkpoint)
    for path in list(checkpoint.glob("*.pkl")):
        path.with_suffix(".json").write_text(json.dumps(pickle.loads(path.read_bytes())))
        path.unlink()
    assert read_geneformer_tokens(checkpoint).names == tokens.names
    np.testing.assert_array_equal(geneformer_cells(checkpoint, some_cells()), expected)


class _Program:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"touch {self.trace}",)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
TOKENS, MEDIANS = "token_dictionary_gc30M.pkl", "gene_median_dictionary_gc30M.pkl"
DAMAGE = {
    "no_weights": ("model.safetensors", None, r"has no model\.safetensors or pytorch_model\.bin\. Download .*hugging"),
    "no_tokens": (TOKENS, None, r"has no token_dictionary\*\.pkl\. Download .*token_dictionary_gc104M\.pkl"),
    "no_medians": (MEDIANS, None, r"has no gene_median_dictionary\*\.pkl\. Download"),
    "no_config": ("config.json", None, r"has no config\.json\. Download"),
    "weights_pointer": ("model.safetensors", POINTER, r"model\.safetensors is a pointer of git-lfs.*git lfs pull"),
    "tokens_pointer": (TOKENS, POINTER, r"token_dictionary_gc30M\.pkl is a pointer of git-lfs"),
    "tokens_page": (TOKENS, b"<html>", r"token_dictionary_gc30M\.pkl is a web page"),
    "weights_damaged": ("model.safetensors", b"\x08" * 99, r"model\.safetensors cannot be read.*Download it again"),
    "tokens_damaged": (TOKENS, b"\x80\x04}", r"token_dictionary_gc30M\.pkl cannot be read"),
    "tokens_list": (TOKENS, pickle.dumps(GENES), r"does not hold a dictionary of names but a list"),
    "tokens_of_numbers": (TOKENS, pickle.dumps({0: 1}), r"does not hold a dictionary of names"),
    "tokens_repeated": (TOKENS, pickle.dumps({"A": 1, "B": 1}), r"each of its 2 names a row of its own"),
    "tokens_negative": (TOKENS, pickle.dumps({"A": 1, "B": -1}), r"each of its 2 names a row of its own"),
    "tokens_text": (TOKENS, pickle.dumps({"A": "1"}), r"each of its 1 names a row of its own"),
    "tokens_none": (TOKENS, pickle.dumps({}), r"each of its 0 names a row of its own"),
    "tokens_more": (TOKENS, pickle.dumps({GENES[0]: 22}), r"has 22 tokens, its dictionary 23, of another version"),
    "config_text": ("config.json", b"{", r"config\.json cannot be read: JSONDecodeError"),
    "config_other": ("config.json", b'{"model_type": "llama"}', r"config\.json is of a 'llama', not a 'bert'"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_directory_that_is_incomplete(checkpoint, what):
    file, content, message = DAMAGE[what]
    (checkpoint / file).unlink()
    if content is not None:
        (checkpoint / file).write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        geneformer_cells(checkpoint, some_cells())
    assert str(checkpoint) in str(caught.value)
    if file in {TOKENS, "model.safetensors"}:
        with pytest.raises(ModelError, match=message):
            read_geneformer_tokens(checkpoint)


@pytest.mark.parametrize("read", [read_geneformer_tokens, read_scgpt_tokens])
def test_no_directory(tmp_path, read):
    with pytest.raises(ModelError, match=r"nothing is no directory\. Download"):
        read(tmp_path / "nothing")


def test_a_dictionary_of_another_version(tmp_path):
    make(tmp_path, padding=128)
    with pytest.raises(ModelError, match=r"has 150 tokens, its dictionary 22, of another version"):
        read_geneformer_tokens(tmp_path)
    with pytest.raises(ModelError, match=r"has 150 tokens"):
        geneformer_cells(tmp_path, some_cells())


def test_two_dictionaries(checkpoint):
    shutil.copy(checkpoint / TOKENS, checkpoint / "token_dictionary_gc104M.pkl")
    with pytest.raises(
        ModelError, match=r"token_dictionary_gc104M\.pkl and token_dictionary_gc30M\.pkl\. Keep the one"
    ):
        read_geneformer_tokens(checkpoint)


def test_weights_without_a_layer_or_the_table(checkpoint):
    from safetensors.torch import load_file, save_file

    state = load_file(checkpoint / "model.safetensors")
    del state["bert.encoder.layer.1.output.dense.weight"]
    save_file(state, checkpoint / "model.safetensors", metadata={"format": "pt"})
    assert len(read_geneformer_tokens(checkpoint).names) == N_GENES
    with pytest.raises(ModelError, match=r"lacks the weights encoder\.layer\.1\.output\.dense\.weight"):
        geneformer_cells(checkpoint, some_cells())
    table = state.pop("bert.embeddings.word_embeddings.weight")
    save_file(state, checkpoint / "model.safetensors")
    with pytest.raises(ModelError, match=r"no finite matrix bert\.embeddings\.word_embeddings\.weight; it has \w"):
        read_geneformer_tokens(checkpoint)
    table[3, 0] = torch.nan
    save_file({"embeddings.word_embeddings.weight": table}, checkpoint / "model.safetensors")
    with pytest.raises(ModelError, match=r"no finite matrix"):
        read_geneformer_tokens(checkpoint)


def test_no_program_is_run(checkpoint, tmp_path):
    trace = tmp_path / "trace"
    (checkpoint / TOKENS).write_bytes(pickle.dumps({"A": _Program(trace)}))
    with pytest.raises(DataError, match=r"posix\.system"):
        read_geneformer_tokens(checkpoint)
    (checkpoint / TOKENS).write_bytes(pickle.dumps(dictionary("V1")))
    (checkpoint / "model.safetensors").unlink()
    torch.save({"x": _Program(trace)}, checkpoint / "pytorch_model.bin")
    for read in (read_geneformer_tokens, lambda path: geneformer_cells(path, some_cells())):
        with pytest.raises(ModelError, match=r"pytorch_model\.bin cannot be read"):
            read(checkpoint)
    assert not trace.exists()


VOCABULARY = {"A1BG": 2, "NA": 0, "<pad>": 4, "TP53": 1, "<cls>": 3, "<eoc>": 5}


@pytest.fixture
def scgpt(tmp_path):
    (tmp_path / "vocab.json").write_text(json.dumps(VOCABULARY))

    def save(state, **options):
        torch.save(state, tmp_path / "best_model.pt", **options)
        return tmp_path

    return save


class _GeneEncoder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(len(VOCABULARY), 8)
        self.enc_norm = torch.nn.LayerNorm(8)


@pytest.mark.parametrize("how", ["plain", "nested", "module", "nested_module", "legacy", "half"])
def test_scgpt_tokens(scgpt, how):
    model = torch.nn.ModuleDict({"encoder": _GeneEncoder(), "decoder": torch.nn.Linear(8, 1)})
    model = model.half() if how == "half" else model
    state = model.state_dict()
    if "module" in how:
        state = torch.nn.DataParallel(model).state_dict()
        assert "module.encoder.embedding.weight" in state
    if "nested" in how:
        state = {"epoch": 3, "model_state_dict": state}
    names, matrix = read_scgpt_tokens(scgpt(state, _use_new_zipfile_serialization=how != "legacy"))
    table = model["encoder"].embedding.weight.detach().float().numpy()
    assert names == ["NA", "TP53", "A1BG"]
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, table[[0, 1, 2]])


def test_scgpt_refusals(scgpt, tmp_path):
    with pytest.raises(ModelError, match=r"has no best_model\.pt\. Download .*bowang-lab/scGPT"):
        read_scgpt_tokens(tmp_path)
    with pytest.raises(ModelError, match=r"no finite matrix encoder\.embedding\.weight; it has x, y"):
        read_scgpt_tokens(scgpt({"x": torch.ones(6, 2), "y": torch.ones(1)}))
    with pytest.raises(ModelError, match=r"no finite matrix"):
        read_scgpt_tokens(scgpt({"encoder.embedding.weight": torch.ones(6)}))
    with pytest.raises(ModelError, match=r"has 5 tokens, its dictionary 6, of another version"):
        read_scgpt_tokens(scgpt({"encoder.embedding.weight": torch.ones(5, 2)}))
    with pytest.raises(ModelError, match=r"best_model\.pt cannot be read: AttributeError"):
        read_scgpt_tokens(scgpt([torch.ones(5, 2)]))
    with pytest.raises(ModelError, match=r"best_model\.pt cannot be read: it is damaged, or no plain state dict\."):
        read_scgpt_tokens(scgpt(_GeneEncoder()))
    (tmp_path / "best_model.pt").write_bytes(b"PK")
    with pytest.raises(ModelError, match=r"best_model\.pt cannot be read"):
        read_scgpt_tokens(tmp_path)
    (tmp_path / "vocab.json").write_text("[]")
    with pytest.raises(ModelError, match=r"vocab\.json does not hold a dictionary of names but a list"):
        read_scgpt_tokens(tmp_path)
    (tmp_path / "vocab.json").unlink()
    with pytest.raises(ModelError, match=r"has no vocab\.json"):
        read_scgpt_tokens(tmp_path)
