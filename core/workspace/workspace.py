"""Workspace: one installation behind one door, as six rooms."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from core.devices.local import Child, Scratch
from core.runs.home import Home
from core.runs.installation import Installation
from core.runs.quota import Quota
from core.workspace.data import Data
from core.workspace.insights import Insights
from core.workspace.models import Models
from core.workspace.recipes import Recipes
from core.workspace.results import Results
from core.workspace.runs import Runs


class Workspace:
    """One installation. Thread-safe: all sessions of a server share one.

    Attributes:
        models: those that ship with Lathe, and those that visitors brought.
        data: image sets, and what uploads take on disk.
        recipes: those that visitors keep under names.
        runs: asked for, watched, stopped; and what they can run on.
        results: what all runs of a model found, and what users marked in it.
        insights: previews, forecasts, staircases, profiles.
    """

    def __init__(self, installation: Installation) -> None:
        """Furnish the rooms; nothing is started."""
        self._installation = installation
        self.models = Models(installation)
        self.data = Data(installation)
        self.recipes = Recipes(installation)
        self.runs = Runs(installation, self.models, self.data)
        self.results = Results(installation, self.runs)
        self.insights = Insights(installation, self.models, self.runs)

    @classmethod
    def open(cls, home: Path | None = None, limited: bool = True) -> Workspace:
        """The workspace in `home`, or in the default folder.

        Args:
            home: the folder; None takes what LATHE_HOME names.
            limited: whether uploads are held to the quota of the environment; who has the disk
                anyway, as the command line, is not.

        Raises:
            StoreError: the folder or the store cannot be used.
        """
        at = Home.at(home) if home else Home.default()
        opened = cls(Installation.lasting(at, Quota.of() if limited else Quota.unlimited()))
        opened.runs.sweep()
        return opened

    @classmethod
    @contextlib.contextmanager
    def passing(cls, child: Child | None = None) -> Iterator[Workspace]:
        """A workspace whose files vanish with it: a command leaves nothing but its output.

        Args:
            child: of a workshop, if one was started in advance.
        """
        with Scratch() as folder:
            opened = cls(Installation.passing(Home.at(folder / "home"), child))
            try:
                yield opened
            finally:
                opened.close()

    def close(self) -> None:
        """End the children; runs go on."""
        self.insights.close()
        self._installation.close()
