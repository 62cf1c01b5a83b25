import pytest

from bftembed.models.causal import load_tokenizer
from bftembed.models.chat import knows_system_role, prompt_ids, with_system
from bftembed.models.files import resolve_model

TALK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is TP53?"}]
PLAIN = (
    "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}[model] {% endif %}"
)
RAISES = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + PLAIN
DROPS = PLAIN.replace("messages %}", "messages if m.role != 'system' %}")


@pytest.fixture
def tokenizer(tiny_model):
    return load_tokenizer(resolve_model(str(tiny_model)))


@pytest.mark.parametrize(
    ("template", "knows", "expected"),
    [
        (PLAIN, True, "[system] Be brief.\n[user] What is TP53?\n[model] "),
        (RAISES, False, "[user] Be brief.\n\nWhat is TP53?\n[model] "),
        (DROPS, False, "[user] Be brief.\n\nWhat is TP53?\n[model] "),
        (None, None, "Be brief.\n\nWhat is TP53?\n\n"),
    ],
    ids=["system role", "raises", "drops", "no template"],
)
def test_the_text_of_the_system_reaches_every_model(tokenizer, template, knows, expected):
    tokenizer.chat_template = template
    assert tokenizer.decode(prompt_ids(TALK, tokenizer)) == expected
    if template:
        assert knows_system_role(tokenizer) is knows
        assert len(with_system(TALK, tokenizer)) == (2 if knows else 1)


@pytest.mark.parametrize("messages", [TALK[:1], TALK[1:]], ids=["system alone", "no system"])
def test_nothing_is_joined_without_a_pair(tokenizer, messages):
    tokenizer.chat_template = DROPS
    assert with_system(messages, tokenizer) == messages
