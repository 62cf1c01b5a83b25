import logging
from dataclasses import replace

import anndata
import pandas as pd
import pytest

from bftembed.engines import AnnotationEngine, Sampling
from bftembed.errors import EngineError
from bftembed.profiles import Entity, ProfileStore, estimate, plan_profiles, write_profiles


def genes(*names):
    return [Entity("gene", name) for name in names]


@pytest.fixture
def store(tmp_path):
    with ProfileStore(tmp_path / "s.sqlite") as opened:
        yield opened


def test_texts_follow_the_entities_and_equal_prompts_are_asked_once(store, recorder):
    engine = recorder()
    written = write_profiles(genes("B", "A", "B"), engine, store=store)
    assert "gene B" in written.texts[0]
    assert written.texts[0] == written.texts[2]
    assert len(engine.asked) == 2
    assert written.counts == {"unique": 2, "stored": 0, "generated": 2, "retried": 0}
    assert "gene B" in written._repr_html_()


def test_a_second_run_asks_for_nothing(store, recorder):
    first = write_profiles(genes("A", "B"), recorder(), store=store)
    engine = recorder()
    second = write_profiles(genes("B", "A"), engine, store=store)
    assert engine.asked == []
    assert second.texts == first.texts[::-1]
    assert second.counts["stored"] == 2


def test_other_sampling_or_template_or_facts_are_other_texts(store, recorder, tmp_path):
    write_profiles(genes("A"), recorder(), store=store)
    other = recorder()
    write_profiles(genes("A"), other, store=store, sampling=Sampling(seed=5))
    write_profiles([Entity("gene", "A", {"locus": "1p"})], other, store=store)
    (tmp_path / "t.txt").write_text("[user]\n$id?")
    write_profiles(genes("A"), other, store=store, template=tmp_path / "t.txt")
    assert len(other.asked) == 3


def test_each_batch_is_committed_before_the_next_is_asked_for(store, recorder):
    entities = genes(*"ABCDEFGHIJ")

    def fail_late(request, sampling):
        if len(engine.asked) > 8:
            raise KeyboardInterrupt
        return f"Profile of {request.user}."

    engine = recorder(fail_late, batch_size=4)
    with pytest.raises(KeyboardInterrupt):
        write_profiles(entities, engine, store=store)
    assert len(store) == 8
    again = recorder(batch_size=4)
    write_profiles(entities, again, store=store)
    assert len(again.asked) == 2
    assert not set(again.asked) & set(engine.asked[:8])


def test_empty_and_degenerate_texts_are_drawn_once_more_then_kept_as_failed(store, recorder):
    def answer(request, sampling):
        if "gene GOOD" in request.user:
            return "A fine text about it."
        if "gene LATER" in request.user and sampling.seed == 1:
            return "Better the second time."
        return "" if "gene EMPTY" in request.user else "again and " * 50

    engine = recorder(answer)
    written = write_profiles(genes("GOOD", "LATER", "EMPTY", "LOOP"), engine, store=store)
    assert written.texts == ["A fine text about it.", "Better the second time.", None, None]
    assert [p.status for p in written.profiles] == ["ok", "ok", "empty", "degenerate"]
    assert [p.attempts for p in written.profiles] == [1, 2, 2, 2]
    assert written.counts["retried"] == 3
    assert written.counts["empty"] == written.counts["degenerate"] == 1
    assert engine.samplings[1] == Sampling(seed=1, temperature=0.7)
    third = recorder(answer)
    write_profiles(genes("GOOD", "LATER", "EMPTY", "LOOP"), third, store=store)
    assert third.asked == []


def test_a_run_cut_before_the_second_attempt_makes_it_later(store, recorder):
    def answer(request, sampling):
        if sampling.seed == 1:
            raise KeyboardInterrupt
        return ""

    with pytest.raises(KeyboardInterrupt):
        write_profiles(genes("A"), recorder(answer), store=store)
    engine = recorder()
    written = write_profiles(genes("A"), engine, store=store)
    assert written.texts[0].endswith("seed 1.")
    assert len(engine.asked) == 1


def test_an_error_is_kept_with_its_reason_and_asked_for_again(store, recorder):
    down = recorder(lambda request, _: EngineError("server down") if "gene B" in request.user else "Fine text.")
    written = write_profiles(genes("A", "B"), down, store=store)
    assert written.texts == ["Fine text.", None]
    assert written.profiles[1].error == "server down"
    assert written.counts["error"] == 1
    up = recorder()
    assert write_profiles(genes("A", "B"), up, store=store).texts[1] is not None
    assert len(up.asked) == 1


@pytest.mark.parametrize("bad", ["", "again and " * 50])
def test_a_bad_text_after_an_error_is_kept_drawn_once_more_and_not_asked_for_again(store, recorder, bad):
    write_profiles(genes("A"), recorder(lambda *_: EngineError("server down")), store=store)
    engine = recorder(lambda *_: bad)
    written = write_profiles(genes("A"), engine, store=store)
    assert len(engine.asked) == 2
    assert written.profiles[0].status in {"empty", "degenerate"}
    assert written.profiles[0].error is None
    again = recorder()
    write_profiles(genes("A"), again, store=store)
    assert again.asked == []


def test_an_error_in_the_second_attempt_leaves_it_to_the_next_run(store, recorder):
    engine = recorder(lambda _, sampling: EngineError("server down") if sampling.seed == 1 else "")
    assert write_profiles(genes("A"), engine, store=store).profiles[0].status == "empty"
    up = recorder()
    assert write_profiles(genes("A"), up, store=store).texts[0].endswith("seed 1.")
    assert len(up.asked) == 1


def test_one_answer_that_no_file_can_hold_does_not_end_the_run(store, recorder, tmp_path):
    def answer(request, sampling):
        if "gene C" in request.user:
            return EngineError("half \ud83e of it")
        return "It acts \ud83e here\x00." if "gene A" in request.user else "A fine text about it."

    written = write_profiles(genes("A", "B", "C"), recorder(answer), store=store)
    assert written.texts == ["It acts \ufffd here\ufffd.", "A fine text about it.", None]
    assert written.counts["characters"] == 1
    store.export(tmp_path / "p.parquet")
    assert pd.read_parquet(tmp_path / "p.parquet")["raw"].tolist()[0] == "It acts \ufffd here\ufffd."
    frame = pd.DataFrame({"text": written.texts[:2]}, index=["A", "B"])
    anndata.AnnData(obs=frame).write_h5ad(tmp_path / "a.h5ad")
    assert anndata.read_h5ad(tmp_path / "a.h5ad").obs["text"].tolist() == written.texts[:2]


def test_an_unfinished_thought_says_what_to_do(store, recorder):
    written = write_profiles(genes("A"), recorder(lambda *_: "<think>It acts."), store=store)
    assert written.texts == [None]
    assert "raise max_new_tokens, or turn reasoning off" in written.profiles[0].error
    assert written.counts["unfinished_thought"] == 1


def test_what_was_mended_is_counted(store, recorder, caplog):
    engine = recorder(lambda request, _: f"<think>hm</think>A text about {request.user[-20:]}.\n\nReferences:\n1. x")
    with caplog.at_level(logging.INFO, logger="bftembed"):
        written = write_profiles(genes("A", "B"), engine, store=store)
    assert written.counts["think"] == written.counts["references"] == 2
    assert "2 think (reasoning removed), 2 references (trailing references removed)" in caplog.text
    assert written.profiles[0].raw.startswith("<think>")


def test_annotation_gives_the_facts_and_fails_without(store):
    entities = [Entity("gene", "A", {"summary": "It does this."}), Entity("gene", "B")]
    written = write_profiles(entities, AnnotationEngine(), store=store)
    assert written.texts == ["A. It does this.", None]
    assert written.counts["retried"] == 0


def test_annotation_does_not_depend_on_how_tokens_would_be_drawn(store):
    entities = [Entity("gene", "A", {"summary": "It does this."})]
    write_profiles(entities, AnnotationEngine(), store=store)
    again = write_profiles(entities, AnnotationEngine(), store=store, sampling=Sampling(max_new_tokens=9, seed=4))
    assert again.counts["generated"] == 0


def test_the_plan_and_the_estimate_generate_nothing(store, recorder):
    engine = recorder()
    write_profiles(genes("A"), engine, store=store, sampling=Sampling(max_new_tokens=100))
    asked = list(engine.asked)
    plan = plan_profiles(genes("A", "B", "C", "C"), engine, store=store, sampling=Sampling(max_new_tokens=100))
    assert "in the store" in plan._repr_html_()
    cost = estimate(plan, engine, store)
    assert engine.asked == asked
    assert (cost["unique"], cost["stored"], cost["missing"], cost["new_tokens"]) == (3, 1, 2, 200)
    assert cost["measured"] == 1
    assert cost["seconds"] == pytest.approx((cost["prompt_tokens"] + 200) / store.speed(plan.recipe))
    fresh = estimate(plan_profiles(genes("Z"), engine, store=store), engine, store)
    assert fresh["measured"] == 0
    assert fresh["seconds"] > 0


def test_progress_bar_says_tokens_per_second(store, recorder, capsys):
    write_profiles(genes("A", "B"), recorder(), store=store, progress=True)
    assert "tokens/s" in capsys.readouterr().err
    write_profiles([Entity("gene", "A", {"summary": "It acts."})], AnnotationEngine(), store=store, progress=True)
    assert "tokens/s" not in capsys.readouterr().err
    write_profiles(genes("C"), recorder(), store=store, progress=False)
    assert capsys.readouterr().err == ""


def test_no_entities_is_an_empty_result(store, recorder):
    assert write_profiles([], recorder(), store=store).texts == []


def test_annotation_that_repeats_itself_is_kept_and_made_again_where_it_was_not(store):
    entity = Entity("gene", "A", {"summary": "A ribosomal protein of the small subunit. " * 20})
    written = write_profiles([entity], AnnotationEngine(), store=store)
    assert written.profiles[0].status == "ok"
    with ProfileStore(store.path.with_name("former.sqlite")) as former:
        former.add_recipe(written.recipe)
        former.add([replace(written.profiles[0], status="degenerate")])
        assert write_profiles([entity], AnnotationEngine(), store=former).profiles[0].status == "ok"
