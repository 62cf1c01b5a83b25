import json

import pytest

from bftembed._places import without_places


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("HuggingFaceTB/SmolLM2-135M-Instruct (Q4_1 GGUF)", "HuggingFaceTB/SmolLM2-135M-Instruct (Q4_1 GGUF)"),
        ("transformers 5.3, torch 2.6", "transformers 5.3, torch 2.6"),
        ("and/or, CD4/CD8", "and/or, CD4/CD8"),
        ("sha256:0a1b", "sha256:0a1b"),
        ("/home/me/John Doe/model", "model"),
        ("/model/", "model"),
        ("~/models/x", "x"),
        ("../x/y", "y"),
        ("D:\\data\\me\\model", "model"),
        ("\\\\host\\share\\model", "model"),
        ("sentence-transformers:/models/enc", "sentence-transformers:enc"),
        ("see /home/me/a.txt, and file:///home/me/b", "see a.txt, and a server"),
        ("https://me:secret@host.example/v1", "a server"),
        (7, 7),
        (None, None),
    ],
)
def test_the_last_name_of_a_path_stays_and_all_else_that_is_none(value, shown):
    assert without_places(value) == shown


def test_json_in_a_text_is_looked_into():
    held = json.dumps({"a": ["/home/me/x"], "n": 1})
    assert json.loads(without_places(held)) == {"a": ["x"], "n": 1}
    assert without_places("{no json /home/me/x") == "{no json x"
