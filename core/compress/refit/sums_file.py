"""Cache of sums over the inputs of layers, in a file: for the next process, or to spare memory."""

from __future__ import annotations

import logging
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path

from core.compress.graph_executor.spill_cache import Array
from core.compress.refit import array_file
from core.compress.refit.normal_equations import Gram
from core.errors import StoreError

log = logging.getLogger(__name__)


class SumsFile:
    """Sums by the output of their layer; kept nowhere without a path."""

    def __init__(self, path: Path | None = None) -> None:
        """Map what lies there. A file that is damaged is as good as none."""
        self._path = path
        self._found = self._mapped(path) if path is not None and path.exists() else {}

    @classmethod
    def scratch(cls) -> SumsFile:
        """A file that goes with this object."""
        folder = Path(tempfile.mkdtemp(prefix="sums-"))
        made = cls(folder / f"sums{array_file.SUFFIX}")
        weakref.finalize(made, shutil.rmtree, folder, ignore_errors=True)
        return made

    def _mapped(self, path: Path) -> dict[str, dict[str, Array]]:
        found: dict[str, dict[str, Array]] = {}
        try:
            for key, array in array_file.read(path).items():
                part, output = key.split("/", 1)
                found.setdefault(output, {})[part] = array
        except (StoreError, ValueError) as error:
            log.warning("%s", error)
        return found

    @property
    def kept(self) -> bool:
        """Whether there is a file at all."""
        return self._path is not None

    def read(self, outputs: Iterable[str]) -> dict[str, Gram]:
        """Those of these that were kept."""
        grams = {}
        for output in outputs:
            if output in self._found:
                try:
                    grams[output] = Gram.of(self._found[output])
                except (KeyError, ValueError, TypeError) as error:
                    log.warning("The sums of %s are not readable: %s", output, error)
        return grams

    def write(self, grams: Mapping[str, Gram]) -> bool:
        """Keep these beside those that are kept, mapped from now on; False if they were not.

        A disk that is full costs only time.
        """
        if self._path is None:
            return False
        whole = {o: parts for o, parts in self._found.items() if o not in grams}
        whole |= {output: gram.arrays() for output, gram in grams.items()}
        listed = {
            f"{part}/{o}": array for o, parts in whole.items() for part, array in parts.items()
        }
        try:
            if not array_file.write(self._path, listed):
                return False
        except OSError as error:
            log.warning("The sums are not kept: %s", error)
            return False
        self._found = self._mapped(self._path)
        return bool(self._found)
