import pandas as pd
import pytest

from bftembed import datasets
from bftembed.genes import GeneTable


@pytest.fixture(scope="session")
def hgnc():
    """A few true rows of HGNC, with names that are previous or alias of several genes."""
    rows = [
        ("TP53", "", "p53, LFS1"),
        ("CAD", "", ""),
        ("B4GALNT2", "", "Cad"),
        ("SEPTIN1", "DIFF6, SEPT1", ""),
        ("SEPTIN2", "DIFF6, NEDD5, SEPT2", ""),
        ("SEPTIN6", "SEPT6", "SEP2, SEPT2"),
        ("SEPTIN8", "SEPT8", "SEP2"),
        ("SELENOF", "SEP15", ""),
        ("MARCHF1", "MARCH1", ""),
        ("MTARC1", "MOSC1, MARC1", ""),
        ("MARCHF3", "MARCH3", ""),
        ("BHLHE40", "STRA13, BHLHB2", "DEC1"),
        ("DELEC1", "DEC1", "CTS9"),
        ("FIRRM", "C1orf112", ""),
        ("SPP1", "", "OPN"),
        ("OPN1SW", "", "OPN"),
        ("ENSA", "", ""),
        ("POU5F1", "", "OCT4"),
        ("CD4", "", ""),
    ]
    return pd.DataFrame(rows, columns=["Approved symbol", "Previous symbols", "Alias symbols"])


@pytest.fixture(scope="session")
def annotables():
    rows = [
        ("ENSG00000141510", "TP53", "17"),
        ("ENSG00000000460", "C1orf112", "1"),
        ("ENSG00000000001", "NOVELG", "2"),
        ("ENSG00000000002", "Y_RNA", "1"),
        ("ENSG00000000003", "Y_RNA", "3"),
        ("ENSG00000000004", "", "3"),
        ("ENSG00000000005", "OPN", "3"),
        ("ENSG00000000009", "CAD", "CHR_HG1_PATCH"),
        ("ENSG00000084774", "CAD", "2"),
        ("ENSG00000000011", "cD4", "2"),
    ]
    return pd.DataFrame(rows, columns=["ensgene", "symbol", "chr"])


@pytest.fixture(scope="session")
def gene_info():
    """Rows as NCBI writes them: an old symbol, a second entry of one gene, one without a symbol, a Neanderthal."""
    columns = ["tax_id", "GeneID", "Symbol", "Synonyms", "dbXrefs", "map_location", "description", "type_of_gene"]
    rows = [
        (9606, 7157, "TP53", "BCC7|LFS1", "HGNC:HGNC:11998|Ensembl:ENSG00000141510", "17p13.1", "tumor protein p53"),
        (9606, 55732, "C1orf112", "-", "Ensembl:ENSG00000000460", "1q24.2", "chromosome 1 open reading frame 112"),
        (9606, 900000, "LOC900000", "OLDLOC", "Ensembl:ENSG00000000460", "-", "uncharacterized LOC900000"),
        (9606, 8553, "STRA13", "DEC1", "-", "3p26.1", "stimulated by retinoic acid 13"),
        (9606, 900001, "LOC900001", "BCC7", "Ensembl:ENSG00000077777", "-", "uncharacterized"),
        (9606, 900003, "CD4", "-", "Ensembl:ENSG00000077777", "-", "CD4 molecule"),
        (9606, 900002, "NEWENTRY", "-", "-", "-", "Record to support submission of GeneRIFs"),
        (9606, 5, "AA", "-", "-", "-", "androgenetic alopecia"),
        (63221, 6, "NEANDER", "-", "-", "-", "a Neanderthal gene"),
    ]
    types = [
        "protein-coding",
        "protein-coding",
        "ncRNA",
        "protein-coding",
        "ncRNA",
        "protein-coding",
        "other",
        "unknown",
    ]
    frame = pd.DataFrame(rows, columns=columns[:-1])
    return frame.assign(type_of_gene=[*types, "ncRNA"])


@pytest.fixture(scope="session")
def toy(hgnc, gene_info, annotables):
    return GeneTable.from_frames(hgnc, ncbi=gene_info, ensembl=annotables)


@pytest.fixture(scope="session")
def real_table(mirror):
    return datasets.gene_table()
