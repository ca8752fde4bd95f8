"""Installation: the folders, the store, the quota and the children that all rooms of one share."""

from __future__ import annotations

from core.devices.local import Child
from core.errors import DataError
from core.pipeline.client import Workshop
from core.runs.bench import Bench
from core.runs.gates import Gates
from core.runs.holdings import Holdings
from core.runs.home import Home
from core.runs.quota import Quota
from core.runs.reserve import Reserve
from core.runs.store import Store

MODELS_AT_ONCE, SETS_AT_ONCE = 2, 3  # that are read, each of another visitor


class Installation:
    """What lies in one home. Thread-safe."""

    def __init__(
        self, home: Home, store: Store, quota: Quota, bench: Bench, gates: tuple[Gates, Gates]
    ) -> None:
        """Children start when they are first needed.

        Args:
            home: where all files lie.
            store: of its runs and lists.
            quota: of uploads.
            bench: answers short questions about models.
            gates: through which models and image sets come in.
        """
        self.home, self.store, self.bench = home, store, bench
        self.reserve = Reserve(home)
        self.holdings = Holdings(home, store, quota)
        self.model_gates, self.data_gates = gates

    @classmethod
    def lasting(cls, home: Home, quota: Quota | None = None) -> Installation:
        """One whose visitors do not wait for each other: sliders wait for no upload.

        Args:
            home: where all files lie.
            quota: of uploads; None takes what the environment says.

        Raises:
            StoreError: the store cannot be opened, or the environment says no size.
        """
        store = Reserve(home).with_room(lambda: Store(home.database))
        gates = Gates(MODELS_AT_ONCE), Gates(SETS_AT_ONCE)
        return cls(home, store, quota or Quota.of(), Bench(), gates)

    @classmethod
    def passing(cls, home: Home, child: Child | None = None) -> Installation:
        """One for a single command: one child does everything, and there is no quota.

        Args:
            home: which goes with the command.
            child: of a workshop, if one was started in advance.
        """
        bench = Bench(lambda: Workshop(child=child))
        gates = Gates(1, start=bench.get), Gates(1, start=bench.get)
        store = Store(home.database, lasting=False)
        return cls(home, store, Quota.unlimited(), bench, gates)

    def close(self) -> None:
        """End the children, and let go of the store."""
        for opened in (self.model_gates, self.data_gates, self.bench, self.store):
            opened.close()

    def need_data(self, digest: str) -> None:
        """See that an image set is here; no digest asks for none.

        Raises:
            DataError: it is gone.
        """
        if digest and self.home.data_path(digest) is None:
            raise DataError("An image set of this run is gone.", "Upload it again.")
