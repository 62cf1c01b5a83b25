"""A model that answers each stage in a way that a test chooses, and small tables of what is known of genes."""

import pytest

from bftembed.engines import Completion, Engine
from bftembed.naming import TermSets, Tools

T_CELL = ["CD3E", "CD3D", "CD3G", "LCK"]
ANSWERS = {
    "name": "Process: T cell activation\nConfidence: 0.80\nThe genes are parts of the T cell receptor.",
    "claims": '["CD3E and CD3D belong to the T cell receptor.", "LCK transports glucose."]',
    "tools": "TOOL: enrichment(all)\nTOOL: summary(CD3E)",
    "verdict": "Verdict: supported 1",
    "revision": "Process: T cell receptor signaling\nConfidence: 0.90",
    "summary": "These genes carry the signal of the T cell receptor.",
}


class Staged(Engine):
    """Answers by stage, which it tells from the id of the request; keeps the requests."""

    name = "staged"

    def __init__(self, **answers):
        self.answers = ANSWERS | answers
        self.asked = []

    def _generate(self, requests, sampling):
        self.asked.append(list(requests))
        yield [self._completion(request) for request in requests]

    def _completion(self, request):
        answer = self.answers[request.id.partition(":")[0]]
        answer = answer(request) if callable(answer) else answer
        if isinstance(answer, Exception):
            return Completion(request.id, "", "error", error=str(answer))
        return Completion(request.id, answer, "stop")

    def describe(self):
        return {"engine": "staged", "answers": str(sorted(self.answers.items()))}

    def __call__(self, requests):
        """Complete requests in their order, as the cascade asks."""
        found = {one.id: one for batch in self.generate(requests) for one in batch}
        return [found[request.id] for request in requests]

    @property
    def stages(self):
        """Name of the stage of each call."""
        return [requests[0].id.partition(":")[0] for requests in self.asked]


@pytest.fixture
def staged():
    return Staged


@pytest.fixture(scope="session")
def terms(tmp_path_factory):
    """Processes of four terms; the rest of the genes is what these are compared with."""
    rest = [f"GENE{i}" for i in range(60)]
    sets = {
        "T cell receptor signaling": [*T_CELL, "ZAP70"],
        "T cell costimulation": ["CD3E", "CD3D", *rest[:3]],
        "DNA repair": ["BRCA1", "BRCA2", "RAD51", "ATM"],
        "the rest": rest,
    }
    path = tmp_path_factory.mktemp("terms") / "terms.gmt"
    path.write_text("".join("\t".join([name, "", *genes]) + "\n" for name, genes in sets.items()))
    return TermSets.read_gmt(path)


class Facts:
    """Facts of two genes."""

    def of(self, gene):
        known = {"CD3E": {"summary": "Part of the T cell receptor.", "full_name": "CD3 epsilon"}, "LCK": {}}
        return known.get(gene, {})


@pytest.fixture
def tools(terms):
    relations = {"LCK": {"activates": {"CD3E", "AAA"}, "is repressed by": {"GENE1"}}}
    return Tools(terms, facts=Facts(), relations=relations)
