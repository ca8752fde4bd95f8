"""Catalogue: each module of a package ends in one named object, and is found by its file name."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any


def discover(package: str, attribute: str, ignore: str = "base") -> dict[str, Any]:
    """Map each module name of `package` to the object that it calls `attribute`, sorted by name.

    Raises:
        AttributeError: a module of the package does not define `attribute`.
    """
    parent = importlib.import_module(package)
    names = sorted(
        m.name for m in pkgutil.iter_modules(parent.__path__) if not m.name.startswith(ignore)
    )
    return {
        name: getattr(importlib.import_module(f"{package}.{name}"), attribute) for name in names
    }
