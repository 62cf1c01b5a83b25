"""Names of gene sets by stages: name, claims, evidence, verdicts, revision, summary.

After the self-verification of GeneAgent (Wang Z et al. Nat Methods 2025, doi:10.1038/s41592-025-02748-6), with tools
that need no network. Each stage is asked of all sets at once, so that an engine can batch it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bftembed.engines import Completion, Request
from bftembed.engines.reasoning import without_reasoning
from bftembed.naming import stages
from bftembed.naming.claims import Claim, Evidence, judged, parse_claims
from bftembed.naming.parsing import NO_NAME, Named, parse_name
from bftembed.naming.prompts import naming_request
from bftembed.naming.tools import Call, parse_calls

if TYPE_CHECKING:
    from bftembed.naming.tools import Tools

Ask = Callable[[Sequence[Request]], Sequence[Completion]]
"""Completions of requests, in their order."""
MOST_CLAIMS, MOST_CALLS, _MOST_EVIDENCE = 5, 3, 8
ENGINE_FAILED = "error"
"""Begins the reason where it is the engine's."""
_OF_CLAIMS = ("tools", "verdict")  # stages of which there is a request for each claim
_WHOLE_SET = Call("enrichment", "all")


@dataclass(slots=True)
class Naming:
    """The name of a gene set, and how it came about.

    Attributes
    ----------
    named
        The last name that there is, None where there is none.
    first
        The name before its claims were checked.
    claims
        With their verdicts.
    summary
        A few sentences, ``""`` where none were asked for or written.
    kept_at
        What each stage that failed was, and why: the set has kept what it had before.
    n_calls, n_refused_calls
        Calls of tools that were answered, and those of unknown tools or with arguments that are none.

    Examples
    --------
    >>> from bftembed.naming import Named, Naming
    >>> Naming(named=Named("mismatch repair", 0.9, unrelated=False), n_calls=2).named.confidence
    0.9
    """

    named: Named | None = None
    first: Named | None = None
    claims: tuple[Claim, ...] = ()
    summary: str = ""
    kept_at: dict[str, str] = field(default_factory=dict)
    n_calls: int = 0
    n_refused_calls: int = 0


def name_once(sets: Mapping[str, Sequence[str]], ask: Ask) -> dict[str, Naming]:
    r"""Name sets by one prompt each; a set whose prompt failed has no name, and the reason in ``kept_at``.

    Examples
    --------
    >>> from bftembed.engines import Completion
    >>> from bftembed.naming import name_once
    >>> def ask(requests):  # in place of a language model
    ...     return [Completion(each.id, "Process: mismatch repair", "stop") for each in requests]
    >>> name_once({"set": ["MLH1", "MSH2"]}, ask)["set"].named.name
    'mismatch repair'
    """
    run = _Run(sets, ask)
    run.name()
    return run.found


def cascade(
    sets: Mapping[str, Sequence[str]],
    ask: Ask,
    tools: Tools,
    *,
    left_out: Mapping[str, str] | None = None,
    summarise: bool = True,
) -> dict[str, Naming]:
    """Name sets, check the claims behind each name against data, and name them again.

    A set that fails at a stage keeps what it had before it, and goes on where that makes sense: without claims nothing
    is checked, a claim without evidence is not checkable, a revision that names nothing changes nothing.

    Parameters
    ----------
    sets
        Symbols by id. Ids are in no prompt.
    ask
        Gives completions, e.g. `complete_stored` with an engine; it is called once for each stage.
    tools
        Where evidence is looked up. What a model calls no tool for is looked up in the enrichment of the whole set.
    left_out
        By id, the name of a process that the enrichment must not find: a benchmark whose sets are processes would else
        be told the answer.
    summarise
        Whether to ask for a summary at the end.

    Returns
    -------
    dict
        A `Naming` for every id.

    Examples
    --------
    >>> from bftembed.engines import Completion
    >>> from bftembed.naming import TermSets, Tools, cascade
    >>> def ask(requests):  # in place of a language model, which says one thing at every stage
    ...     return [Completion(each.id, "Process: mismatch repair", "stop") for each in requests]
    >>> tools = Tools(TermSets({"mismatch repair": ["MLH1", "MSH2", "MSH6"], "globins": ["HBA1", "HBB"]}))
    >>> cascade({"set": ["MLH1", "MSH2"]}, ask, tools, summarise=False)["set"].named.name
    'mismatch repair'
    """
    run = _Run(sets, ask)
    run.name()
    run.claim()
    run.judge(run.evidence(tools, left_out or {}))
    run.revise()
    if summarise:
        run.summarise()
    return run.found


class _Run:
    """The stages, and what they have found of each set."""

    def __init__(self, sets: Mapping[str, Sequence[str]], ask: Ask) -> None:
        self.sets, self.ask = sets, ask
        self.found = {id: Naming() for id in sets}
        self.answers: dict[str, str] = {}  # those that gave the first name
        self.claims: dict[str, list[str]] = {}

    def name(self) -> None:
        self.answers = self._asked("name", [self._first(id) for id in self.sets])
        for id, text in self.answers.items():
            named = parse_name(text)
            if named.name == NO_NAME:
                self.found[id].kept_at["name"] = "no name"
            else:
                self.found[id].named = self.found[id].first = named

    def claim(self) -> None:
        requests = [
            stages.claims_request(f"claims:{id}", self.sets[id], name, self.answers[id], most=MOST_CLAIMS)
            for id, name in self._processes().items()
        ]
        for id, text in self._asked("claims", requests).items():
            if claims := parse_claims(text, most=MOST_CLAIMS):
                self.claims[id] = claims
            else:
                self.found[id].kept_at["claims"] = "no JSON list of claims"

    def evidence(self, tools: Tools, left_out: Mapping[str, str]) -> dict[tuple[str, int], list[Evidence]]:
        """Lines of evidence by set and number of the claim, of the tools that the model calls."""
        usage = tools.usage()
        requests = [
            stages.tools_request(f"tools:{n}:{id}", self.sets[id], claim, usage, most=MOST_CALLS)
            for id, n, claim in self._every_claim()
        ]
        texts = self._texts("tools", requests)
        evidence: dict[tuple[str, int], list[Evidence]] = {}
        for id, n, _ in self._every_claim():
            calls = parse_calls(texts.get((id, n), ""), most=MOST_CALLS)
            said = [tools.run(call, self.sets[id], without=left_out.get(id)) for call in calls]
            answered = [lines for lines in said if lines is not None]
            self.found[id].n_calls += len(answered)
            self.found[id].n_refused_calls += len(said) - len(answered)
            if not answered:
                answered = [tools.run(_WHOLE_SET, self.sets[id], without=left_out.get(id)) or []]
            evidence[id, n] = list(dict.fromkeys(line for lines in answered for line in lines))[:_MOST_EVIDENCE]
        return evidence

    def judge(self, evidence: Mapping[tuple[str, int], Sequence[Evidence]]) -> None:
        requests = [
            stages.verdict_request(f"verdict:{n}:{id}", claim, evidence[id, n])
            for id, n, claim in self._every_claim()
            if evidence[id, n]
        ]
        texts = self._texts("verdict", requests)
        for id, claims in self.claims.items():
            self.found[id].claims = tuple(
                judged(claim, texts.get((id, n), ""), evidence[id, n], self.sets[id]) for n, claim in enumerate(claims)
            )

    def revise(self) -> None:
        requests = [
            stages.revision_request(f"revision:{id}", self._first(id), self.answers[id], self.found[id].claims)
            for id in self.claims
        ]
        for id, text in self._asked("revision", requests).items():
            revised = parse_name(text)
            if revised.name == NO_NAME:
                self.found[id].kept_at["revision"] = "no name"
            else:
                self.found[id].named = revised

    def summarise(self) -> None:
        requests = [
            stages.summary_request(f"summary:{id}", self.sets[id], name, self.found[id].claims)
            for id, name in self._processes().items()
        ]
        for id, text in self._asked("summary", requests).items():
            self.found[id].summary = text

    def _first(self, id: str) -> Request:
        return naming_request(f"name:{id}", self.sets[id])

    def _processes(self) -> dict[str, str]:
        """The name of each set that has one, and one that says more than that there is none."""
        return {id: one.named.name for id, one in self.found.items() if one.named and not one.named.unrelated}

    def _every_claim(self) -> list[tuple[str, int, str]]:
        return [(id, n, claim) for id, claims in self.claims.items() for n, claim in enumerate(claims)]

    def _texts(self, stage: str, requests: Sequence[Request]) -> dict[tuple[str, int], str]:
        """Answers about claims, by set and number; a failed one is noted with its set."""
        found: dict[tuple[str, int], str] = {}
        for key, (text, failed) in _answers(requests, self.ask).items():
            n, _, id = key.partition(":")
            if failed:
                self.found[id].kept_at[stage] = failed
            else:
                found[id, int(n)] = text
        return found

    def _asked(self, stage: str, requests: Sequence[Request]) -> dict[str, str]:
        """Answers about sets; a failed one is noted with its set."""
        found: dict[str, str] = {}
        for id, (text, failed) in _answers(requests, self.ask).items():
            if failed:
                self.found[id].kept_at[stage] = failed
            else:
                found[id] = text
        return found


def set_of(id: str) -> str:
    """Id of the set that a request of a stage is about, from the request's own."""
    stage, _, rest = id.partition(":")
    return rest.partition(":")[2] if stage in _OF_CLAIMS else rest


def _answers(requests: Sequence[Request], ask: Ask) -> dict[str, tuple[str, str]]:
    """By what follows the stage in the request's id: the answer without reasoning, and why there is none."""
    found: dict[str, tuple[str, str]] = {}
    for completion in ask(requests) if requests else ():
        text, _, unfinished = without_reasoning(completion.text)
        failed = ""
        if completion.finish_reason == "error":
            failed = f"{ENGINE_FAILED}: {completion.error}"
        elif unfinished or not text.strip():
            failed = "no end of the reasoning" if unfinished else "an empty answer"
        elif completion.finish_reason == "length" and "\n" not in text.strip():
            failed = "cut within the first line"
        found[completion.id.partition(":")[2]] = text.strip(), failed
    return found
