import pandas as pd
import pytest

from bftembed.genes import GeneTable


@pytest.fixture(scope="session")
def table():
    hgnc = [
        ("TP53", "", "p53"),
        ("SEPTIN1", "DIFF6", ""),
        ("SEPTIN2", "DIFF6, SEPT2", ""),
        ("CD4", "", ""),
        ("MS4A1", "", "CD20"),
    ]
    ensembl = [("ENSG00000141510", "TP53", "17"), ("ENSG00000010610", "CD4", "12")]
    return GeneTable.from_frames(
        pd.DataFrame(hgnc, columns=["Approved symbol", "Previous symbols", "Alias symbols"]),
        ensembl=pd.DataFrame(ensembl, columns=["ensgene", "symbol", "chr"]),
    )
