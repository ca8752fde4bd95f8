"""Where everything lies that Lathe keeps: the folders below LATHE_HOME."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from core.errors import StoreError

VARIABLE = "LATHE_HOME"


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of this installation's results and files."""

    root: Path

    @classmethod
    def default(cls) -> Home:
        """What LATHE_HOME names, or `~/.lathe`.

        Raises:
            StoreError: the folder cannot be made.
        """
        return cls.at(Path(os.environ.get(VARIABLE) or Path.home() / ".lathe"))

    @classmethod
    def at(cls, root: Path) -> Home:
        """A given folder, made if it is not there.

        Raises:
            StoreError: it cannot be made.
        """
        home = cls(root.expanduser().absolute())
        try:
            for folder in (home.models, home.data, home.uploads, home.caches, home.jobs):
                folder.mkdir(parents=True, exist_ok=True)
            home.root.chmod(0o700)  # uploads are nobody else's business
        except OSError as error:
            raise StoreError(
                f"{home.root} cannot be used: {error.strerror}.", f"Set {VARIABLE} to a folder."
            ) from error
        return home

    @property
    def database(self) -> Path:
        """The store."""
        return self.root / "lathe.sqlite3"

    @property
    def models(self) -> Path:
        """Admitted models and candidates, DIGEST.onnx."""
        return self.root / "models"

    @property
    def data(self) -> Path:
        """Admitted image sets, DIGEST/."""
        return self.root / "data"

    @property
    def uploads(self) -> Path:
        """Raw uploads while the gate reads them."""
        return self.root / "uploads"

    @property
    def caches(self) -> Path:
        """What can be computed again."""
        return self.root / "caches"

    @property
    def artifacts(self) -> Path:
        """Models converted into other formats, each in a folder."""
        return self.caches / "artifacts"

    @property
    def jobs(self) -> Path:
        """Logs and locks of the runs."""
        return self.root / "jobs"

    @property
    def drafts(self) -> Path:
        """What each visitor was working on."""
        return self.root / "drafts"

    def job(self, run_id: str) -> Path:
        """The folder of one run."""
        return self.jobs / run_id

    def data_path(self, digest: str) -> Path | None:
        """The file of an admitted image set; None for no digest, or if it is gone."""
        if not digest:
            return None
        found = sorted((self.data / digest).glob("set.*"))
        return found[0] if found else None
