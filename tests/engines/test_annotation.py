from bftembed.engines import AnnotationEngine, Request, Sampling


def test_every_prompt_comes_back_as_it_is():
    texts = ["TP53: tumor protein p53.", "BRCA1: DNA repair associated."]
    [batch] = AnnotationEngine().generate([Request(text[:4], text) for text in texts])
    assert [(done.id, done.text, done.finish_reason) for done in batch] == [
        ("TP53", texts[0], "stop"),
        ("BRCA", texts[1], "stop"),
    ]


def test_long_text_is_not_cut():
    text = "word " * 5000
    [[done]] = AnnotationEngine().generate([Request("a", text)], sampling=Sampling(max_new_tokens=1))
    assert done.text == text


def test_description_holds_no_more_than_the_name():
    engine = AnnotationEngine()
    assert engine.describe() == {"engine": "annotation"}
    assert engine.template == "annotation"
    assert not engine.generates
