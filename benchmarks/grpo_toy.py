"""A short GRPO of the embedded model: does the reward move, and can its answers be read?

    python benchmarks/grpo_toy.py --output grpo

Two sets of closed questions: a toy set (letters in words, directions of change), and PubMedQA's yes/no/maybe outside
its test split, each with the first characters of the last part of its abstract (the results) to keep a step short.
Twenty steps are far too few to teach anything but the form of an answer; the table says what they did. `constant` is
the reward of always giving the most frequent answer. Writes results.json and results.md.
"""

import argparse
import json
import logging
import random
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

from bftembed import data
from bftembed.tune.config import GRPOSettings, Lora
from bftembed.tune.grpo.questions import Question
from bftembed.tune.grpo.rewards import DIRECTIONS, YES_NO_MAYBE
from bftembed.tune.grpo.train import train_grpo

#: Questions per step and answers to each: about as many tokens per step in both sets.
SIZES = {"toy": (4, 4), "pubmedqa": (2, 4)}
WORDS = "cat protein river stone marrow enzyme cloud tumour membrane garden kidney signal yeast paper window antibody"
COLUMNS = ("reward", "answered", "unparsed", "frac_reward_zero_std", "kl", "completions/mean_length", "step_time")


def toy_questions(n: int, seed: int = 0) -> list[Question]:
    """Easy questions with known answers, half about letters in words and half about directions; answers balanced."""
    draw = random.Random(seed)
    words = WORDS.split()
    questions: list[Question] = []
    for index in range(n):
        first = index // 2 % 2 == 0
        if index % 2:
            low, high = sorted(draw.sample(range(1, 100), 2))
            begin, end = (low, high) if first else (high, low)
            text = f"The level of a protein goes from {begin} to {end}. Is that an increase or a decrease?"
            answer, choices = DIRECTIONS[0 if first else 1], DIRECTIONS
        else:
            word = draw.choice(words)
            letters = [letter for letter in "abcdefghijklmnopqrstuvwxyz" if (letter in word) == first]
            text = f"Does the word '{word}' contain the letter '{draw.choice(letters)}'?"
            answer, choices = "yes" if first else "no", ("yes", "no")
        text += f" Answer with one word, {' or '.join(choices)}."
        questions.append({"prompt": text, "answer": answer, "choices": list(choices)})
    draw.shuffle(questions)
    return questions


def short_toy_questions(n: int, seed: int) -> list[Question]:
    """The toy set with a system message shorter than the one that the chat template would put in."""
    system = {"role": "system", "content": "Be brief."}
    return [
        {**question, "prompt": [system, {"role": "user", "content": question["prompt"]}]}
        for question in toy_questions(n, seed)
    ]


def pubmedqa_questions(n: int, seed: int, characters: int) -> list[Question]:
    system = {"role": "system", "content": "Answer with one word, yes, no or maybe."}
    test = data.load("pubmedqa", "test")
    found = [entry for id, entry in data.load("pubmedqa", "questions").items() if id not in test]
    return [
        {
            "prompt": [
                system,
                {"role": "user", "content": f"{entry['CONTEXTS'][-1][:characters]}\n\n{entry['QUESTION']}"},
            ],
            "answer": entry["final_decision"],
            "choices": list(YES_NO_MAYBE),
        }
        for entry in random.Random(seed).sample(found, n)
    ]


def constant_reward(questions: list[Question]) -> float:
    """Reward of the most frequent answer to each kind of question."""
    answers: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for question in questions:
        answers[tuple(question["choices"])][question["answer"]] += 1
    return sum(max(counts.values()) for counts in answers.values()) / len(questions)


def run(name: str, args: argparse.Namespace) -> dict:
    prompts, generations = SIZES[name]
    n = args.steps * prompts
    questions = (
        short_toy_questions(n, args.seed) if name == "toy" else pubmedqa_questions(n, args.seed, args.characters)
    )
    settings = GRPOSettings(
        steps=args.steps,
        prompts_per_step=prompts,
        num_generations=generations,
        max_new_tokens=args.max_new_tokens,
        learning_rate=args.learning_rate,
        beta=args.beta,
        seed=args.seed,
    )
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as made:
        result = train_grpo(args.model, questions, made, settings=settings, lora=Lora(r=8, lora_alpha=16))
        report = json.loads((Path(made) / "bft_grpo.json").read_text())
        lines = [json.loads(line) for line in (Path(made) / "log.jsonl").read_text().splitlines()]
    print(f"{name}: {result}", flush=True)
    steps = [{key: line.get(key) for key in ("step", *COLUMNS)} for line in lines if "reward" in line]
    seconds = time.perf_counter() - started
    return {**report, "constant": constant_reward(questions), "seconds": seconds, "steps": steps}


def mean(steps: list[dict], key: str) -> float:
    return sum(step[key] for step in steps) / len(steps)


def table(results: dict[str, dict]) -> str:
    text = "| questions | part | reward | answered | unparsed | groups without signal | KL | constant |\n"
    text += "|---|---|---|---|---|---|---|---|\n"
    for name, result in results.items():
        steps = result["steps"]
        quarter = max(1, len(steps) // 4)
        parts = {f"first {quarter} steps": steps[:quarter], f"last {quarter}": steps[-quarter:], "all": steps}
        for part, chosen in parts.items():
            values = " | ".join(f"{mean(chosen, key):.3f}" for key in COLUMNS[:5])
            text += f"| {name} | {part} | {values} | {result['constant']:.3f} |\n"
    for name, result in results.items():
        text += f"\n{name}, {result['seconds']:.0f} s:\n\n"
        text += f"| step | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 1)}\n"
        for step in result["steps"]:
            text += f"| {step['step']} | {' | '.join(f'{step[key]:.3f}' for key in COLUMNS)} |\n"
    return text


def main() -> None:
    """Train on each set and write what happened."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="directory for results.json and results.md")
    parser.add_argument("--questions", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--model", default="default")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--max-new-tokens", type=int, default=12)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--beta", type=float, default=0.02)
    parser.add_argument("--characters", type=int, default=240, help="of the abstract")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    logging.getLogger("bftembed").setLevel(logging.INFO)
    args.output.mkdir(parents=True, exist_ok=True)
    results = {}
    for name in args.questions:
        results[name] = run(name, args)
        (args.output / "results.json").write_text(json.dumps(results, indent=2) + "\n")
        (args.output / "results.md").write_text(table(results))
    print(table(results))


if __name__ == "__main__":
    main()
