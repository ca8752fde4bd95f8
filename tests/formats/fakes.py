"""Formats that copy, refuse and die, and a conversion child that has them."""

from __future__ import annotations

import ctypes
import os
import shutil
import time
from pathlib import Path

from core.devices.local import serve
from core.errors import ConversionFailed
from core.formats.base import Format, catalogue
from core.formats.base.__main__ import export

COUNT = "conversions"  # beside a model: a line for each time that it was converted
SECONDS = 1.0


class Exporter:
    """Copies the model, says that it did, and takes its time."""

    name = "copier"

    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def version(self) -> str:
        return "1"

    def export(self, model: Path, variant: str, out: Path) -> tuple[str, ...]:
        del variant
        with (model.parent / COUNT).open("a") as file:
            file.write(f"{os.getpid()} {model.name}\n")
        if self.fault == "refuses":
            raise ConversionFailed("fake has no layer for Conv.")
        if self.fault == "dies":
            ctypes.string_at(0)
        if self.fault == "stumbles":
            raise KeyError("an axis")
        if self.fault == "writes nothing":
            return ()
        if self.fault == "hangs":
            time.sleep(600)
        time.sleep(SECONDS)
        shutil.copyfile(model, out / "model.copy")
        (out / "model.weights").write_bytes(b"beside")
        return ("copied",)


FORMATS = {
    f"fake_{name}": Format(f"Fake {name}", "For tests only.", ".copy", {"": "all"}, Exporter(fault))
    for name, fault in {
        "copy": "", "refused": "refuses", "dead": "dies", "empty": "writes nothing",
        "hanging": "hangs", "buggy": "stumbles",
    }.items()
}  # fmt: skip

if __name__ == "__main__":
    catalogue().update(FORMATS)  # type: ignore[attr-defined]
    serve({"export": export})
