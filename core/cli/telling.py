"""What a command says while it works: on stderr, and seldom enough to be read."""

from __future__ import annotations

import sys
import time

from core.records import DataSummary, Json, ModelSummary
from core.workspace.facts import unmet_by

EVERY_S = 5.0


def guessed_pixels(model: ModelSummary, images: DataSummary | None) -> None:
    """Say so where images feed a model whose file does not tell how."""
    if model.preprocess is None and images is not None and images.kind == "images":
        print(
            f"lathe: {model.name} does not say how pixels become its input: it is guessed. "
            "A wrong guess costs accuracy; give --preprocess P.json.",
            file=sys.stderr,
        )


def unscored(model: ModelSummary, images: DataSummary | None) -> None:
    """Say so where the images carry annotations that the model cannot be scored by."""
    if images is not None and (why := unmet_by(model, images.annotated)):
        print(f"lathe: {why}", file=sys.stderr)


class Teller:
    """Says what a long build does and how far it is, every few seconds; of a short one nothing."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        """Say nothing yet; `every_s` seconds lie between two lines."""
        self._every_s = every_s
        self._due = time.monotonic() + every_s

    def __call__(self, message: Json) -> None:
        """Hear a progress message of the workshop; a notice is passed on at once."""
        now = time.monotonic()
        line = str(message.get("notice") or message.get("current", ""))
        if "notice" not in message:
            if now < self._due or not line:
                return
            self._due = now + self._every_s
        print(f"lathe: {' '.join(line.split())}{_far(message)}", file=sys.stderr, flush=True)


def _far(message: Json) -> str:
    """How much is done, where the message says so."""
    if "total" in message:
        return f", {message['done']:,} of {message['total']:,}"
    return f" ({message['share']:.0%})" if message.get("share") else ""


class Counter:
    """Says how far a long piece of work is: at first, every few seconds, and at the end."""

    def __init__(self, work: str, every_s: float = EVERY_S) -> None:
        """Say nothing yet.

        Args:
            work: what is done, "timing layers".
            every_s: seconds between two lines.
        """
        self._work, self._every_s = work, every_s
        self._due = 0.0

    def __call__(self, done: int, total: int) -> None:
        """So many are done."""
        now = time.monotonic()
        if now >= self._due or done == total:
            self._due = now + self._every_s
            print(f"lathe: {self._work}, {done} of {total}", file=sys.stderr, flush=True)
