"""The file that a backend loads, converted once for each model and setting.

Converting is no part of loading: a user ships what was converted.
"""

from __future__ import annotations

from pathlib import Path

from core.backends.base import catalogue
from core.errors import InferenceFailed
from core.records import RunOptions

_made: dict[tuple[str, Path, int, int, RunOptions], Path] = {}


def artifact(backend: str, model: Path, options: RunOptions) -> Path:
    """What `load` of this backend takes; in the folder of this process, if it is not the model.

    Raises:
        ConversionFailed: with the converter's own words.
        InferenceFailed: there is no such model any more.
    """
    try:
        status = model.stat()
    except OSError as error:
        raise InferenceFailed(f"{model.name} cannot be read: {error.strerror}.") from None
    key = (backend, model, status.st_mtime_ns, status.st_size, options)
    if key not in _made:
        folder = Path.cwd() / f"artifact-{len(_made)}"
        folder.mkdir(exist_ok=True)
        _made[key] = catalogue()[backend].compile(model, folder, options)
    return _made[key]
