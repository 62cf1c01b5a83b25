"""Checkpoints of Geneformer and scGPT: the vectors of their gene tokens, and Geneformer's embeddings of cells."""

from __future__ import annotations

import json
import logging
import pickle
import re
import zipfile
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from bftembed._progress import progress
from bftembed.data import read_pickle
from bftembed.errors import BftembedError, GeneNameError, InputError, ModelError
from bftembed.genes.ids import strip_version
from bftembed.models.files import loading_quietly
from bftembed.vectors import Vectors, impostor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from anndata import AnnData
    from numpy.typing import NDArray

logger = logging.getLogger("bftembed")

_GENEFORMER = (
    "Download a model's folder of https://huggingface.co/ctheodoris/Geneformer, and into it, from the folder "
    "`geneformer`, token_dictionary_gc104M.pkl and gene_median_dictionary_gc104M.pkl (V2), or from its folder "
    "`gene_dictionaries_30m` those of gc30M (V1)."
)
_SCGPT = "Download best_model.pt and vocab.json of a model linked in the README of https://github.com/bowang-lab/scGPT."
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_ROUNDING = 128  # tables are padded to multiples of 8 to 128 for speed; more rows belong to another dictionary


def read_geneformer_tokens(directory: Path) -> Vectors:
    """Read the table in which Geneformer looks up its gene tokens: Ensembl ids, as they stand, and (n, d) float32.

    The directory has ``model.safetensors`` or ``pytorch_model.bin``, of which only this table is kept, and one
    ``token_dictionary*.pkl`` or ``.json``, Ensembl id to row. ``<pad>``, ``<mask>``, ``<cls>`` and ``<eos>`` are left
    out. Theodoris et al., Nature 618 (2023).

    Raises
    ------
    ModelError, DataError
        If a file is missing, is not what its name says, or the dictionary belongs to another model.
    """
    tokens = _tokens(_only(directory, "token_dictionary"))
    path = _file(directory, _WEIGHTS, _GENEFORMER)
    keys = ("bert.embeddings.word_embeddings.weight", "embeddings.word_embeddings.weight")
    return _named(tokens, _tensor(path, keys), path)


def read_scgpt_tokens(directory: Path) -> Vectors:
    """Read scGPT's raw table of gene tokens, ``encoder.embedding.weight``: gene symbols and (n, d) float32.

    The directory has ``best_model.pt``, a state dict, plain or under ``model_state_dict``, with or without the prefix
    ``module.`` of parallel training, and ``vocab.json``, symbol to row. ``<pad>``, ``<cls>``, ``<eoc>`` are left out.

    scGPT's ``GeneEncoder`` (``scgpt/model/model.py`` of bowang-lab/scGPT) applies a LayerNorm, ``encoder.enc_norm``, to
    what it looks up in this table; it is not applied here. Cui et al., Nature Methods 21 (2024).

    Raises
    ------
    ModelError
        If a file is missing, is not what its name says, or the vocabulary belongs to another model.
    """
    tokens = _tokens(_file(directory, ("vocab.json",), _SCGPT))
    path = _file(directory, ("best_model.pt",), _SCGPT)
    return _named(tokens, _tensor(path, ("encoder.embedding.weight", "module.encoder.embedding.weight")), path)


def geneformer_cells(directory: Path, adata: AnnData, *, batch_size: int = 16, layer: int = -1) -> NDArray[np.float32]:
    """Embed cells with Geneformer: (n_obs, d) float32, the mean hidden state of a cell's genes.

    A cell is its genes by descending value: the count, over the cell's total of all genes, times 10,000, over the
    gene's median in the pretraining corpus; of equal values the lower token id is first. It is cut at the model's
    ``max_position_embeddings`` (2,048 in V1, 4,096 in V2). ``<cls>`` and ``<eos>``, where the dictionary has them (V2),
    stand around the genes, count as length, and are left out of the mean. Padding is masked: a cell does not depend on
    the others. Theodoris et al., Nature 618 (2023); ``tokenizer.py``, ``emb_extractor.py`` of ctheodoris/Geneformer.

    Parameters
    ----------
    directory
        As for `read_geneformer_tokens`, with ``config.json`` and one ``gene_median_dictionary*.pkl`` or ``.json``.
    adata
        (n_obs, n_vars) raw counts of all genes in ``X``, Ensembl ids in ``var["ensembl_id"]`` or else ``var_names``.
        Versions are dropped, counts of one id added, genes without token or median left out; without any a cell is NaN.
    batch_size
        Cells that go through the model together.
    layer
        Geneformer's ``emb_layer``, for L layers: 0 the last, -1 (its default) the second to last, -L the input.

    Raises
    ------
    ModelError, DataError
        If a file is missing, is not what its name says, or the dictionary belongs to another model.
    GeneNameError
        If none of the genes is known.
    InputError
        If `X` has other values than counts, or `layer` or `batch_size` is out of range.
    """
    if batch_size < 1:
        _refuse(f"batch_size is {batch_size}; at least one cell must go through the model at a time.", InputError)
    tokens = _tokens(_only(directory, "token_dictionary"))
    genes = _known_genes(adata, tokens, _dictionary(_only(directory, "gene_median_dictionary")))
    model = _encoder(directory, layer, tokens)
    ends = [[tokens["<cls>"]], [tokens["<eos>"]]] if {"<cls>", "<eos>"} <= tokens.keys() else [[], []]
    longest = model.config.max_position_embeddings - sum(map(len, ends))
    embedding = np.full((adata.n_obs, model.config.hidden_size), np.nan, dtype=np.float32)
    step = 8 * batch_size
    with progress(adata.n_obs, "Geneformer", "cell") as shown:
        for start in range(0, adata.n_obs, step):
            cells = [cell[:longest] for cell in _ranked(adata[start : start + step], *genes)]
            # Cells of about the same length go together, so that little padding is computed.
            order = sorted((i for i, cell in enumerate(cells) if len(cell)), key=lambda i: len(cells[i]))
            for first in range(0, len(order), batch_size):
                batch = order[first : first + batch_size]
                embedding[np.add(batch, start)] = _pooled(model, [cells[i] for i in batch], ends)
            shown.update(len(cells))
    return embedding


def _known_genes(adata: AnnData, tokens: Mapping[str, int], medians: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Token ids and medians (k,) of the known genes, and which columns of the counts (n_vars, k) they are sums of."""
    from scipy.sparse import csr_matrix

    where = "var['ensembl_id']" if "ensembl_id" in adata.var else "var_names"
    names = list(map(str, adata.var.get("ensembl_id", adata.var_names)))
    ids = [strip_version(name.strip()) for name in names]
    known = [gene for gene in set(ids) & tokens.keys() & medians.keys() if 0 < float(medians[gene]) < np.inf]
    known.sort(key=tokens.__getitem__)
    if not known:
        _refuse(
            f"None of the {len(names)} names in adata.{where} has a token and a median in the dictionaries; they "
            f"look like {', '.join(map(repr, names[:3]))}. Put Ensembl gene ids, such as 'ENSG00000141510', into "
            "adata.var['ensembl_id'].",
            GeneNameError,
        )
    position = {gene: j for j, gene in enumerate(known)}
    pairs = np.array([(i, position[gene]) for i, gene in enumerate(ids) if gene in position])
    logger.info("Geneformer knows %d of %d genes.", len(pairs), len(ids))
    columns = csr_matrix((np.ones(len(pairs)), pairs.T), shape=(len(ids), len(known)))
    return np.array([tokens[gene] for gene in known]), np.array([float(medians[gene]) for gene in known]), columns


def _ranked(cells: AnnData, tokens: Any, medians: Any, columns: Any) -> list[NDArray[np.int64]]:
    """Token ids of each cell's genes by descending value."""
    from scipy.sparse import csr_matrix

    x: Any = cells.X
    if x is None:
        _refuse("adata.X is empty. Put raw counts into it, e.g. adata.X = adata.layers['counts'].", InputError)
    counts = csr_matrix(x.compute() if hasattr(x, "compute") else x, dtype=np.float64)
    wrong = ~(np.isfinite(counts.data) & (counts.data >= 0) & (counts.data == np.round(counts.data)))
    for k in np.flatnonzero(wrong)[:1]:
        cell = cells.obs_names[np.searchsorted(counts.indptr, k, side="right") - 1]
        _refuse(
            f"adata.X has {counts.data[k]:g} in cell {cell!r}, gene {cells.var_names[counts.indices[k]]!r}. Geneformer "
            "ranks raw counts, whole numbers from zero on: put them into X, e.g. adata.X = adata.layers['counts'].",
            InputError,
        )
    known = csr_matrix(counts @ columns)
    known.eliminate_zeros()
    ranked = []
    for i, total in enumerate(np.asarray(counts.sum(axis=1)).ravel()):
        row = slice(known.indptr[i], known.indptr[i + 1])
        values = known.data[row] / total * 10_000 / medians[known.indices[row]]
        found = tokens[known.indices[row]]
        ranked.append(found[np.lexsort((found, -values))])
    return ranked


def _encoder(directory: Path, layer: int, tokens: Mapping[str, int]) -> Any:
    """The model up to the layer that is asked for, in float32, on the GPU if there is one."""
    import torch
    from transformers import BertModel

    config = _dictionary(_file(directory, ("config.json",), _GENEFORMER))
    if config.get("model_type") != "bert":
        _refuse(f"{directory}: config.json is of a {config.get('model_type')!r}, not a 'bert'. {_GENEFORMER}")
    path = _file(directory, _WEIGHTS, _GENEFORMER)
    # No word about the checkpoint's heads, which are left out on purpose.
    kind: Any = type("BertModel", (BertModel,), {"_keys_to_ignore_on_load_unexpected": ["."]})
    load = kind.from_pretrained
    with loading_quietly(), _reading(path):
        model, found = load(directory, add_pooling_layer=False, dtype=torch.float32, output_loading_info=True)
    if found["missing_keys"]:
        _refuse(f"{path} lacks the weights {', '.join(sorted(found['missing_keys'])[:3])} ... {_GENEFORMER}")
    _refuse_other_size(tokens, model.config.vocab_size, path)
    n_layers = model.config.num_hidden_layers
    if not -n_layers <= layer <= 0:
        _refuse(f"layer is {layer}; this model has {-n_layers} (its input) to 0 (its last layer).", InputError)
    model.encoder.layer = model.encoder.layer[: n_layers + layer]
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def _pooled(model: Any, cells: Sequence[NDArray[np.int64]], ends: Sequence[list[int]]) -> NDArray[np.float32]:
    import torch

    before, after = map(len, ends)
    lengths = torch.tensor([len(cell) for cell in cells])[:, None]
    places = torch.arange(int(lengths.max()) + before + after)[None, :]
    ids = torch.zeros((len(cells), places.shape[1]), dtype=torch.long)  # what stands in the padding is masked
    for i, cell in enumerate(cells):
        ids[i, : before + len(cell) + after] = torch.tensor([*ends[0], *cell.tolist(), *ends[1]])
    mask = (places < before + lengths + after).long()
    with torch.inference_mode():
        hidden = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device)).last_hidden_state.cpu()
    outside = (places < before) | (places >= before + lengths)
    return np.asarray(hidden.masked_fill(outside[:, :, None], 0).sum(dim=1) / lengths, dtype=np.float32)


def _refuse(msg: str, kind: type[BftembedError] = ModelError) -> NoReturn:
    raise kind(msg)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except BftembedError:
        raise
    except Exception as error:  # a damaged file makes the libraries raise anything
        unsafe = isinstance(error, pickle.UnpicklingError)  # torch's own text advises to run it nevertheless
        what = "it is damaged, or no plain state dict" if unsafe else f"{type(error).__name__}: {str(error)[:300]}"
        msg = f"{path} cannot be read: {what.rstrip('.')}. Download it again."
        raise ModelError(msg) from error


def _file(directory: Path, names: Sequence[str], how: str) -> Path:
    path = next((directory / name for name in names if (directory / name).is_file()), None)
    if path is None:
        _refuse(f"{directory} {'has no ' + ' or '.join(names) if directory.is_dir() else 'is no directory'}. {how}")
    with path.open("rb") as file:
        if what := impostor(file.read(512)):
            _refuse(f"{path} {what}")
    return path


def _only(directory: Path, stem: str) -> Path:
    found = sorted(path.name for path in directory.glob(f"{stem}*") if path.suffix in {".pkl", ".json"})
    if len(found) > 1:
        _refuse(f"{directory} has {' and '.join(found)}. Keep the one that belongs to this model.")
    return _file(directory, found or [f"{stem}*.pkl"], _GENEFORMER)


def _dictionary(path: Path) -> dict[str, Any]:
    with _reading(path):
        content = read_pickle(path) if path.suffix == ".pkl" else json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        _refuse(f"{path} does not hold a dictionary of names but a {type(content).__name__}. Download it again.")
    return content


def _tokens(path: Path) -> dict[str, int]:
    content = _dictionary(path)
    rows = {int(row) for row in content.values() if isinstance(row, int | np.integer) and row >= 0}
    if len(rows) < len(content) or not rows:
        _refuse(f"{path} does not give each of its {len(content)} names a row of its own. Download it again.")
    return {name: int(row) for name, row in content.items()}


def _tensor(path: Path, keys: Sequence[str]) -> NDArray[np.float32]:
    """The matrix of a checkpoint that has one of these names; of a safetensors file nothing else is read."""
    import torch
    from safetensors import safe_open

    with ExitStack() as stack:
        stack.enter_context(_reading(path))
        if path.suffix == ".safetensors":
            file: Any = stack.enter_context(safe_open(path, framework="pt"))
            names, get = list(file.keys()), file.get_tensor
        else:
            file = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
            file = file.get("model_state_dict", file)
            names, get = list(file), file.__getitem__
        table: NDArray[np.float32] = next((get(key) for key in keys if key in names), torch.empty(0)).float().numpy()
    if table.ndim != 2 or not np.isfinite(table).all():
        _refuse(f"{path} has no finite matrix {keys[0]}; it has {', '.join(names[:5])} ... Download it again.")
    return table


def _named(tokens: Mapping[str, int], table: NDArray[np.float32], path: Path) -> Vectors:
    _refuse_other_size(tokens, len(table), path)
    genes = sorted((row, name) for name, row in tokens.items() if not re.fullmatch("<.*>", name))
    return Vectors([name for _, name in genes], table[[row for row, _ in genes]])


def _refuse_other_size(tokens: Mapping[str, int], rows: int, path: Path) -> None:
    needed = max(tokens.values()) + 1
    if not needed <= rows < needed + _ROUNDING:
        _refuse(f"{path} has {rows} tokens, its dictionary {needed}, of another version. Replace the dictionary.")
