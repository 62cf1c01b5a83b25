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
