import json

import pytest

from bftembed.errors import DataError, InputError, ModelError
from bftembed.tune.grpo.questions import as_dataset, read_questions

TURN = {"role": "user", "content": "Is it?"}
ANSWERED = {"role": "assistant", "content": "Answer: yes"}


@pytest.fixture
def write(tmp_path):
    def write(*rows):
        path = tmp_path / "questions.jsonl"
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
        return path

    return write


def test_prompts_and_corpus_lines_are_read(write):
    system = {"role": "system", "content": "Be short."}
    path = write(
        {"prompt": "Up?", "answer": "up", "choices": ["up", "down"], "source": "x"},
        {"prompt": [system, TURN], "answer": "B"},
        {"id": "1", "messages": [TURN, ANSWERED], "answer": "yes"},
    )
    assert read_questions(path) == [
        {"prompt": "Up?", "answer": "up", "choices": ["up", "down"]},
        {"prompt": [system, TURN], "answer": "B", "choices": ["A", "B", "C", "D"]},
        {"prompt": [TURN], "answer": "yes", "choices": ["yes", "no", "maybe"]},
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "Line 2 of .* is not valid JSON"),
        ([1], "Line 2 of .* has a list"),
        ({}, "Line 2 of .* has nothing"),
        ({"prompt": "Is it?"}, "Line 2 of .* has 'prompt'; a question needs"),
        ({"prompt": "Is it?", "answer": True}, "Line 2 of .* a text as `answer`"),
        ({"prompt": "Is it?", "answer": "perhaps"}, "Give the `choices` of the answer 'perhaps' in line 2"),
        ({"prompt": "Is it?", "answer": "yes", "choices": "yes no"}, "in line 2 .* as a list of texts"),
        ({"prompt": "Is it?", "answer": "E", "choices": ["A", "B"]}, "'E' in line 2 .* is none of its choices"),
        ({"prompt": "Is it?", "answer": "yes", "choices": []}, "'yes' in line 2 .* is none of its choices"),
        ({"prompt": "Is it?", "answer": "yes", "choices": ["yes", "Yes"]}, "choices in line 2 .* twice"),
        ({"prompt": " ", "answer": "yes"}, "messages in line 2 .* malformed"),
        ({"prompt": None, "answer": "yes"}, "messages in line 2 .* malformed"),
        ({"prompt": [ANSWERED], "answer": "yes"}, "prompt in line 2 .* does not end with a turn of the user"),
        ({"prompt": [], "answer": "yes"}, "prompt in line 2 .* does not end with a turn of the user"),
        ({"messages": [TURN], "answer": "yes"}, "messages in line 2 .* do not end with the assistant"),
    ],
)
def test_a_broken_row_is_named(write, row, message):
    path = write({"prompt": "Is it?", "answer": "yes"}, row)
    with pytest.raises(DataError, match=message):
        read_questions(path)


def test_missing_and_empty_files_are_refused(write, tmp_path):
    with pytest.raises(DataError, match="no training data"):
        read_questions(tmp_path / "absent.jsonl")
    with pytest.raises(DataError, match="holds no questions"):
        read_questions(write(""))


@pytest.fixture(scope="module")
def loaded(tiny_model):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(tiny_model), AutoTokenizer.from_pretrained(tiny_model)


MIXED = [
    {"prompt": "Is it?", "answer": "yes", "choices": ["yes", "no"]},
    {"prompt": [TURN], "answer": "B", "choices": ["A", "B", "C"]},
]


def test_texts_become_chats_where_the_model_knows_chats(loaded):
    pytest.importorskip("datasets", reason="pip install 'bftembed[tune]'")
    dataset = as_dataset(MIXED, *loaded, max_new_tokens=4)
    assert dataset["prompt"][:] == [[TURN], [TURN]]
    assert dataset["choices"][:] == [["yes", "no"], ["A", "B", "C"]]


def test_chats_become_texts_where_it_does_not(loaded, tiny_model):
    pytest.importorskip("datasets", reason="pip install 'bftembed[tune]'")
    from transformers import AutoTokenizer

    plain = AutoTokenizer.from_pretrained(tiny_model)
    plain.chat_template = None
    dataset = as_dataset(MIXED, loaded[0], plain, max_new_tokens=4)
    assert dataset["prompt"][:] == ["Is it?\n\n", "Is it?\n\n"]


def test_questions_that_leave_no_room_for_an_answer_are_refused(loaded):
    long = [{"prompt": "long " * 500, "answer": "yes", "choices": ["yes", "no"]}]
    with pytest.raises(InputError, match="exceeds the model's window of 512"):
        as_dataset(long, *loaded, max_new_tokens=32)


def test_a_tokenizer_of_another_model_is_refused(loaded, tiny_model):
    from transformers import AutoModelForCausalLM

    small = AutoModelForCausalLM.from_pretrained(tiny_model)
    small.resize_token_embeddings(100)
    with pytest.raises(ModelError, match="vocabulary has 100 tokens"):
        as_dataset(MIXED, small, loaded[1], max_new_tokens=4)


def test_a_broken_question_from_python_is_named(loaded):
    with pytest.raises(DataError, match="'no' in question 2"):
        as_dataset([MIXED[0], {**MIXED[1], "answer": "no"}], *loaded, max_new_tokens=4)
