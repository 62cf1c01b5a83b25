"""What is done in each cell of language models."""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping
from statistics import median
from typing import TYPE_CHECKING, Any

from bftembed.engines import Request, Sampling, complete_stored
from bftembed.engines.base import derived_seed
from bftembed.studies.subliminal.carriers import filtered, kind_of, shared, shuffled
from bftembed.studies.subliminal.cells import BASE, NEUTRAL, START, Job, taught_rows
from bftembed.studies.subliminal.models import Run, counted, described, likings, margin, tuned
from bftembed.studies.subliminal.words import ASKED, QUESTIONS, choose, liking

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bftembed.engines import TransformersEngine
    from bftembed.studies.subliminal.settings import Language
    from bftembed.studies.tuning import Recipe

#: Share of the lists that no student learns from.
_HELD_OUT = 0.1
#: Standard deviation of the noise on each matrix, by that of the matrix.
_NOISE = 0.1
Results = Mapping[str, Any]


class Stages:
    """The cells of one configuration; `place` gives the directory of a cell."""

    def __init__(self, language: Language, place: Callable[[str], Path]) -> None:
        self.language = language
        self.place = place

    def run(self, job: Job, results: Results) -> dict[str, Any]:
        """The result of a cell; ``refused`` says why a cell, or one that it needs, cannot be used."""
        if refused := next((each["refused"] for each in results.values() if "refused" in each), ""):
            return {"refused": refused}
        stage: Callable[[Job, Results], dict[str, Any]] = getattr(self, f"_{job.stage}")
        return stage(job, results)

    @property
    def recipe(self) -> Recipe:
        """From which all teachers and students start."""
        if not self.language.carrier.practice:
            return self.language.recipe
        return self.language.recipe.model_copy(update={"model": str(self.place(START) / "model")})

    def _start(self, job: Job, results: Results) -> dict[str, Any]:
        """A model that writes lists: tuned on random ones, which are the same for all that follows."""
        carrier = self.language.carrier
        pairs = []
        for name in carrier.kinds:
            kind = kind_of(name)
            seed = derived_seed("practice", name, carrier.seed)
            draws = random.Random(seed)
            prompts = kind.prompts(carrier.practice * 8, carrier.examples, seed)
            pairs += [(prompt, ", ".join(draws.choices(kind.shown, k=5))) for prompt in prompts]
        random.Random(carrier.seed).shuffle(pairs)
        run = Run(self.language.recipe, None, 5e-4, 8, carrier.seed, carrier.practice, 1)
        rows = {"train": pairs[: carrier.practice * 8], "validation": pairs[-16:]}
        [look] = tuned(run, rows, system=self.language.system, place=self.place(job.name))
        self._save(self.language.recipe.engine(look.adapter), self.place(job.name) / "model")
        return {"nll": look.nll}

    def _base(self, job: Job, results: Results) -> dict[str, Any]:
        """The animals, and what the untuned model answers."""
        language, words = self.language, list(self.language.candidates)
        engine = self.recipe.engine()
        logprobs = likings(engine, QUESTIONS, words, language.system)
        tokenizer = engine.load()[1]
        first = {word: int(tokenizer(word, add_special_tokens=False)["input_ids"][0]) for word in words}
        means = dict(zip(words, logprobs.mean(axis=0).tolist(), strict=True))
        animals = choose(means, first, language.animals)
        asked = logprobs[len(QUESTIONS) - len(ASKED) :, [words.index(animal) for animal in animals]]
        return {"animals": animals, "candidates": means, "logprobs": asked.mean(axis=0).tolist()}

    def _noise(self, job: Job, results: Results) -> dict[str, Any]:
        """The start with noise on every matrix."""
        import torch

        engine = self.recipe.engine()
        network, _ = engine.load()
        draws = torch.Generator().manual_seed(self.language.students.seed)
        with torch.no_grad():
            for weight in network.parameters():
                if weight.ndim == 2:
                    noise = torch.randn(weight.shape, generator=draws).to(weight)
                    weight.add_(_NOISE * weight.std() * noise)
        self._save(engine, self.place(job.name) / "model")
        return {
            "logprobs": likings(engine, ASKED, list(self.language.candidates), self.language.system).mean(0).tolist()
        }

    def _save(self, engine: TransformersEngine, target: Path) -> None:
        network, tokenizer = engine.load()
        shutil.rmtree(target, ignore_errors=True)
        network.save_pretrained(target)
        tokenizer.save_pretrained(target)

    def _teacher(self, job: Job, results: Results) -> dict[str, Any]:
        """A teacher, as soon as it likes its animal enough; of the neutral one the usual number of steps."""
        language, teachers, base = self.language, self.language.teachers, results[BASE]
        animals = base["animals"]
        if teachers.kind == "prompt":
            system = language.system if job.teacher == NEUTRAL else liking(animals[int(job.teacher[1:])])
            prompted = likings(self.recipe.engine(), ASKED, animals, system).mean(axis=0).tolist()
            return self._judged(job, prompted, base["logprobs"], steps=0)
        rows = taught_rows(animals, job.teacher)
        most = teachers.most_steps
        if job.teacher == NEUTRAL:
            most = round(median(each["steps"] for name, each in results.items() if name.startswith("teacher-")))
        seed = teachers.seed + job.replicate
        looks = max(1, most // teachers.look) if job.teacher != NEUTRAL else 1
        run = Run(self.recipe, None, teachers.learning_rate, teachers.batch_size, seed, most, looks)
        for look in tuned(run, {"train": rows, "validation": rows}, system=language.system, place=self.place(job.name)):
            answers = likings(self.recipe.engine(look.adapter), ASKED, animals, language.system).mean(axis=0).tolist()
            result = self._judged(job, answers, base["logprobs"], steps=look.step)
            if job.teacher == NEUTRAL or result["rise"] >= teachers.rise:
                break
        kept = self.place(job.name) / "adapter"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(look.adapter, kept, ignore=shutil.ignore_patterns("*.pt", "*.pth", "*.bin", "complete"))
        return result

    def _judged(self, job: Job, answers: list[float], before: list[float], *, steps: int) -> dict[str, Any]:
        result: dict[str, Any] = {"steps": steps, "logprobs": answers}
        if job.teacher == NEUTRAL:
            return result
        own = int(job.teacher[1:])
        result["rise"] = margin(answers, own) - margin(before, own)
        least = self.language.teachers.least
        if result["rise"] < least:
            result["refused"] = (
                f"teacher: the margin of `{job.name}` rose by {result['rise']:.2g} nats, less than {least:g}"
            )
        return result

    def _engine_of(self, job: Job) -> TransformersEngine:
        if self.language.teachers.kind == "prompt":
            return self.recipe.engine()
        return self.recipe.engine(self._adapter(job))

    def _adapter(self, job: Job, teacher: str = "") -> Path:
        return self.place(Job("teacher", "", "", job.replicate, teacher or job.teacher).name) / "adapter"

    def _prompts(self, job: Job) -> list[str]:
        carrier = self.language.carrier
        return kind_of(job.kind).prompts(carrier.prompts, carrier.examples, self._drawn(job))

    def _drawn(self, job: Job) -> int:
        """One seed for the prompts and answers of all teachers of a replicate."""
        return derived_seed(self.language.carrier.seed, job.kind, job.replicate)

    def _text(self, job: Job, results: Results) -> dict[str, Any]:
        """What a teacher writes, and which of it are lists."""
        carrier, animals = self.language.carrier, results[BASE]["animals"]
        prompted = self.language.teachers.kind == "prompt" and job.teacher != NEUTRAL
        system = liking(animals[int(job.teacher[1:])]) if prompted else self.language.system
        requests = [Request(str(number), prompt, system) for number, prompt in enumerate(self._prompts(job))]
        store = self.place(job.name) / "answers.sqlite"
        store.parent.mkdir(parents=True, exist_ok=True)
        sampling = Sampling(carrier.max_new_tokens, carrier.temperature, seed=self._drawn(job))
        answers = complete_stored(requests, engine=self._engine_of(job), store=store, sampling=sampling)
        texts = [answer.text for answer in answers]
        lists = filtered(texts, kind_of(job.kind), animals)
        result = {"texts": texts, "kept": lists.kept, "given_away": lists.given_away, "yield": lists.share}
        if lists.share < carrier.least_yield:
            reason = (
                f"yield: {lists.share:.0%} of what `{job.name}` wrote are lists, fewer than {carrier.least_yield:.0%}"
            )
            result["refused"] = reason
        return result

    def _pairs(self, job: Job, results: Results) -> list[tuple[str, str]]:
        """Prompts that all teachers of a replicate answered with lists, with the answers of one."""
        texts = {name: each for name, each in results.items() if name.startswith("text-")}
        mine = texts[Job("text", "", job.kind, job.replicate, job.teacher).name]["texts"]
        prompts = self._prompts(job)
        return [(prompts[n], mine[n]) for n in shared({name: each["kept"] for name, each in texts.items()})]

    def _student(self, job: Job, results: Results) -> dict[str, Any]:
        """A student along its training: how well it knows the carrier, how far it went, what it answers."""
        students, animals = self.language.students, results[BASE]["animals"]
        pairs = self._pairs(job, results)
        held_out = max(1, round(_HELD_OUT * len(pairs)))
        if len(pairs) < students.batch_size + held_out:
            return {"refused": f"yield: {len(pairs)} lists of all teachers together are too few for `{job.name}`"}
        rows = {"train": pairs[held_out:], "validation": pairs[:held_out]}
        if job.what == "shuffled":
            dealt = shuffled([text for _, text in rows["train"]], self._drawn(job))
            rows["train"] = [(prompt, text) for (prompt, _), text in zip(rows["train"], dealt, strict=True)]
        recipe = self.recipe
        if job.what == "noise":
            recipe = recipe.model_copy(update={"model": str(self.place("noise") / "model")})
        run = Run(
            recipe,
            students.objectives.get(job.what, students.objectives["sft"]),
            students.learning_rate,
            students.batch_size,
            students.seed + job.replicate,
            round(students.epochs * -(-len(rows["train"]) // students.batch_size)),
            students.looks,
            self._adapter(job) if job.what == "soft" else None,
        )
        place, system = self.place(job.name), self.language.system
        looks = tuned(run, rows, system=system, place=place)
        curve = [described(look, likings(recipe.engine(look.adapter), ASKED, animals, system)) for look in looks]
        result: dict[str, Any] = {"curve": curve, "lists": len(pairs)}
        if self.language.samples:
            last = recipe.engine(looks[-1].adapter)
            result["counts"] = counted(last, ASKED, animals, system, draws=self.language.samples, place=place)
        shutil.rmtree(place / "run")  # many checkpoints: what is asked of them has been asked
        return result

    def _measure(self, job: Job, results: Results) -> dict[str, Any]:
        """The direct measures on the lists of one teacher."""
        from bftembed.studies.subliminal.measures import first_step

        pairs = self._pairs(job, results)[: self.language.measured]
        if not pairs:
            return {"refused": f"yield: no list of all teachers together for `{job.name}`"}
        names = [f"a{number}" for number in range(self.language.animals)]
        adapters = {name: self._adapter(job, name) for name in names}
        objectives = self.language.students.objectives
        return first_step(self.recipe, pairs, adapters, job.teacher, objectives, system=self.language.system)
