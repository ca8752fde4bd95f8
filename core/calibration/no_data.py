"""What a pass gets where there are no calibration images: a stopwatch, and made-up images."""

from __future__ import annotations

from collections.abc import Sequence

from core.calibration.graph_timing import race
from core.calibration.image_statistics import Alone, Calibration
from core.calibration.remote_runner import Elsewhere
from core.calibration.services import Lap, NoServices, Race
from core.data import synthetic_feeds, usual
from core.data.made_up import made_up_images
from core.devices.local import lock
from core.errors import DataError
from core.graph import Graph
from core.records import Preprocess, TensorSpec
from core.timings import LayerTimes

MADE_UP = 48


class Unseen(NoServices):
    """`Services` without images, over a model whose inputs are known."""

    def __init__(
        self,
        specs: Sequence[TensorSpec],
        preprocess: Preprocess | None,
        timings: LayerTimes | None = None,
        alone: Alone = lock.alone,
    ) -> None:
        """`specs` are the inputs of the model; races are run inside of `alone()`."""
        super().__init__(timings)
        self._specs, self._preprocess, self._alone = tuple(specs), preprocess, alone

    def elsewhere(self, backend: str) -> Elsewhere:
        """Runs graphs on this backend; to be closed.

        Raises:
            BackendUnavailable: it is not here.
        """
        return Elsewhere(backend)

    def stopwatch(self, backend: str) -> Race:
        """As `Calibration.stopwatch`, on a made-up input, of usual lengths where none is stated."""

        def timed(
            contestants: Sequence[Graph], sessions: int = 1, brief: bool = False
        ) -> list[Lap]:
            made = self.made_up()
            feeds = made.first() if made else next(synthetic_feeds(usual(self._specs), 1))
            return race(contestants, feeds, sessions, backend, self._alone, brief)

        return timed

    def made_up(self) -> Calibration | None:
        """Made-up images as if they were calibration images; None if the model takes no images."""
        try:
            images = made_up_images(self._specs, self._preprocess, MADE_UP)
            made = Calibration(images, self._specs, self._preprocess, alone=self._alone)
            made.first()
        except DataError:
            return None
        return made
