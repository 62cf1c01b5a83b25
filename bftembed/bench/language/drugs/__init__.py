"""What drugs do to genes, on data of the user."""
