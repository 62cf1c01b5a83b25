"""Knowledge-aware embeddings of genes, cells and perturbations."""
