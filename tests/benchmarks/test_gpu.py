"""`benchmarks/gpu.py` as a whole on a CPU."""

import json

import pytest
import torch


@pytest.fixture
def run(script, tmp_path, capsys):
    """Runs the script with small sizes; gives its exit status and the rows by part."""

    def measured(*arguments, output=tmp_path / "gpu.json"):
        status = script.main(["--output", str(output), "--tiny", *arguments])
        return status, json.loads(output.read_text())["parts"]

    return measured


def names(rows):
    return [row["name"] for row in rows]


def test_all_of_it_runs_on_a_cpu_and_is_measured_once(run, script):
    status, parts = run()
    assert status == 0, [row for rows in parts.values() for row in rows if "error" in row]
    assert list(parts) == list(script.PARTS)
    assert not [row for rows in parts.values() for row in rows if row.keys() & {"error", "skipped"}]
    speeds = {
        "generation": "tokens_per_s",
        "scoring": "requests_per_s",
        "encoder": "texts_per_s",
        "training": "tokens_per_s",
    }
    assert all(row[speed] > 0 for part, speed in speeds.items() for row in parts[part])
    assert all(row["new_tokens"] == 8 * row["requests"] for row in parts["generation"] if "uneven" not in row["name"])
    assert names(parts["generation"])[2:4] == ["static, chosen", "continuous"]
    assert {row["requests"] for row in parts["generation"][2:6]} == {8}
    assert names(parts["training"]) == ["sft", "dft", "bft"]
    assert len(parts["loss"]) == 6
    assert all(row["matmul_share"] > 0 for row in parts["loss"] + parts["training"] + parts["scoring"])
    assert parts["tune"][0]["loss_after"] < parts["tune"][0]["loss_before"]
    assert all(parts["tune"][0]["texts"])
    assert run() == (0, parts)


def test_what_failed_and_what_there_was_no_time_for_is_tried_again(run, script, monkeypatch):
    def broken(*_):
        message = "the kernel fell over"
        raise RuntimeError(message)

    with monkeypatch.context() as patch:
        patch.setattr(script, "cross_entropy", broken)
        broken.__name__ = "cross_entropy"
        status, parts = run("--parts", "loss")
    assert status == 1
    failed = [row["error"] for row in parts["loss"] if "error" in row]
    assert failed == ["RuntimeError: the kernel fell over"] * 2
    kept = [row for row in parts["loss"] if "error" not in row]
    status, parts = run("--parts", "loss")
    assert (status, len(parts["loss"])) == (0, 6)
    assert parts["loss"][:4] == kept
    status, parts = run("--parts", "ceilings", "--budget", "0")
    assert [row["skipped"] for row in parts["ceilings"]] == ["no time left; give the command again"] * 2
    status, parts = run("--parts", "ceilings")
    assert [row["repeats"] for row in parts["ceilings"]] == [2, 2]


def test_static_batches_that_stand_in_for_continuous_ones_are_named(run, monkeypatch):
    def none(*_, **__):
        message = "no kernels"
        raise ImportError(message)

    monkeypatch.setattr("bftembed.engines.continuous.settings", none)
    status, parts = run("--parts", "generation")
    said = "Continuous batching failed (ImportError: no kernels): what is left goes on in static batches."
    found = {row["name"]: set(row.get("warnings", [])) for row in parts["generation"]}
    assert (status, found.pop("continuous"), found.pop("continuous, uneven lengths")) == (0, {said}, {said})
    assert not any(found.values())


def test_a_file_of_another_machine_is_not_gone_on_with(run, tmp_path):
    output = tmp_path / "other.json"
    output.write_text(json.dumps({"machine": {"device": "abacus"}, "parts": {}}))
    with pytest.raises(SystemExit, match=r"measured on \{'device': 'abacus'\}.*name another file"):
        run("--parts", "ceilings", output=output)


def test_wrong_arguments_are_named(script, tmp_path, capsys):
    output = ["--output", str(tmp_path / "gpu.json")]
    with pytest.raises(SystemExit):
        script.main([*output, "--tiny", "--parts", "loss,grinding"])
    assert "there is no part grinding; there are ceilings, generation" in capsys.readouterr().err
    if not torch.cuda.is_available():
        with pytest.raises(SystemExit):
            script.main(output)
        assert "torch sees no GPU here; `--tiny` runs all of it on a CPU" in capsys.readouterr().err
