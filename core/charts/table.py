"""Tables as CSV that a spreadsheet shows and never runs."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_FORMULA = re.compile(r"^\s*[=+\-@\t\r]")


def to_csv(records: Iterable[Mapping[str, Any]]) -> str:
    """Records with equal keys as CSV; text that a spreadsheet would run gets an apostrophe."""
    rows: Sequence[Mapping[str, Any]] = list(records)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([_safe(column) for column in columns])
    writer.writerows([_safe(row.get(column)) for column in columns] for row in rows)
    return out.getvalue()


def _safe(value: Any) -> Any:
    if isinstance(value, str):
        flat = value.replace("\0", "")
        return f"'{flat}" if _FORMULA.match(flat) else flat
    return value
