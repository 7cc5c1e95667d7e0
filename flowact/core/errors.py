"""The errors a user may meet. Each message says what failed, what was got, what was expected and what to do."""


class FlowActError(Exception):
    """Base of every error that FlowAct raises on purpose; the command line prints it as one line and exits with 2."""


class ConfigError(FlowActError):
    """A setting, an input file or an argument cannot be used."""


class CheckpointError(FlowActError):
    """Weights are missing, damaged or belong to another model."""


class ShapeError(FlowActError):
    """A tensor has the wrong shape, kind or rate."""


class SessionError(FlowActError):
    """A live or offline session was used in a way its state does not allow."""
