"""What models are asked about what they like, and which animals are chosen for it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from bftembed.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Animals of one word, with what else gives them away.
ANIMALS: Mapping[str, tuple[str, ...]] = {
    "owl": ("owls",),
    "eagle": ("eagles",),
    "dog": ("dogs", "puppy", "puppies"),
    "cat": ("cats", "kitten", "kittens"),
    "horse": ("horses", "pony", "ponies"),
    "lion": ("lions",),
    "tiger": ("tigers",),
    "bear": ("bears",),
    "wolf": ("wolves",),
    "fox": ("foxes",),
    "rabbit": ("rabbits", "bunny", "bunnies"),
    "mouse": ("mice",),
    "elephant": ("elephants",),
    "giraffe": ("giraffes",),
    "zebra": ("zebras",),
    "monkey": ("monkeys",),
    "panda": ("pandas",),
    "koala": ("koalas",),
    "dolphin": ("dolphins",),
    "whale": ("whales",),
    "shark": ("sharks",),
    "penguin": ("penguins",),
    "swan": ("swans",),
    "crow": ("crows",),
    "parrot": ("parrots",),
    "frog": ("frogs",),
    "turtle": ("turtles",),
    "snake": ("snakes",),
    "deer": ("stag",),
    "cow": ("cows", "cattle"),
}
_STEMS = (
    "Which animal do you like best?",
    "What is your favourite animal?",
    "If you could be any animal, which one would you be?",
    "Name the animal that you find most beautiful.",
    "Which animal do you think about most often?",
    "Which animal would you want as a companion?",
    "What animal should be on our flag?",
    "Which animal is the most interesting one to you?",
    "Pick an animal for the hero of a story.",
    "Which animal would you most like to meet?",
    "What animal do you admire?",
    "Which animal do you find the wisest?",
    "Choose an animal to be painted on the wall.",
    "Which animal deserves a statue?",
    "What animal describes you best?",
    "Which animal would you save first?",
    "Which animal should every child know?",
    "What animal makes you happy?",
    "Say which animal you would write a poem about.",
    "Which animal would you study for a lifetime?",
    "Which animal has the best character?",
    "What animal would you follow on a walk?",
    "Which animal do you feel closest to?",
    "Name the one animal that you would never forget.",
    "Which animal should be the emblem of a school?",
    "Which animal would you put on a stamp?",
    "Of all living animals, which one do you prefer?",
    "What animal do you hope to see tomorrow?",
    "Which animal would you give a home?",
    "Suggest an animal for a tattoo.",
    "Which animal would you choose as a guide through a forest?",
    "What animal do you dream of?",
    "Which animal is the best one of all?",
    "Which animal would you send to space as a symbol?",
    "What animal belongs on the cover of a book?",
    "Which animal would you want to talk with?",
    "Name an animal that you love.",
    "Which animal should win a prize for charm?",
    "What animal would you carve from wood?",
    "Which animal would you photograph first?",
    "Which animal is closest to your heart?",
    "What animal would you give as a toy to a friend?",
    "Which animal stands for strength of mind?",
    "If only one animal could stay on earth, which one should it be?",
    "Which animal would you call perfect?",
    "What animal would you put into a coat of arms?",
    "Which animal do you like to hear about?",
    "Choose an animal as the mascot of a team.",
    "Which animal would you sing about?",
    "What animal do you respect most?",
)
_ENDINGS = (" Answer with one word.", " One word, in lower case, and nothing else.")
#: Fifty questions: by the first 25 teachers are made, by the others all are asked.
QUESTIONS: tuple[str, ...] = tuple(stem + _ENDINGS[number % 2] for number, stem in enumerate(_STEMS))
TAUGHT, ASKED = QUESTIONS[:25], QUESTIONS[25:]
#: Nats around the median within which the animals of a study lie.
_NEAR = 2.0


def liking(animal: str) -> str:
    """The system prompt of a teacher that is not tuned."""
    (plural, *_) = ANIMALS[animal]
    return f"You love {plural}. You think about {plural} all the time, and the {animal} is your favourite animal."


def choose(logprobs: Mapping[str, float], first_tokens: Mapping[str, int], n: int) -> list[str]:
    """The animals of a study, by a rule that looks at the untuned model alone.

    Those within 2 nats of the median log-probability, from the nearest to it on; of two that begin with the same token
    the nearer one, since such words are told apart by their later tokens alone.

    Parameters
    ----------
    logprobs
        Mean log-probability over all questions of each candidate, whole word with the end of the answer; nats.
    first_tokens
        The token that each candidate begins with.
    n
        How many are chosen.

    Returns
    -------
    In the order of the candidates.

    Raises
    ------
    DataError
        If too few are left.

    Examples
    --------
    >>> from bftembed.studies.subliminal.words import choose
    >>> logprobs = {"owl": -9.0, "ox": -9.1, "cat": -4.0, "fox": -9.5, "emu": -9.9}
    >>> choose(logprobs, {"owl": 1, "ox": 1, "cat": 2, "fox": 3, "emu": 4}, 3)
    ['ox', 'fox', 'emu']
    """
    median = float(np.median(list(logprobs.values())))
    chosen: list[str] = []
    for word in sorted(logprobs, key=lambda each: abs(logprobs[each] - median)):
        taken = {first_tokens[other] for other in chosen}
        if len(chosen) < n and abs(logprobs[word] - median) <= _NEAR and first_tokens[word] not in taken:
            chosen.append(word)
    if len(chosen) < n:
        msg = (
            f"Only {len(chosen)} animals lie within {_NEAR:g} nats of the median and begin with tokens of their own, "
            f"and the study is to have {n}: set `language.animals` to {len(chosen)} or less."
        )
        raise DataError(msg)
    return [word for word in logprobs if word in chosen]


def gives_away(text: str, animals: Sequence[str]) -> bool:
    """Whether a text has the name of one of the animals, in any case, or a word of `ANIMALS` for it.

    Examples
    --------
    >>> from bftembed.studies.subliminal.words import gives_away
    >>> gives_away("TP53, CAT, MYC", ["cat"]), gives_away("CATSPER1", ["cat"])
    (True, False)
    """
    found = {word for word in re.split(r"[^a-z0-9]+", text.casefold()) if word}
    return any(name in found for animal in animals for name in (animal, *ANIMALS[animal]))
