import pytest

from bftembed.engines.reasoning import is_mark, opened_in, without_reasoning

THOUGHT = "Okay, so the user wants TP53. Let me recall."
START = "<|start|>assistant"
COMMENTARY = "<|channel|>commentary<|message|>b<|end|>"
ANSWER = "TP53 encodes p53. It binds DNA."
#: Begin and end of the reasoning, by the model that writes it so.
FORMATS = {
    "DeepSeek-R1, Qwen3": ("<think>\n", "\n</think>\n\n"),
    "Reflection": ("<thinking>", "</thinking>"),
    "Marco-o1, EXAONE Deep": ("<Thought>", "</Thought>"),
    "NousResearch": ("<reasoning>", "</reasoning>"),
    "Seed-OSS": ("<seed:think>", "</seed:think>"),
    "MiniMax-M3": ("<mm:think>", "</mm:think>"),
    "Hunyuan 3": ("<think:opensource>", "</think:opensource>"),
    "LongCat": ("<longcat_think>\n", "\n</longcat_think>\n"),
    "K2-V2": ("<think_fast>", "</think_fast>"),
    "with attributes": ('<think type="x">', "</think >"),
    "Claude": ("<antThinking>", "</antThinking>"),
    "MedGemma": ("<unused94>thought\n", "<unused95>"),
    "Open WebUI": ('<details type="reasoning" done="true">\n<summary>Thought</summary>\n', "\n</details>\n"),
    "DeepSeek, as its own tokens are": (
        "<\uff5cbegin\u2581of\u2581thinking\uff5c>",
        "<\uff5cend\u2581of\u2581thinking\uff5c>",
    ),
    "Magistral": ("[THINK]", "[/THINK]"),
    "Kimi": ("◁think▷", "◁/think▷"),
    "Kimi K3": ("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
    "OpenThinker": ("<|begin_of_thought|>", "<|end_of_thought|>"),
    "Command A": ("<|START_THINKING|>", "<|END_THINKING|>"),
    "Apertus": ("<|inner_prefix|>", "<|inner_suffix|>"),
    "Solar Open 2": ("<|think:start|>", "<|think:end|>"),
    "Solar Open": ("<|think|>", "<|end|>"),
    "GLM": ("<|thinking|>", "</|thinking|>"),
    "Pangu": ("[unused16]", "[unused17]"),
    "Inkling": ("<|content_thinking|>", "<|end_message|>"),
    "Gemma 4": ("<|channel>thought\n", "<channel|>"),
    "gpt-oss": ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    "gpt-oss, special tokens dropped": ("analysis", "assistantfinal"),
    "s1": ("<|im_start|>think\n", "\n<|im_start|>answer\n"),
    "HyperCLOVA X": ("/think\n", "<|im_end|>\n<|im_start|>assistant\n"),
    "Granite 3.2": ("Here is my thought process:\n", "Here is my response:\n"),
}
#: Formats in which the end alone is unmistakable: the template may have written the beginning.
NOT_ALONE = {"Solar Open", "Inkling", "HyperCLOVA X", "Granite 3.2", "Open WebUI"}
ALONE = [name for name in FORMATS if name not in NOT_ALONE]


@pytest.mark.parametrize("name", FORMATS)
def test_reasoning_is_cut_out(name):
    begin, end = FORMATS[name]
    text, found, unfinished = without_reasoning(f"{begin}{THOUGHT}{end}{ANSWER}")
    assert (text.strip(), found, unfinished) == (ANSWER, True, False)


@pytest.mark.parametrize("name", FORMATS)
def test_reasoning_without_an_end_leaves_nothing(name):
    text, found, unfinished = without_reasoning(FORMATS[name][0] + THOUGHT)
    assert (text.strip(), found, unfinished) == ("", True, True)


@pytest.mark.parametrize("name", [name for name in ALONE if "dropped" not in name])
def test_reasoning_that_began_in_the_prompt_is_cut_out(name):
    text, found, unfinished = without_reasoning(THOUGHT + FORMATS[name][1] + ANSWER)
    assert (text.strip(), found, unfinished) == (ANSWER, True, False)


@pytest.mark.parametrize("name", [name for name in FORMATS if "dropped" not in name])
def test_a_prompt_that_opens_the_reasoning_is_seen(name):
    begin, end = FORMATS[name]
    assert opened_in(f"<|user|>Describe TP53.<|end|><|assistant|>{begin}").strip() == begin.strip()
    assert opened_in(f"<|user|>Describe TP53.<|end|><|assistant|>{begin}{end}") == ""
    assert without_reasoning(opened_in(f"...{begin}") + THOUGHT)[2]


def test_a_plain_text_is_left_as_it_is():
    for text in (
        ANSWER,
        f"{ANSWER}<|end|>",
        "Analysis of TP53. [THIS] is <b>bold</b>, 3 < 5 > 2.",
        "analysis of p53",
        "",
    ):
        assert without_reasoning(text) == (text, False, False)


@pytest.mark.parametrize(
    "text",
    [
        f"<thinking>a <reflection>b</reflection> c</thinking>{ANSWER}",
        f"<think>I could write <think> here.</think>{ANSWER}",
        f"<think>one</think><think>two</think>{ANSWER}",
        f"<think>{THOUGHT}</think>{ANSWER}</think>",
        f"{THOUGHT}</think>{ANSWER}<think>more</think>",
        f"<|channel|>analysis<|message|>a<|end|>{START}<|channel|>final <|constrain|>text<|message|>{ANSWER}",
        f"<|channel|>analysis<|message|>a<|end|>{START}{COMMENTARY}{START}<|channel|>final<|message|>{ANSWER}",
        f"<|channel|>final<|message|>{ANSWER}",
    ],
)
def test_nested_repeated_and_stray_marks(text):
    assert without_reasoning(text)[0] == ANSWER


def test_what_stands_before_an_unfinished_thought_is_kept():
    assert without_reasoning(f"{ANSWER}<think>{THOUGHT}") == (ANSWER, True, True)


def test_marks_among_special_tokens():
    assert all(map(is_mark, ["<|channel|>", "<|START_THINKING|>", "[THINK]", "[/THINK]", "<channel|>", "<seed:think>"]))
    assert not any(map(is_mark, ["<s>", "</s>", "[CLS]", "<eos>", "<unk>", "<pad>", "TP53"]))
