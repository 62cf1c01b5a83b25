import pytest

from bftembed.entities import read_cell_types
from bftembed.errors import InputError

OBO = """format-version: 1.2
ontology: cl

[Term]
id: CL:0000236
name: B cell
def: "A lymphocyte that makes \\"antibodies\\"\\, and more.\\nIt is one." [GOC:add, ISBN:1]
synonym: "B lymphocyte" EXACT []
is_a: CL:0000945 ! lymphocyte of B lineage

[Term]
id: CL:0000001
name: old cell
is_obsolete: true

[Term]
id: CL:0000540
name: neuron

[Typedef]
id: part_of
name: part of
"""


def test_names_and_definitions_of_an_ontology(tmp_path):
    path = tmp_path / "cl.obo"
    path.write_text(OBO)
    assert read_cell_types(path) == {
        "B cell": 'A lymphocyte that makes "antibodies", and more. It is one.',
        "neuron": "",
    }


def test_names_on_lines(tmp_path):
    path = tmp_path / "types.txt"
    path.write_text("\ufeff# blood\nB cell\tA lymphocyte.\n\n  T cell  \r\nNK cell\t\n", encoding="utf-8")
    assert read_cell_types(str(path)) == {"B cell": "A lymphocyte.", "T cell": "", "NK cell": ""}


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        (
            "a.tsv",
            "cell_type\tdescription\nB cell\tMakes antibodies, and more.\n",
            {"B cell": "Makes antibodies, and more."},
        ),
        (
            "a.csv",
            'B cell,"Makes antibodies, and\nmore."\n"T cell, CD4+"\n',
            {"B cell": "Makes antibodies, and\nmore.", "T cell, CD4+": ""},
        ),
        (
            "a.csv",
            "id,Definition,Cell type\n1,Makes antibodies.,B cell\n2,,neuron\n",
            {"B cell": "Makes antibodies.", "neuron": ""},
        ),
        ("a.txt", "Cell type\nB cell\n", {"B cell": ""}),
        ("a.tsv", "neuron\tA cell.\nB cell\tA lymphocyte.\n", {"neuron": "A cell.", "B cell": "A lymphocyte."}),
        ("a.tsv", "name\tA type called so.\n", {"name": "A type called so."}),
    ],
)
def test_headers_and_tables_with_commas(tmp_path, name, content, found):
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert read_cell_types(tmp_path / name) == found


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.obo", b"[Typedef]\nname: part of\n", "no .Term. with a name"),
        ("a.txt", b"# nothing\n\n", "no line with a name"),
        ("a.txt", b"B cell\nB cell\n", "names 'B cell' twice"),
        ("a.txt", b"\xff\xfe\x00", "no text in UTF-8"),
    ],
)
def test_files_that_name_no_types(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_cell_types(tmp_path / name)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_cell_types(tmp_path / "none.txt")
