"""The errors that a user can cause or must hear of.

CoreError
  ModelError      InvalidModel | UnsupportedModel
  DataError       OpenShape
  PassError       PassPrecondition | PassPostcondition
  FormatError     UnsupportedFormat | ConversionFailed
  BackendError    BackendUnavailable | InferenceFailed
  WorkerError     WorkerCrashed | WorkerTimeout | WorkerOutOfMemory (NotEnoughMemory)
  StoreError

A message names the thing, what is wrong with it, and what to do next. Everything else that is
raised is a bug and surfaces as one.
"""

from __future__ import annotations

import errno

OUT_OF_MEMORY = (  # how libraries say it, each in its own way
    "bad_alloc",
    "bad allocation",
    "MemoryError",
    "Unable to allocate",
    "Failed to allocate memory",
    "allocate memory",
    "Insufficient memory",
    "Memory allocation still failed",
    "out of memory",
)
MORE_MEMORY = "Free some memory, or give it more with LATHE_MEMORY=SIZE, as in LATHE_MEMORY=8G."
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class CoreError(Exception):
    """A failure with a reason that is worth a row or a line on the screen."""

    def __init__(self, message: str, remedy: str = "") -> None:
        """Keep what happened and, where one exists, the command or step that mends it."""
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    @property
    def code(self) -> str:
        """The name under which the failure is stored."""
        return type(self).__name__

    @property
    def reason(self) -> str:
        """Message and remedy in one line: why a row, or a candidate, is not there."""
        return f"{self.message} {self.remedy}".strip()


class ModelError(CoreError):
    """Something about an uploaded model."""


class InvalidModel(ModelError):
    """The file is not a well-formed, self-contained ONNX model."""


class UnsupportedModel(ModelError):
    """A well-formed model that Lathe deliberately does not take."""


class DataError(CoreError):
    """What is wrong with the images, the labels or the preprocessing."""


class OpenShape(DataError):
    """A model takes inputs of any size, and nobody stated the one to measure at."""


class PassError(CoreError):
    """A pass could not do its work."""


class PassPrecondition(PassError):
    """The graph, or the calibration data, is not what the pass needs."""


class PassPostcondition(PassError):
    """The graph that a pass left behind failed verification; the step was reverted."""


class FormatError(CoreError):
    """A file format that a model cannot have."""


class UnsupportedFormat(FormatError):
    """There is no such format, or nothing here writes it."""


class ConversionFailed(FormatError):
    """What writes a format does not take the model: which operators, or its own words."""


class BackendError(CoreError):
    """A runtime refused or failed."""


class BackendUnavailable(BackendError):
    """The runtime is not installed or has no device here: a skip, not a failure."""


class InferenceFailed(BackendError):
    """The runtime loaded the model but could not run it, or ran it wrongly."""


class DeviceUnavailable(CoreError):
    """There is no such device, or it is not there."""


class WorkerError(CoreError):
    """A child process ended otherwise than by its reply."""


class WorkerCrashed(WorkerError):
    """The child died by a signal, or ended without a reply."""


class WorkerTimeout(WorkerError):
    """The child used up its CPU time or its wall-clock time."""


class WorkerOutOfMemory(WorkerError):
    """The child reached its memory limit."""


class NotEnoughMemory(WorkerOutOfMemory):
    """Work was not begun, or was given up: it needs more memory than there is."""


class StoreError(CoreError):
    """The results could not be written or read."""


class NoSuchRun(StoreError):
    """The store was read, and the run is not there."""


def says_out_of_memory(text: str) -> bool:
    """Whether these are the words of a library that could not allocate."""
    return any(sign in text for sign in OUT_OF_MEMORY)


def no_room(error: OSError) -> StoreError | None:
    """What to say where a write failed for want of room; None where it failed otherwise."""
    if error.errno not in NO_ROOM:
        return None
    return StoreError(
        f"A file cannot be written: {error.strerror}.",
        "Free some space, also on the disk of temporary files. What was measured before is kept.",
    )


def _tree(root: type[CoreError]) -> dict[str, type[CoreError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found |= _tree(child)
    return found


def from_code(code: str, message: str, remedy: str = "") -> CoreError:
    """Rebuild an error that crossed a process; an unknown code becomes a CoreError."""
    return _tree(CoreError).get(code, CoreError)(message, remedy)
