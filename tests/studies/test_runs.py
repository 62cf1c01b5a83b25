"""What a tuning run leaves: its log, and models from along the way."""

import pytest

from bftembed.errors import TuneError
from bftembed.studies.runs import clear, kept, logged, rhythm


@pytest.mark.parametrize("text", [None, "", "{", "3\n", '{"step": 1}\n'])
def test_a_log_that_was_damaged(tmp_path, text):
    if text is not None:
        (tmp_path / "log.jsonl").write_text(text)
    with pytest.raises(TuneError, match=r"log of the run in .* is damaged: remove that directory"):
        logged(tmp_path, "loss")
    (tmp_path / "log.jsonl").write_text('{"loss": 1}\n{"step": 2}\n')
    assert logged(tmp_path, "loss") == [{"loss": 1}]
    with pytest.raises(TuneError, match="is damaged"):
        logged(tmp_path, "loss", least=2)


def finished(place, n_steps, saved):
    """A run as the trainer leaves it: checkpoints with more than the model, the last step's among them."""
    (place / "log.jsonl").write_text(f'{{"step": {n_steps}, "train_runtime": 1.0}}\n')
    (place / "adapter_model.safetensors").touch()
    for step in saved:
        (place / f"checkpoint-{step}" / "global_step").mkdir(parents=True)
        for name in ("adapter_model.safetensors", "optimizer.pt", "complete"):
            (place / f"checkpoint-{step}" / name).touch()


@pytest.mark.parametrize(
    ("n_steps", "parts", "steps"),
    [(8, 4, [2, 4, 6]), (9, 4, [3, 6]), (256, 4, [64, 128, 192]), (3, 8, [1, 2]), (1, 2, []), (2, 2, [1])],
)
def test_the_models_at_the_ends_of_the_parts_are_kept_alone(tmp_path, n_steps, parts, steps):
    finished(tmp_path, n_steps, [*steps, n_steps])
    clear(tmp_path, parts)
    assert kept(tmp_path, parts) == [tmp_path / f"checkpoint-{step}" for step in steps]
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.glob("checkpoint-*/*")}
    assert left == {f"checkpoint-{step}/adapter_model.safetensors" for step in steps}
    clear(tmp_path, parts)  # as after a kill: again the same
    assert len(kept(tmp_path, parts)) == len(steps)
    clear(tmp_path, 0)
    assert not list(tmp_path.glob("checkpoint-*"))


def test_models_that_are_not_there_or_not_whole(tmp_path):
    finished(tmp_path, 8, [2, 4, 8])
    assert kept(tmp_path, 4) is None
    finished(tmp_path, 8, [6])
    assert len(kept(tmp_path, 4)) == 3
    (tmp_path / "checkpoint-4" / "adapter_model.safetensors").unlink()  # as where the weights are in shards
    assert kept(tmp_path, 4) is None
    clear(tmp_path, 4)
    assert not list(tmp_path.glob("checkpoint-*"))


def test_without_parts_a_run_keeps_its_own_rhythm():
    assert rhythm(0) == {}
    assert rhythm(4) == {"save_steps": 0.25, "keep_checkpoints": 5}
