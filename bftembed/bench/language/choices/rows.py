"""What closed questions give to one who asks no model: constants, rules of thumb, and words."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bftembed.bench.language.choices.scores import f1_score, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bftembed.bench.language.choices.prompts import ClosedQuestion
    from bftembed.bench.scoring.scores import Score

_FOLDS = 10


def rows_without_model(
    rows: Sequence[ClosedQuestion],
    training: Sequence[ClosedQuestion],
    weights: NDArray[np.float64],
    *,
    subsets: bool = False,
) -> list[Score]:
    """What stands beside every model's score on these questions.

    Parameters
    ----------
    rows, training
        The questions that are scored, and others to learn from, if there are any.
    weights
        (n_draws, n) of the bootstrap.
    subsets
        Whether the majority of each stratum is told too.
    """
    gold = np.array([row.gold for row in rows], dtype=str)
    is_lettered = bool(rows[0].options)
    scores = [share("chance", "accuracy", np.full(len(rows), 1 / len(rows[0].choices)), None)]
    if is_lettered:
        scores.append(share("longest option", "accuracy", longest_option(rows), weights))
    name = f"trained {'choices' if is_lettered else 'text'} only"
    learned = guessed_from_options(rows) if is_lettered else guessed_from_text(rows, training)
    guesses = {"majority": np.full(len(rows), majority(rows, training))}
    guesses |= {} if learned is None else {name: learned}
    scores += [share(method, "accuracy", found == gold, weights) for method, found in guesses.items()]
    if not is_lettered:
        scores += [f1_score(method, gold, found, weights) for method, found in guesses.items()]
    for stratum in sorted({row.stratum for row in rows}) if subsets else ():
        where = np.array([row.stratum == stratum for row in rows])
        common = majority([row for row in rows if row.stratum == stratum])
        scores.append(share("majority", f"accuracy, {stratum}", gold == common, weights, where=where))
    return scores


def majority(rows: Sequence[ClosedQuestion], training: Sequence[ClosedQuestion] = ()) -> str:
    """The most frequent right answer of the training part, or of the questions themselves without one."""
    counts = Counter(row.gold for row in sorted(training or rows, key=lambda row: row.choices.index(row.gold)))
    return counts.most_common(1)[0][0]


def longest_option(rows: Sequence[ClosedQuestion]) -> NDArray[np.float64]:
    """Share (n,) of each question that the longest option earns; of several equally long ones each has its part."""
    found = np.zeros(len(rows))
    for i, row in enumerate(rows):
        lengths = [len(option) for option in row.options]
        longest = [choice for choice, n in zip(row.choices, lengths, strict=True) if n == max(lengths)]
        found[i] = (row.gold in longest) / len(longest)
    return found


def guessed_from_options(rows: Sequence[ClosedQuestion]) -> NDArray[np.str_] | None:
    """Choices (n,) of who has learned from the options of other questions which ones tend to be right.

    Logistic regression of the words and pairs of words (TF-IDF) and the letter of an option on its being right,
    ten-fold by question; the likeliest option of each question is chosen. None of a single question.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    if len(rows) < 2:
        return None
    sizes = [len(row.options) for row in rows]
    options = pd.DataFrame(
        [(option, letter) for row in rows for option, letter in zip(row.options, row.choices, strict=True)],
        columns=["text", "letter"],
    )
    right = np.array([choice == row.gold for row in rows for choice in row.choices])
    letters = OneHotEncoder(handle_unknown="ignore")
    features = ColumnTransformer([("words", _words(), "text"), ("letters", letters, ["letter"])])
    model = make_pipeline(features, LogisticRegression(solver="liblinear"))
    folds = GroupKFold(min(_FOLDS, len(rows)), shuffle=True, random_state=0)
    question = np.repeat(np.arange(len(rows)), sizes)
    score = cross_val_predict(model, options, right, groups=question, cv=folds, method="decision_function")
    of_each = np.split(score, np.cumsum(sizes)[:-1])
    return np.array([row.choices[int(each.argmax())] for row, each in zip(rows, of_each, strict=True)], dtype=str)


def guessed_from_text(
    rows: Sequence[ClosedQuestion], training: Sequence[ClosedQuestion] = ()
) -> NDArray[np.str_] | None:
    """Choices (n,) of a bag of words: logistic regression of the last paragraph's words and pairs of words (TF-IDF).

    The last paragraph of an abstract tends to hold its findings; of questions without context their own words are
    taken. Trained on `training`, without it ten-fold on the other questions. None where that needs more of an answer.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(_words(), LogisticRegression(C=10, max_iter=2000))
    texts, gold = [_last(row) for row in rows], [row.gold for row in rows]
    answers = Counter(row.gold for row in training or rows)
    if len(answers) < 2 or (not training and min(answers.values()) < 2):
        return None
    if training:
        found = model.fit([_last(row) for row in training], [row.gold for row in training]).predict(texts)
    else:
        folds = StratifiedKFold(min(_FOLDS, *answers.values()), shuffle=True, random_state=0)
        found = cross_val_predict(model, texts, gold, cv=folds)
    return np.asarray(found, dtype=str)


def _words() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    # Marks are words too: no text is without any then, and "+" is not "-".
    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+|[^\w\s]")


def _last(row: ClosedQuestion) -> str:
    return row.context[-1] if row.context else row.question
