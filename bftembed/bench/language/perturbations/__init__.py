"""What a perturbation does to a gene."""
