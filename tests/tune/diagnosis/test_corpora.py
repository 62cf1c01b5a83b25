import json

import pytest

from bftembed.errors import DataError, InputError
from bftembed.tune.diagnosis.corpora import BIOMEDICAL, CORPORA, read_corpora


def test_files_of_all_kinds(tmp_path):
    (tmp_path / "lines.txt").write_text("\ufefffirst text\n\n  second text \nfirst text\n", encoding="utf-8")
    (tmp_path / "plain.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    chat = {"messages": [{"role": "user", "content": "Gene?"}, {"role": "assistant", "content": "It is a gene."}]}
    (tmp_path / "chat.jsonl").write_text(json.dumps(chat) + "\n")
    assert read_corpora([str(path) for path in sorted(tmp_path.iterdir())]) == {
        "chat": ["It is a gene."],
        "lines": ["first text", "second text"],
        "plain": ["one", "two"],
    }


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("wikki", InputError, "`wikki` is neither a file nor a built-in corpus; .* Did you mean `wiki`"),
        ("nothing.txt", InputError, "neither a file nor a built-in corpus; built in are refseq, pubmedqa"),
        ("empty.txt", DataError, "holds no text"),
        ("blank.txt", DataError, "holds no text"),
        ("empty.jsonl", DataError, "holds no samples"),
        ("broken.jsonl", DataError, "[Ll]ine 2 of"),
        ("binary.txt", DataError, "cannot be read as lines of UTF-8 text"),
    ],
)
def test_what_cannot_be_used_is_named(source, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "blank.txt").write_text("\n  \n")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "broken.jsonl").write_text('{"text": "one"}\n{"text": \n')
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)))
    with pytest.raises(error, match=message):
        read_corpora([source])


def test_two_files_of_one_name_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "a.jsonl").write_text('{"text": "text"}')
    with pytest.raises(InputError, match="Two corpora are called `a`"):
        read_corpora([str(tmp_path / "a.txt"), str(tmp_path / "a.jsonl")])


def test_built_in_corpora_are_clean_texts(mirror):
    corpora = read_corpora(list(CORPORA))
    assert {name: len(texts) for name, texts in corpora.items()} == {
        "refseq": 12_545,
        "pubmedqa": 1000,
        "huatuogpt_o1": 198,
        "alpaca": 985,
        "wiki": 30,
    }
    assert set(BIOMEDICAL) <= set(corpora)
    assert any("tumor suppressor" in text for text in corpora["refseq"])
    assert (
        "socialist movement, and has a strong historical association with anti-capitalism and socialism.\nHumans"
        in (corpora["wiki"][0])
    )
    assert sum("patients" in text for text in corpora["pubmedqa"]) > 300
    for texts in corpora.values():
        assert all(text == text.strip() for text in texts)
        assert len(set(texts)) == len(texts)
