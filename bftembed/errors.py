"""Every error this package raises on purpose: what is wrong, what was found, what to do."""


class BftembedError(Exception):
    """Root of all errors of this package."""


class InputError(BftembedError, ValueError):
    """The data or an argument cannot be used as given."""


class GeneNameError(InputError):
    """No gene name, or too few, can be recognised."""


class TemplateError(InputError):
    """A prompt template is missing or malformed."""


class DataError(BftembedError):
    """A data set cannot be found, downloaded, verified or read."""


class NotGivenError(DataError):
    """A file of the user's own was not given to what reads it."""


class ModelError(BftembedError):
    """A model cannot be found, or its directory is incomplete."""


class EngineError(BftembedError):
    """A language model or its server cannot be used."""


class EncoderError(BftembedError):
    """A text encoder or its server cannot be used."""


class ServerError(EngineError, EncoderError):
    """No server answers at an address, or it refuses the key."""


class TuneError(BftembedError):
    """A tuning run cannot be started, continued or saved."""


class DivergedError(TuneError):
    """The loss or the gradient of a run is no longer a number: the model is lost."""


class StoreError(BftembedError):
    """A profile store or vector cache cannot be opened, read or written."""


class ClusterError(BftembedError):
    """A cluster cannot be reached, or its nodes cannot be used together."""


class MissingExtraError(BftembedError, ImportError):
    """An optional package is not installed."""


class PluginError(BftembedError):
    """A plug-in of another package cannot be loaded, or does not keep the contract."""


class BftembedWarning(UserWarning):
    """Something is usable but not as good as it could be, and the user can do something about it."""
