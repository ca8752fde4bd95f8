"""Names that people give: of uploads and of recipes, one line each."""

from __future__ import annotations

from core.errors import StoreError

LONGEST = 100  # letters


def given(name: str) -> str:
    """A name as it is kept: one line, without spaces around it.

    Raises:
        StoreError: it says nothing, or is too long.
    """
    kept = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    if not kept:
        raise StoreError("This name is empty.", "Write at least one letter.")
    if len(kept) > LONGEST:
        raise StoreError(f"This name has {len(kept)} letters.", f"It may have {LONGEST}.")
    return kept
