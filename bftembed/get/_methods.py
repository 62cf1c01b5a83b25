"""A paragraph for the methods of a paper, from the provenance of an embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bftembed import data
from bftembed.get._provenance import provenance
from bftembed.profiles import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from anndata import AnnData

_KINDS = {"gene": "genes", "cell": "cells", "cell_type": "cell types", "drug": "drugs", "gene_set": "gene sets"}
_CARDS = "Licence and citation of the model and of the encoder are stated in their own cards."


def methods(adata: AnnData, use_rep: str = "X_bft") -> str:
    """How an embedding was made, in words for the methods of a paper, with sources, licences and whom to cite.

    Nothing is said that the provenance does not hold: look it over, and add why it was done.

    Parameters
    ----------
    adata
        With an embedding of this package.
    use_rep
        Its key.

    Returns
    -------
    str
        A paragraph; then, where facts stood in the prompts or the data say where they are from, a line for each source:
        title, version, licence, citation.

    Raises
    ------
    InputError
        If there is no such embedding.

    Examples
    --------
    >>> import bftembed as bft
    >>> genes = bft.embed(["TP53"], facts="none", profiles={"TP53": "Guards the genome."})
    >>> print(bft.get.methods(genes).split(". ")[1])
    Texts of 1 of 1 genes were given
    """
    sides = {name: side for name, side in provenance(adata, use_rep).items() if hasattr(side, "get")}
    said = [sentence for name, side in sides.items() for sentence in _sentences(name, side)]
    versions = dict.fromkeys(str(side["bftembed_version"]) for side in sides.values() if "bftembed_version" in side)
    head = f"Embeddings were made with bftembed {', '.join(versions) or '(version not recorded)'}."
    paragraph = " ".join([head, *said])
    sources = dict.fromkeys(source for side in sides.values() for source in _sources(side))
    own = adata.uns.get("source")
    lines = [f"Data: {own}"] * isinstance(own, str) + [f"Facts: {source}" for source in sources]
    return "\n\n".join([paragraph, *(["Sources:\n" + "\n".join(f"- {line}" for line in lines)] if lines else [])])


def _sentences(name: str, side: Mapping[str, Any]) -> Iterator[str]:
    if "encoder" in side and "n_entities" in side:
        yield from _of_texts(side)
    elif name == "cells":
        yield _of_cells(side)


def _of_texts(side: Mapping[str, Any]) -> Iterator[str]:
    what = _KINDS.get(str(side.get("kind")), f"{side.get('kind')}s")
    count = f"{int(side['n_embedded']):,} of {int(side['n_entities']):,} {what}"
    if "engine" not in side:
        yield f"Texts of {count} were given."
    else:
        engine = {str(key): str(value) for key, value in side["engine"].items()}
        recipe = Recipe(
            engine, str(side["template"]), str(side["template_digest"]), dict(side["sampling"]), provenance=engine
        )
        if engine["engine"] == "annotation":
            yield f"Texts of {count} were put together from annotation, without a language model."
        else:
            revision = f"; revision {engine['revision']}" if engine.get("revision") else ""
            yield f"Texts of {count} were written by a language model ({recipe.words}{revision})."
        facts = int(side.get("n_with_facts", 0))
        yield f"Facts stood in the prompts of {facts:,} of them." if facts else "The prompts held no facts."
    encoder = side["encoder"]
    if encoder.get("encoder") == "none":
        return
    model = encoder.get("model") or encoder.get("spec") or encoder.get("encoder")
    more = ", ".join(str(encoder[key]) for key in ("revision", "version") if encoder.get(key))
    split = int(encoder.get("n_split", 0))
    cut = f", {split:,} of them split at sentence ends and pooled by tokens" if split else ""
    yield f"They were encoded by {model}{f' ({more})' if more else ''} into {int(encoder['dim']):,} dimensions{cut}."
    yield _CARDS


def _of_cells(side: Mapping[str, Any]) -> str:
    if "n_genes_used" not in side:
        return f"Cells were embedded by the method {side.get('method', 'not recorded')!r}."
    head = f"Vectors of {int(side['n_cells']):,} cells were made of those of {int(side['n_genes_used']):,} genes"
    matrix = f"({side.get('matrix', 'X')}, {side.get('values', 'values not recorded')})"
    if side.get("method") == "contrast":
        scaled = " in s.d." if side.get("weights") == "zscore" else ""
        by = f" of its batch ({side['batch_key']})" if side.get("batch_key") else ""
        usual = "these cells" if side.get("reference") == "these cells" else "other cells"
        how = f"weighted by the departure{scaled} of log-normalised expression from the mean{by} over {usual}"
    else:
        how = f"as their mean weighted by expression ({side.get('weights')})"
    whitened = f"; gene vectors were whitened (power {float(side['whiten']):g})" if "whiten" in side else ""
    empty = int(side.get("n_empty", 0))
    without = f" {empty:,} cells expressed none of these genes." if empty else ""
    return f"{head} {how} {matrix}{whitened}.{without}"


def _sources(side: Mapping[str, Any]) -> list[str]:
    """Title, version, licence and citation of what stood in prompts, found again by the titles that were recorded."""
    if len(listed := side.get("sources", [])):
        return [str(each) for each in listed]
    used = str(side.get("facts", "none"))
    if used == "none":
        return []
    return [manifest.credit for manifest in data.list_manifests() if str(manifest) in used]
