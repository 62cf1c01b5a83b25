"""The objectives once more, in float64 with Python loops and gradients by hand: what the tests compare with.

Written from the definitions alone; neither torch nor any code of the package is used here.
"""

import math

import numpy as np


def log_softmax(row):
    """Log-probabilities of one row of logits [V]; logits of -inf are allowed."""
    row = np.asarray(row, np.float64)
    top = row.max()
    return row - (top + math.log(np.exp(row - top).sum()))


def contexts(c, window):
    """C_t [n]: mean confidence of the length-`window` stretch of the sample that is nearest to centred on t."""
    n = len(c)
    means = []
    for t in range(n):
        start = min(max(t - window // 2, 0), max(n - window, 0))
        part = c[start : start + window]
        means.append(sum(part) / len(part))
    return means


def sliding_means(values, window):
    """Means of all stride-1 windows; of the whole where it is shorter than one window."""
    if len(values) <= window:
        return [sum(values) / len(values)]
    return [sum(values[i : i + window]) / window for i in range(len(values) - window + 1)]


def likeliest_entropy(p, k):
    """Entropy of the k largest probabilities, made to add up to 1."""
    largest = sorted(p, reverse=True)[:k]
    whole = sum(largest)
    return -sum(each / whole * math.log(each / whole) for each in largest if each > 0)


def sample(logp, name, *, window=256, gamma=1.0, eps=0.0, alpha=None, tau=0.1, k=20, entropy=(), purity=()):
    """Token weights [n], sample weight and lowest window of one sample with n >= 1 supervised tokens."""
    c = [math.exp(value) for value in logp]
    geometric = math.exp(min(sliding_means(logp, window)))
    arithmetic = min(contexts(c, window))
    if name == "sft":
        return [1.0] * len(c), 1.0, arithmetic
    if name == "dft":
        return c, 1.0, arithmetic
    if name == "bft-v1":
        return c, 1.0 - geometric**gamma, geometric
    if name == "bft":
        means = contexts(c, window)
        tokens = [min(max(own / (mean + eps), 0.0), 1.0) for own, mean in zip(c, means, strict=True)]
        return tokens, 1.0 - arithmetic, arithmetic
    if name == "power":
        return [own ** (0.5 if alpha is None else alpha) for own in c], 1.0, arithmetic
    if name == "profit":
        return [float(own >= tau) for own in c], 1.0, arithmetic
    if name == "eaft":
        return [(own / math.log(k)) ** (1.0 if alpha is None else alpha) for own in entropy], 1.0, arithmetic
    if name == "deft":
        return [own**exponent for own, exponent in zip(c, purity, strict=True)], 1.0, arithmetic
    raise KeyError(name)


def objective(logits, labels, name, *, n_tokens=None, n_samples=None, k=20, **options):
    """Loss, gradient [B, T, V] with respect to the logits, and lowest windows [B] (0 where nothing is supervised).

    `labels` [B, T] are not shifted: logits at t predict the label at t + 1; -100 is not supervised. `n_tokens` and
    `n_samples` are the sizes of the global batch; those of this one where they are left out.
    """
    logits = np.asarray(logits, np.float64)
    labels = np.asarray(labels)
    per_sample = name.startswith("bft")
    if n_tokens is None:
        n_tokens = int((labels[:, 1:] != -100).sum())
    if n_samples is None:
        n_samples = len(labels)
    loss, gradient, lowest = 0.0, np.zeros_like(logits), np.zeros(len(labels))
    for b in range(len(labels)):
        places = [t for t in range(labels.shape[1] - 1) if labels[b, t + 1] != -100]
        if not places:
            continue
        rows = [log_softmax(logits[b, t]) for t in places]
        targets = [labels[b, t + 1] for t in places]
        logp = [float(row[y]) for row, y in zip(rows, targets, strict=True)]
        p = [np.exp(row) for row in rows]
        spread = {"entropy": [likeliest_entropy(row, k) for row in p], "purity": [float((row**2).sum()) for row in p]}
        tokens, whole, lowest[b] = sample(logp, name, k=k, **options, **spread)
        scale = whole / len(places) / n_samples if per_sample else 1.0 / n_tokens
        for t, row, y, value, weight in zip(places, rows, targets, logp, tokens, strict=True):
            loss += scale * weight * -value
            gradient[b, t] = scale * weight * np.exp(row)
            gradient[b, t, y] -= scale * weight
    return loss, gradient, lowest
