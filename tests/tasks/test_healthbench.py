import json

import pytest

from bftembed.bench import find_tasks
from bftembed.data import given_files
from bftembed.errors import DataError


def test_the_task_reads_the_file_of_the_user(tmp_path):
    [task] = find_tasks(names=["medical.healthbench"])
    with pytest.raises(DataError, match="--file healthbench=PATH"):
        task.load(False)
    rows = [
        {
            "prompt_id": str(n),
            "prompt": [{"role": "user", "content": f"Question {n}?"}],
            "rubrics": [{"criterion": "Answers it", "points": 1}],
        }
        for n in range(20)
    ]
    file = tmp_path / "dialogues.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with given_files({"healthbench": file}):
        assert len(task.load(False).items) == 20
        few = [item.id for item in task.load(True).items]
        assert len(few) == 16
        assert few == [item.id for item in task.load(True).items]


def test_it_runs_where_it_is_called_alone():
    assert "medical.healthbench" not in {task.name for task in find_tasks()}
    [task] = find_tasks(presets=["judged"])
    assert (task.info.ranked, task.info.judged, task.info.files) == (False, True, ("healthbench",))
