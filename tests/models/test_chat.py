import pytest

from bftembed.errors import InputError
from bftembed.models.causal import load_tokenizer
from bftembed.models.chat import end_token, knows_system_role, prompt_ids, prompt_text, with_system
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


def test_a_dialogue_that_the_template_refuses(tokenizer):
    tokenizer.chat_template = (
        "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}" + PLAIN
    )
    assert prompt_ids([{"role": "user", "content": "A?"}], tokenizer)
    with pytest.raises(InputError, match="does not take a dialogue of the roles user, user: roles must alternate"):
        prompt_ids([{"role": "user", "content": "A?"}] * 2, tokenizer)


def test_a_template_that_writes_the_date_writes_the_same_every_day(tokenizer):
    # As Llama 3, Mistral and SmolLM3 do.
    tokenizer.chat_template = (
        "{%- if strftime_now is defined %}{%- set date = strftime_now('%d %b %Y') %}{%- endif %}"
        "{%- macro today(format='%A, %-d %B %Y') %}{{ strftime_now(format) }}{%- endmacro %}"
        "{{ date }}; {{ today() }}; {{ strftime_now('%Y-%m-%d') }}: " + PLAIN
    )
    begin = "26 Jul 2024; Friday, 26 July 2024; 2024-07-26: [system] Be brief."
    assert tokenizer.decode(prompt_ids(TALK, tokenizer)).startswith(begin)
    assert knows_system_role(tokenizer)


def test_samples_for_training_have_the_date_of_prompts(tokenizer):
    from bftembed.tune.data.dataset import render

    tokenizer.chat_template = "{{ strftime_now('%Y-%m-%d') }} " + PLAIN
    assert render(TALK, tokenizer, "sample 1", prompt=True) == prompt_ids(TALK, tokenizer)


@pytest.mark.parametrize("messages", [TALK[:1], TALK[1:]], ids=["system alone", "no system"])
def test_nothing_is_joined_without_a_pair(tokenizer, messages):
    tokenizer.chat_template = DROPS
    assert with_system(messages, tokenizer) == messages


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}", "<|im_end|>"),
        ("{% for m in messages %}{{ m.content }}<|endoftext|>{% endfor %}", "<|endoftext|>"),
        ("{% for m in messages %}### {{ m.role }}\n{{ m.content }}\n\n{% endfor %}", "eos"),
        ("{{ messages[0].content }}", "eos"),
        ("{{ raise_exception('only users') }}", "eos"),
        (None, "eos"),
    ],
)
def test_an_answer_ends_as_the_template_ends_the_turn_of_the_assistant(tokenizer, template, expected):
    tokenizer.chat_template = template
    tokenizer.eos_token = "<repo_name>"
    wanted = "<repo_name>" if expected == "eos" else expected
    assert tokenizer.convert_ids_to_tokens(end_token(tokenizer)) == wanted
    assert tokenizer.convert_ids_to_tokens(end_token(tokenizer, raw=True)) == "<repo_name>"


def test_a_chat_that_was_laid_out_before_begins_once(tokenizer):
    from tokenizers.processors import TemplateProcessing

    begin, start = tokenizer.bos_token, tokenizer.bos_token_id
    tokenizer.chat_template = f"{{{{ '{begin}' }}}}{PLAIN}"
    # As Llama's: the template writes the token that begins texts, and the tokenizer puts it before every text.
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(f"{begin} $A", special_tokens=[(begin, start)])
    assert prompt_ids([], tokenizer, raw="What is TP53?")[0] == start
    text, _ = prompt_text(TALK, tokenizer)
    once = prompt_ids(TALK, tokenizer)
    assert once.count(start) == 1
    assert prompt_ids([], tokenizer, raw=text) == once


def test_a_model_without_chat_template_is_named_once(tokenizer, caplog):
    caplog.set_level("INFO", logger="bftembed")
    tokenizer.chat_template, tokenizer.name_or_path = None, "a base model"
    for _ in range(2):
        prompt_ids(TALK, tokenizer)
    prompt_ids([], tokenizer, raw="TP53 is")
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith("`a base model` has no chat template")
    assert "--preset harness" in said
