"""What the training package refuses, and how it says so."""


class TrainingError(Exception):
    """The root of every error that `mrclip-train` translates into one line and exit status 2."""


class RefusedError(TrainingError):
    """An input or a recipe that is refused before any time is spent on it; the text names what and why."""


class DivergedError(TrainingError):
    """Training left the range of finite numbers."""


class VolumeError(TrainingError):
    """One volume that cannot be used; the others go on. `code` is short and stable, the text is for a person."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
