"""An engine whose every request is recorded, so that tests see what was asked of it."""

import pytest

from bftembed.engines import Completion, Engine


class Recorder(Engine):
    """Completes with what `answer` gives for (request, sampling); notes every request in `asked`."""

    name = "recorder"

    def __init__(self, answer=None, batch_size=4):
        self.answer = answer or (lambda request, sampling: f"Profile of {request.user} with seed {sampling.seed}.")
        self.batch_size = batch_size
        self.asked = []
        self.samplings = []

    def describe(self):
        return {"engine": self.name, "model": "none"}

    def _generate(self, requests, sampling):
        self.samplings.append(sampling)
        for start in range(0, len(requests), self.batch_size):
            batch = requests[start : start + self.batch_size]
            self.asked += [request.id for request in batch]
            done = []
            for request in batch:
                text = self.answer(request, sampling)
                if isinstance(text, Exception):
                    done.append(Completion(request.id, "", "error", error=str(text)))
                else:
                    done.append(Completion(request.id, text, "stop", n_prompt_tokens=10, n_tokens=5))
            yield done


@pytest.fixture
def recorder():
    return Recorder
