import csv
import gzip
import io
import json
import os
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bftembed.errors import DataError
from bftembed.vectors import read_file

NAMES = ["TP53", "NA", "nan"]
MATRIX = np.array([[0.5, -1.25e-3], [3, 7], [np.nan, np.nan]], dtype=np.float32)


def write_csv(path, names, matrix, delimiter=","):
    """Written by hand, `repr` of each number, with nothing of pandas that also reads."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["gene", *(f"dim_{j}" for j in range(matrix.shape[1]))])
    for name, row in zip(names, matrix, strict=True):
        writer.writerow([name, *("" if np.isnan(value) else repr(float(value)) for value in row)])
    raw = text.getvalue().encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


def write_word2vec(path, names, matrix, *, header=True, separator=" ", end=""):
    lines = [f"{len(names)} {matrix.shape[1]}"] if header else []
    for name, row in zip(names, matrix, strict=True):
        lines.append(name + separator + " ".join(repr(float(value)) for value in row) + end)
    raw = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


WRITERS = {
    "x.csv": write_csv,
    "x.CSV": write_csv,
    "x.csv.gz": write_csv,
    "x.tsv": lambda path, names, matrix: write_csv(path, names, matrix, "\t"),
    "x.tsv.gz": lambda path, names, matrix: write_csv(path, names, matrix, "\t"),
    "x.txt": write_word2vec,
    "x.vec": lambda path, names, matrix: write_word2vec(path, names, matrix, header=False),
    "x.v1.w2v": lambda path, names, matrix: write_word2vec(path, names, matrix, separator="\t", end=" "),
    "y.w2v": lambda path, names, matrix: write_word2vec(path, names, matrix, separator="\t", header=False, end=" "),
    "x.txt.gz": write_word2vec,
    "x.parquet": lambda path, names, matrix: pd.DataFrame(matrix, index=names).rename(columns=str).to_parquet(path),
    "y.parquet": lambda path, names, matrix: pd.DataFrame(
        {"gene": names} | {f"dim_{j}": matrix[:, j] for j in range(matrix.shape[1])}
    ).to_parquet(path),
    "x.npz": lambda path, names, matrix: np.savez(path, names=np.array(names), matrix=matrix),
    "y.npz": lambda path, names, matrix: np.savez_compressed(path, names=np.array(names), X=matrix.astype(np.float64)),
    "z.npz": lambda path, names, matrix: np.savez(path, names=np.array(names), embeddings=matrix, other=1),
    "x.pickle": lambda path, names, matrix: path.write_bytes(
        pickle.dumps({name: row.tolist() for name, row in zip(names, matrix, strict=True)})
    ),
    "x.pkl": lambda path, names, matrix: path.write_bytes(pickle.dumps(dict(zip(names, matrix, strict=True)), 2)),
}


@pytest.mark.parametrize("file", WRITERS)
def test_each_kind_of_file_gives_the_same(tmp_path, file):
    path = tmp_path / file
    WRITERS[file](path, NAMES, MATRIX)
    names, matrix = read_file(path)
    assert names == NAMES
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, MATRIX)


WORD = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8).map(
    lambda text: "g" + text
)


@st.composite
def vectors(draw):
    names = draw(st.lists(WORD, min_size=1, max_size=6, unique=True))
    shape = len(names), draw(st.integers(1, 4))
    matrix = draw(arrays(np.float32, shape, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
    absent = draw(arrays(np.bool_, len(names)).filter(lambda rows: not rows.all()))
    return names, np.where(absent[:, None], np.float32(np.nan), matrix)


@pytest.mark.parametrize("file", WRITERS)
@settings(max_examples=25)
@given(content=vectors())
def test_what_is_written_is_read(tmp_path_factory, file, content):
    path = tmp_path_factory.mktemp("round") / file
    WRITERS[file](path, *content)
    names, matrix = read_file(path)
    assert names == content[0]
    np.testing.assert_array_equal(matrix, content[1])


def test_real_csv(mirror):
    path = mirror / "embeddings" / "scouter_Embedding_small_genept.csv.gz"
    names, matrix = read_file(path)
    oracle = pd.read_csv(path, index_col=0, keep_default_na=False)
    assert names == oracle.index.tolist()
    np.testing.assert_array_equal(matrix, oracle.to_numpy(dtype=np.float32))
    assert matrix.shape == (87, 1536)


def test_real_csv_transposed_is_refused(mirror, tmp_path):
    path = tmp_path / "x.csv"
    pd.read_csv(mirror / "embeddings" / "scouter_Embedding_small_genept.csv.gz", index_col=0).T.to_csv(path)
    with pytest.raises(DataError, match=r"called '0', '1' \.\.\., which name no genes\. .* transpose the file"):
        read_file(path)


ACCEPTED = {
    "bom_and_crlf": ("x.csv", b"\xef\xbb\xbfgene,a,b\r\nTP53,1,2\r\n\r\nMYC,3,4\r\n"),
    "header_of_r": ("x.tsv", b"a\tb\nTP53\t1\t2\nMYC\t3\t4\n"),
    "quoted": ("x.csv", b'"","a","b"\n"TP53","1","2"\n"MYC",3,4e0\n'),
    "columns_counted": ("x.csv", b",0,1\nTP53,1,2\nMYC,3,4\n"),
    "columns_counted_from_1": ("x.csv", b",1,2\nTP53,1,2\nMYC,3,4\n"),
    "blanks": ("x.txt", b"  TP53  1   2 \n\nMYC 3 4"),
    "blanks_around_names": ("x.csv", b"gene,a,b\n TP53 ,1, 2\nMYC ,3,4\n"),
    "bom_without_header": ("x.txt", b"\xef\xbb\xbfTP53 1 2\nMYC 3 4\n"),
    "header_with_tab": ("x.w2v", b"2\t2\nTP53\t1\t2\nMYC\t3 4 \n"),
}


@pytest.mark.parametrize("what", ACCEPTED)
def test_how_others_write(tmp_path, what):
    file, content = ACCEPTED[what]
    (tmp_path / file).write_bytes(content)
    names, matrix = read_file(tmp_path / file)
    assert names == ["TP53", "MYC"]
    np.testing.assert_array_equal(matrix, [[1, 2], [3, 4]])


@pytest.mark.parametrize("file", ["x.csv", "x.parquet", "x.npz", "x.pickle"])
def test_entrez_ids_are_names(tmp_path, file):
    path = tmp_path / file
    if file == "x.csv":
        path.write_text("entrez,a\n7157,1\n4609,2\n")
    elif file == "x.parquet":
        pd.DataFrame({"entrez": [7157, 4609], "a": [1, 2]}).to_parquet(path)
    elif file == "x.npz":
        np.savez(path, names=np.array([7157, 4609]), X=np.array([[1], [2]]))
    else:
        path.write_bytes(pickle.dumps({7157: [1], 4609: [2]}))
    names, matrix = read_file(path)
    assert names == ["7157", "4609"]
    np.testing.assert_array_equal(matrix, [[1], [2]])


def test_a_name_with_a_blank_stands_before_a_tab(tmp_path):
    (tmp_path / "x.txt").write_text("miR 21\t1 2\nMYC\t3 4\n")
    assert read_file(tmp_path / "x.txt").names == ["miR 21", "MYC"]


def test_numbers_that_are_missing_in_parquet(tmp_path):
    frame = pd.DataFrame({"g": ["A", "B"], "a": pd.array([1, None], dtype="Int64"), "b": [0.5, np.nan]})
    frame.to_parquet(tmp_path / "x.parquet")
    np.testing.assert_array_equal(read_file(tmp_path / "x.parquet").matrix, [[1, 0.5], [np.nan, np.nan]])


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
PAGE = b"\n<!DOCTYPE html><html><body>Sign in</body></html>"
ZIPPED = gzip.compress(b"gene,a\n" + b"".join(b"G%d,%d\n" % (i * 7, i) for i in range(2000)))

TEXTS = {
    "empty": ("x.csv", b"", r"x\.csv is empty"),
    "suffix": ("x.bin", b"1", r"suffix '\.bin'; read are \.csv, \.csv\.gz, .*\.pkl, \.parquet, \.npz"),
    "no_suffix": ("x", b"1", r"suffix ''"),
    "gz_of_what": ("x.npz.gz", b"1", r"suffix '\.npz\.gz'"),
    "page": ("x.csv", PAGE, r"x\.csv is a web page"),
    "page_pickle": ("x.pkl", PAGE, r"is a web page"),
    "page_parquet": ("x.parquet", PAGE, r"is a web page"),
    "zipped_page": ("x.csv.gz", gzip.compress(PAGE), r"is a web page"),
    "page_named_gz": ("x.csv.gz", PAGE, r"is a web page"),
    "pointer": ("x.npz", POINTER, r"is a pointer of git-lfs, not the file\. Run `git lfs pull`"),
    "pointer_named_gz": ("x.csv.gz", POINTER, r"is a pointer of git-lfs"),
    "truncated_gz": ("x.csv.gz", ZIPPED[:-40], r"cannot be read as \.csv\.gz: EOFError: .*end-of-stream.*Download"),
    "no_gz": ("x.csv.gz", b"gene,a\nTP53,1\n", r"cannot be read as \.csv\.gz: BadGzipFile"),
    "gz_without_suffix": ("x.csv", ZIPPED, r"compressed with gzip\..* x\.csv\.gz"),
    "latin": ("x.csv", "gene,a\nTP5é,1\n".encode("latin-1"), r"UnicodeDecodeError.*0xe9.* Save it as UTF-8"),
    "header_only": ("x.csv", b"gene,a,b\n", r"holds no vectors, in 0 rows"),
    "blank_lines": ("x.txt", b"\n\n", r"holds no vectors, in 0 rows"),
    "all_missing": ("x.csv", b"gene,a\nTP53,\nMYC,NA\n", r"holds no vectors, in 2 rows"),
    "no_header": ("x.csv", b"TP53,0.1,0.2\nMYC,1,2\n", r"no header but 'TP53,0\.1,0\.2'"),
    "ragged": ("x.csv", b"gene,a,b\nTP53,1,2\nMYC,3\n", r"Line 3 of .*x\.csv \('MYC'\) has 1 numbers, line 2 has 2"),
    "long": ("x.csv", b"gene,a,b\n\nTP53,1,2\nMYC,3,4,5\n", r"Line 4 of .*\('MYC'\) has 3 numbers, line 3 has 2"),
    "header_short": ("x.csv", b"a\nTP53,1,2,3\n", r"1 fields in its header \('a'\) and 4 in line 2"),
    "header_long": ("x.csv", b"gene,a,b,c\nTP53,1,2\nMYC,1,2\n", r"4 fields in its header .* and 3 in line 2"),
    "semicolons": ("x.csv", b"gene;a\nTP53;1\n", r"Line 2 of .*\('TP53;1'\) has 0 numbers"),
    "commas_in_tsv": ("x.tsv", b"gene,a\nTP53,1\n", r"Line 2 of .*has 0 numbers.* tabs in \.tsv"),
    "commas_in_txt": ("x.txt", b"TP53,1,2\n", r"Line 1 of .*has 0 numbers.* commas in \.csv"),
    "cell": ("x.csv", b"gene,a,b\nTP53,1,2\nMYC,3,low\n", r"Line 3 of .*\('MYC'\) has 'low' in column 3 \('b'\)"),
    "cell_of_r": ("x.tsv", b"a\tb\nTP53\t1\tlow\n", r"Line 2 of .* has 'low' in column 3, which is no number"),
    "decimal_comma": ("x.tsv", b"gene\ta\nTP53\t0,5\n", r"has '0,5' in column 2 \('a'\).* decimal point"),
    "underscore": ("x.csv", b"gene,a\nTP53,1_000\n", r"has '1_000'"),
    "second_names": ("x.csv", b"gene,id,a\nTP53,ENSG1,1\n", r"'ENSG1' in column 2 \('id'\).*one column of names"),
    "quote": ("x.csv", b'gene,a\n"TP53"x,1\n', r"Line 2 of .* cannot be cut into fields"),
    "partly": ("x.csv", b"gene,a,b\nTP53,1,2\nMYC,NaN,4\n", r"line 3 \('MYC'\), number a, is missing; so are 0 others"),
    "infinite": ("x.csv", b"gene,a,b\nTP53,1,2\nMYC,3,-inf\n", r"line 3 \('MYC'\), number b, is infinite"),
    "too_large": ("x.txt", b"TP53 1 2\nMYC 3 1e39\n", r"line 2 \('MYC'\), number 2, is .*too large for float32"),
    "no_name": ("x.csv", b"gene,a\nTP53,1\n ,2\n", r"line 3 has the name ' '"),
    "repeated": ("x.csv", b"g,a\nTP53,1\nMYC,2\nTP53 ,3\n", r"1 names stand in more than one row of .*: 'TP53'\. Keep"),
    "six_repeated": (
        "x.txt",
        b"".join(b"G%c 1\n" % c for c in b"abcdefabcdef"),
        r"6 names .* 'Ga', 'Gb', 'Gc', 'Gd', 'Ge' \.\.\.\. Keep",
    ),
    "counted": ("x.csv", b"g,TP53,MYC\n1,1,2\n2,3,4\n", r"called '1', '2' \.\.\., which name no genes"),
    "dimensions": ("x.csv", b"g,TP53,MYC\ndim_0,1,2\ndim_1,3,4\n", r"called 'dim_0', 'dim_1'"),
    "components": ("x.tsv", b"g\tTP53\nPC1\t1\nPC2\t3\n", r"called 'PC1', 'PC2'"),
    "cut_short": ("x.txt", b"3 2\nTP53 1 2\nMYC 3 4\n", r"announces 3 vectors of 2 and holds 2 of 2"),
    "announced_width": ("x.txt", b"1 3\nTP53 1 2\n", r"announces 1 vectors of 3 and holds 1 of 2"),
    "nothing_announced": ("x.txt", b"0 2\n", r"announces 0 vectors of 2 and holds 0|holds no vectors"),
    "txt_with_header": ("x.txt", b"gene a b\nTP53 1 2\n", r"Line 1 of .*\('gene'\) has 'a' in column 2"),
    "ragged_text": ("x.vec", b"TP53 1 2\nMYC 3\n", r"Line 2 of .*\('MYC'\) has 1 numbers, line 1 has 2"),
    "damaged_npz": ("x.npz", b"PK\x03\x04 and so on", r"cannot be read as \.npz: BadZipFile"),
    "damaged_parquet": ("x.parquet", b"PAR1 and so on", r"cannot be read as \.parquet: ArrowInvalid"),
    "damaged_pickle": ("x.pkl", pickle.dumps({"A": [1.0, 2.0]})[:-4], r"cannot be read as \.pkl"),
}


@pytest.mark.parametrize("what", TEXTS)
def test_refused_by_what_stands_in_the_file(tmp_path, what):
    file, content, message = TEXTS[what]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_file(tmp_path / file)
    assert str(tmp_path / file) in str(caught.value)


@pytest.mark.parametrize("file", ["genes.txt", "genes.csv"])
def test_a_list_of_names_has_no_vectors(tmp_path, file):
    (tmp_path / file).write_text("gene\nTP53\nALB\n")
    with pytest.raises(DataError, match=rf"{file} is a list of names, without vectors: `bftembed embed .*{file} -o "):
        read_file(tmp_path / file)


def test_no_file_and_a_directory(tmp_path):
    with pytest.raises(DataError, match=r"There is no file .*x\.csv"):
        read_file(tmp_path / "x.csv")
    (tmp_path / "y.csv").mkdir()
    with pytest.raises(DataError, match=r"y\.csv is a directory"):
        read_file(tmp_path / "y.csv")


PICKLES = {
    "list": ([1.0], r"holds a list, not a dict"),
    "frame": (pd.DataFrame({"a": [1.0]}), r"holds a DataFrame, not a dict .* \.parquet"),
    "nothing": ({}, r"holds no vectors"),
    "lengths": ({"A": [1.0, 2.0], "B": [1.0]}, r"'B' of .* is \[1\.0\] \(of shape \(1,\)\).* that of the first: 2"),
    "text": ({"A": [1.0], "B": ["1.0"]}, r"'B' of .* is \['1\.0'\]"),
    "none": ({"A": [1.0], "B": None}, r"'B' of .* is None"),
    "number": ({"A": 1.0}, r"'A' of .* is 1\.0 \(of shape \(\)\)"),
    "two_dimensions": ({"A": np.ones((1, 2))}, r"\(of shape \(1, 2\)\)"),
    "ragged": ({"A": [[1.0], [1.0, 2.0]]}, r"'A' of .* is \[\[1\.0\], \[1\.0, 2\.0\]\]"),
    "objects": ({"A": np.array([1.0, None])}, r"'A' of"),
    "complex": ({"A": [1j]}, r"'A' of"),
    "key": ({"A": [1.0], ("B",): [2.0]}, r"entry 2 has the name \('B',\)"),
    "partly": ({"A": [1.0, 2.0], "B": [np.nan, 1.0]}, r"entry 2 \('B'\), number 1, is missing"),
    "too_large": ({"A": np.array([1e300])}, r"entry 1 \('A'\), number 1, is infinite, or too large"),
    "program": ({"A": os.system}, r"asks for `posix\.system`"),
}


@pytest.mark.parametrize("what", PICKLES)
def test_pickles_that_are_refused(tmp_path, what):
    content, message = PICKLES[what]
    path = tmp_path / "x.pickle"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=message) as caught:
        read_file(path)
    assert str(path) in str(caught.value)


ARCHIVES = {
    "keys": ({"genes": ["A"], "matrix": [[1.0]]}, r"holds genes, matrix\. Save `names` and one of"),
    "two_matrices": ({"names": ["A"], "matrix": [[1.0]], "X": [[1.0]]}, r"holds names, matrix, X\. Save"),
    "nothing": ({}, r"holds nothing"),
    "objects": (
        {"names": np.array(["A", None]), "X": [[1.0], [2.0]]},
        r"Object arrays.* np\.array\(names, dtype=str\)",
    ),
    "columns": ({"names": ["A", "B"], "X": np.ones((3, 2))}, r"shape \(2,\) and `X` of shape \(3, 2\).*one gene a row"),
    "flat": ({"names": ["A"], "X": [1.0]}, r"`X` of shape \(1,\)"),
    "text": ({"names": ["A"], "X": [["1"]]}, r"type <U1"),
    "complex": ({"names": ["A"], "X": [[1j]]}, r"type complex128"),
    "truth": ({"names": ["A"], "X": [[True]]}, r"type bool"),
    "bytes": ({"names": [b"A"], "X": [[1.0]]}, r"row 1 has the name b'A'"),
    "floats": ({"names": [7157.0], "X": [[1.0]]}, r"row 1 has the name 7157\.0"),
    "partly": ({"names": ["A", "B"], "X": [[1, 2], [3, np.nan]]}, r"row 2 \('B'\), number 2, is missing"),
    "infinite": ({"names": ["A"], "X": [[1, np.inf]]}, r"row 1 \('A'\), number 2, is infinite"),
    "repeated": ({"names": ["A", "A"], "X": [[1], [2]]}, r"'A'\. Keep one row"),
    "no_rows": ({"names": np.array([], dtype=str), "X": np.ones((0, 3))}, r"holds no vectors, in 0 rows"),
    "no_columns": ({"names": ["A"], "X": np.ones((1, 0))}, r"holds no vectors, in 1 rows"),
}


@pytest.mark.parametrize("what", ARCHIVES)
def test_npz_that_are_refused(tmp_path, what):
    content, message = ARCHIVES[what]
    np.savez(tmp_path / "x.npz", **content)
    with pytest.raises(DataError, match=message) as caught:
        read_file(tmp_path / "x.npz")
    assert "x.npz" in str(caught.value)


def test_an_npy_called_npz(tmp_path):
    with (tmp_path / "x.npz").open("wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(DataError, match=r"x\.npz cannot be read as \.npz"):
        read_file(tmp_path / "x.npz")


FRAMES = {
    "text": (pd.DataFrame({"g": ["A"], "s": ["x"]}), r"Column 's' of .* is object, with \['x'\] in row 1"),
    "truth": (pd.DataFrame({"g": ["A"], "s": [True]}), r"Column 's' of .* is bool"),
    "lists": (pd.DataFrame({"g": ["A"], "s": [[1.0, 2.0]]}), r"Column 's' of .* is object"),
    "index_and_names": (pd.DataFrame({"g": ["A"], "s": [1.0]}, index=["B"]), r"Column 'g' of"),
    "no_names": (pd.DataFrame({"a": [0.5], "b": [1.0]}), r"row 1 has the name 0\.5"),
    "missing_name": (pd.DataFrame({"g": ["A", None], "s": [1.0, 2.0]}), r"row 2 has the name None"),
    "levels": (pd.DataFrame({"s": [1.0]}, index=pd.MultiIndex.from_tuples([("A", 1)])), r"has the name \('A', 1\)"),
    "partly": (
        pd.DataFrame({"g": ["A", "B"], "s": [1, np.nan], "t": [1.0, 2]}),
        r"row 2 \('B'\), number s, is missing",
    ),
    "too_large": (pd.DataFrame({"g": ["A"], "s": [1e300]}), r"row 1 \('A'\), number s, is infinite, or too large"),
    "no_rows": (pd.DataFrame({"g": [], "s": []}), r"holds no vectors, in 0 rows"),
    "no_columns": (pd.DataFrame(index=["A"]), r"holds no vectors, in 1 rows"),
    "transposed": (pd.DataFrame({"TP53": [1.0, 2], "MYC": [1.0, 2]}, index=["dim0", "dim1"]), r"called 'dim0', 'dim1'"),
}


@pytest.mark.parametrize("what", FRAMES)
def test_parquet_that_is_refused(tmp_path, what):
    content, message = FRAMES[what]
    content.to_parquet(tmp_path / "x.parquet")
    with pytest.raises(DataError, match=message) as caught:
        read_file(tmp_path / "x.parquet")
    assert "x.parquet" in str(caught.value)


def test_genes_numbered_without_gaps_are_no_dimensions(tmp_path):
    (tmp_path / "x.txt").write_text("HOXA1 1\nHOXA2 2\n")
    assert read_file(tmp_path / "x.txt").names == ["HOXA1", "HOXA2"]


def test_one_gene_may_have_the_number_1(tmp_path):
    (tmp_path / "x.csv").write_text("entrez,a\n1,0.5\n")
    assert json.dumps(read_file(tmp_path / "x.csv").names) == '["1"]'
