"""Prompts of the stages that follow the first name: claims, tools, verdicts, revision, summary.

Nothing is filled into a format string: names and texts may hold braces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed.engines import Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bftembed.naming.claims import Claim, Evidence

_CHECKER = "You check statements of a molecular biologist against data, word by word, and write in the form asked for."


def claims_request(id: str, genes: Sequence[str], name: str, analysis: str, *, most: int) -> Request:
    """Ask for the claims on which a name rests, as a JSON list."""
    prompt = f"""Genes: {", ".join(genes)}

Proposed process: {name}

Reasons given:
{analysis}

Take from this at most {most} claims that data on genes could confirm or refute: what certain genes do, and that they
take part in the proposed process. One short sentence each, which names its genes.

Answer with a JSON list of strings and nothing else, like ["first claim", "second claim"]."""
    return Request(id, prompt, _CHECKER)


def tools_request(id: str, genes: Sequence[str], claim: str, usage: str, *, most: int) -> Request:
    """Ask which tools to look a claim up with."""
    prompt = f"""Genes: {", ".join(genes)}

Claim: {claim}

These tools can be asked:
{usage}

Which of them would show whether the claim is true? Write at most {most} lines of the form
TOOL: name(argument)
and nothing else."""
    return Request(id, prompt, _CHECKER)


def verdict_request(id: str, claim: str, evidence: Sequence[Evidence]) -> Request:
    """Ask what numbered lines of evidence say of a claim."""
    numbered = "\n".join(f"{n}. {line.text}" for n, line in enumerate(evidence, start=1))
    prompt = f"""Claim: {claim}

Evidence:
{numbered}

Judge the claim by the evidence alone, not by what you know. Answer with one line, with the number of the line of the
evidence that decides:
Verdict: supported NUMBER
or
Verdict: not supported NUMBER
or
Verdict: not checkable"""
    return Request(id, prompt, _CHECKER)


def revision_request(id: str, first: Request, answer: str, claims: Sequence[Claim]) -> Request:
    """Go on with the dialogue in which the name was given, and ask for it again in the light of the claims."""
    checked = "\n".join(
        f"- {claim.text} [{claim.verdict}{f'; {claim.evidence}' if claim.evidence else ''}]" for claim in claims
    )
    prompt = f"""Your claims were checked against data:
{checked}

Keep the name if the evidence bears it out. If the evidence speaks for a more specific process, or another one, name it.
Begin your answer with the same two lines as before: `Process: ` with the name, `Confidence: ` with a number from 0 to
1."""
    turns = [(turn["role"], turn["content"]) for turn in first.chat]
    return Request(id, messages=[*turns, ("assistant", answer), ("user", prompt)])


def summary_request(id: str, genes: Sequence[str], name: str, claims: Sequence[Claim]) -> Request:
    """Ask for a few sentences on the set, from what was found."""
    known = "\n".join(f"- {claim.evidence}" for claim in claims if claim.verdict == "supported")
    prompt = f"""Genes: {", ".join(genes)}

Process: {name}

What data show:
{known or "- nothing that supports a claim was found"}

Say in at most four sentences of plain text what these genes do together. Use what the data show, and say so where you
go beyond it."""
    return Request(id, prompt, "You write for molecular biologists, briefly and exactly.")
