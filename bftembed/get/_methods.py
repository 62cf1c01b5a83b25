"""A paragraph for the methods of a paper, from the provenance of an embedding."""

from __future__ import annotations

import re
from functools import reduce
from typing import TYPE_CHECKING, Any

from bftembed import data
from bftembed._places import without_places
from bftembed.errors import InputError
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
        If there is no such embedding, or nothing is recorded of how it was made.

    Examples
    --------
    >>> import bftembed as bft
    >>> genes = bft.embed(["TP53"], facts="none", profiles={"TP53": "Guards the genome."})
    >>> print(bft.get.methods(genes).split(". ")[1])
    Texts of 1 of 1 genes were given
    """
    sides = {name: side for name, side in provenance(adata, use_rep).items() if hasattr(side, "get")}
    said = [sentence for name, side in sides.items() for sentence in _sentences(name, side)]
    if not said:
        msg = f"`adata.uns['bft'][{use_rep!r}]` does not say how an embedding was made: name the key of one by use_rep."
        raise InputError(msg)
    versions = dict.fromkeys(str(side["bftembed_version"]) for side in sides.values() if "bftembed_version" in side)
    head = f"Embeddings were made with bftembed {', '.join(versions) or '(version not recorded)'}."
    paragraph = " ".join([head, *said])
    sources = dict.fromkeys(source for side in sides.values() for source in _sources(side))
    own = adata.uns.get("source")
    lines = [f"Data: {own}"] * isinstance(own, str) + [f"Facts: {source}" for source in sources]
    return "\n\n".join([paragraph, *(["Sources:\n" + "\n".join(f"- {line}" for line in lines)] if lines else [])])


def _sentences(name: str, side: Mapping[str, Any]) -> Iterator[str]:
    if "encoder" in side and "n_entities" in side:
        yield _of_texts(side)
        yield from _of_encoder(side["encoder"])
    elif name == "cells":
        yield _of_cells(side)


def _of_texts(side: Mapping[str, Any]) -> str:
    kind, n = str(side.get("kind", "name")), int(side["n_entities"])
    count = f"{int(side.get('n_embedded', n)):,} of {n:,} {_KINDS.get(kind, f'{kind}s')}"
    if "bundle" in side:
        shared = side["bundle"]
        return (
            f"Texts of {count} were those of the bundle {shared['name']} (sha256 {shared['sha256']}; licence: "
            f"{shared['licence']}), made by: {shared['made_by']}."
        )
    if "engine" not in side:
        return f"Texts of {count} were given."
    engine = {str(key): without_places(str(value)) for key, value in side["engine"].items()}
    if engine.get("engine") == "annotation":
        return f"Texts of {count} were put together from annotation, without a language model. {_of_facts(side, n)}"
    revision = f"; revision {engine['revision']}" if engine.get("revision") else ""
    return (
        f"Texts of {count} were written by a language model ({_in_words(engine, side)}{revision}). {_of_facts(side, n)}"
    )


def _in_words(engine: dict[str, str], side: Mapping[str, Any]) -> str:
    template = str(side.get("template", "not recorded"))
    try:
        return Recipe(engine, template, "", dict(side["sampling"]), provenance=engine).words
    except KeyError:  # written before all of it was recorded
        return " ".join(filter(None, [engine.get("engine"), engine.get("model")]))


def _of_facts(side: Mapping[str, Any], n: int) -> str:
    """Absent is not none: former versions did not count."""
    if str(side.get("facts")) == "none" or int(side.get("n_with_facts", -1)) == 0:
        return "The prompts held no facts."
    if "n_with_facts" in side:
        return f"Facts stood in the prompts of {int(side['n_with_facts']):,} of {n:,}."
    return "Whether facts stood in the prompts is not recorded."


def _of_encoder(encoder: Mapping[str, Any]) -> Iterator[str]:
    if encoder.get("encoder") == "none":
        return
    model = without_places(str(encoder.get("model") or encoder.get("spec") or encoder.get("encoder") or "an encoder"))
    more = ", ".join(without_places(str(encoder[key])) for key in ("revision", "version") if encoder.get(key))
    split = int(encoder.get("n_split", 0))
    cut = f", {split:,} of them split at sentence ends and pooled by tokens" if split else ""
    into = f" into {int(encoder['dim']):,} dimensions" if "dim" in encoder else ""
    yield f"They were encoded by {model}{f' ({more})' if more else ''}{into}{cut}."
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
    if "bundle" in side:
        return [str(each) for each in side["bundle"]["sources"]]
    if "engine" not in side:  # facts were looked up, and the texts were given
        return []
    if len(listed := side.get("sources", [])):
        return [str(each) for each in listed]
    used = str(side.get("facts", "none"))
    titles = used.partition(" from ")[2]
    known = [manifest for manifest in data.list_manifests() if str(manifest) in used]
    rest = reduce(lambda text, manifest: text.replace(str(manifest), ""), known, titles)
    # What is no title of today was of another version.
    as_recorded = [f"as recorded, {titles.rstrip(')')}"] if re.search(r"\w", rest) else []
    return [manifest.credit for manifest in known] + as_recorded
