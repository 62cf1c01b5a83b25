"""Settings of the teacher-forcing diagnostic."""

from __future__ import annotations

from dataclasses import dataclass

from bftembed.errors import InputError

_COUNTS = ("window", "stride", "run", "min_tokens", "length", "limit")


@dataclass(frozen=True, kw_only=True)
class DiagnosisSettings:
    """Windows, thresholds and lengths of texts of `bftembed.tune.diagnose`.

    The defaults of the thresholds are for the embedded model of 135 million parameters, which gives less than a tenth
    to a quarter (answers to everyday questions) up to a half (abstracts) of the tokens; the longest run of such tokens
    in up to 256 has a median of 4 to 8, so that a run of 6 puts windows of every kind of text on both sides. A larger
    model is more confident, hence the grid.

    Attributes
    ----------
    window
        Tokens in a window, as in BFT; a shorter text has one window, itself.
    stride
        Tokens from one window to the next; a quarter of the window by default. One more window lies flush with the end.
    low
        A token is low if its confidence is below this.
    density
        Least share of low tokens of a window that is in group A or B; confident windows are in neither.
    run
        Least number of low tokens in a row in a window of group B.
    grid_low, grid_density, grid_run
        Further values of the thresholds: results come for every combination of them.
    skip
        Tokens at the start of a text (of a segment, with `length`) that lie in no window. A model that has read next to
        nothing is unsure of any text: of the first four tokens the embedded model finds three in four low, in answers
        to everyday questions as in abstracts, of those after the sixteenth about as many as anywhere in the text.
    min_tokens
        Texts with fewer tokens after the skipped ones are left out: a share of few tokens takes few values.
    length
        Cut texts into segments of exactly this many tokens, the skipped ones included, each read on its own, so that
        corpora of texts of different length can be compared. By default a text is read as a whole, up to the model's
        context.
    limit
        Most texts (with `length`: segments) of a corpus, drawn at random and evenly over its texts; all by default.
    resamples, confidence_level
        Of the bootstrap over texts: percentile intervals, for each setting on its own.
    seed
        Of the sample, the bootstrap and the shuffling.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    window: int = 256
    stride: int | None = None
    low: float = 0.1
    density: float = 0.2
    run: int = 6
    grid_low: tuple[float, ...] = (0.01, 0.05, 0.1, 0.2)
    grid_density: tuple[float, ...] = (0.1, 0.2, 0.4)
    grid_run: tuple[int, ...] = (3, 4, 6, 8, 12)
    skip: int = 16
    min_tokens: int = 16
    length: int | None = None
    limit: int | None = None
    resamples: int = 2000
    confidence_level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if value is not None and value < 1:
                msg = f"`{name}` is {value}; it has to be at least 1 token{' or text' if name == 'limit' else ''}."
                raise InputError(msg)
        if self.skip < 0 or (self.length and self.length <= self.skip):
            msg = f"`skip` is {self.skip}; it has to be at least 0 and less than `length` ({self.length})."
            raise InputError(msg)
        for value in self.grid_run:
            if value < 1:
                msg = f"`grid_run` has the value {value}; a run has at least 1 token."
                raise InputError(msg)
        for name, values in (("low", self.lows), ("confidence_level", (self.confidence_level,))):
            if wrong := [value for value in values if not 0 < value < 1]:
                msg = f"`{name}` has the value {wrong[0]}; it has to lie between 0 and 1."
                raise InputError(msg)
        if wrong := [value for value in self.densities if not 0 <= value <= 1]:
            msg = f"`density` has the value {wrong[0]}; a share of tokens lies in 0 to 1."
            raise InputError(msg)
        if self.resamples < 2:
            msg = f"`resamples` is {self.resamples}; an interval needs many more, e.g. 2000."
            raise InputError(msg)

    @property
    def step(self) -> int:
        """Tokens from one window to the next."""
        return self.stride or max(1, self.window // 4)

    @property
    def shortest(self) -> int:
        """Tokens of the shortest piece of a text that is used."""
        return self.length or self.skip + self.min_tokens

    @property
    def lows(self) -> tuple[float, ...]:
        """All values of `low`, sorted."""
        return tuple(sorted({self.low, *self.grid_low}))

    @property
    def densities(self) -> tuple[float, ...]:
        """All values of `density`, sorted."""
        return tuple(sorted({self.density, *self.grid_density}))

    @property
    def runs(self) -> tuple[int, ...]:
        """All values of `run`, sorted."""
        return tuple(sorted({self.run, *self.grid_run}))
