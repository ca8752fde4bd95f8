"""Card file as JSON: written from a run, and read back from wherever it came.

A file from elsewhere is held to its types, to finite numbers and to what a question can be, before
anything is made of it. A recipe of another version may stay: it can be read, not measured.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import Any, NoReturn

from core.errors import DataError
from core.recipes import original
from core.records import CardFile, Json, Measurement, Recipe, Run, from_json, to_json
from core.records.standing import Standing, baseline, outcome_of

MARK, FORM = "lathe_card", 1
MOST_BYTES = 2 << 20
MOST_ROWS, MOST_NAMES, MOST_TEXT = 5_000, 64, 4_000
_DIGEST = re.compile(r"[0-9a-f]{64}")


def card_file(run: Run, candidate: str, link: str = "") -> CardFile:
    """The card of a candidate of a run, with its rows and those of the original beside it."""
    base, outcome = baseline(run), outcome_of(run, candidate)
    first = base.digest if base else run.spec.model
    recipes: tuple[Recipe, ...] = (original(),)
    if outcome is not None and outcome.recipe.steps:
        recipes += (outcome.recipe,)
    rows = [row for row in Standing(run) if _belongs(row, first, candidate)]
    return CardFile(
        model=run.model.name,
        spec=replace(run.spec, recipes=recipes),
        original=first,
        candidate=candidate,
        rows=tuple(map(_short, rows)),
        host=run.host,
        created=run.created,
        link=link,
    )


def _belongs(row: Measurement, first: str, candidate: str) -> bool:
    if row.candidate == first:
        return row.condition.get("beside", candidate) == candidate
    return row.candidate == candidate


def _short(row: Measurement) -> Measurement:
    """The row without its lists, which only the run needs."""
    kept = {name: value for name, value in row.detail.items() if not isinstance(value, list)}
    return replace(row, detail=kept)


def written(card: CardFile) -> str:
    """The JSON of a card."""
    return json.dumps({MARK: FORM, **to_json(card)}, ensure_ascii=False, allow_nan=False, indent=1)


def read_card(content: bytes, name: str) -> CardFile:
    """The card in a file from anywhere.

    Args:
        content: of the file.
        name: what to call it.

    Raises:
        DataError: it is no card, or says what no card can.
    """
    if len(content) > MOST_BYTES:
        raise DataError(f"{name}: {len(content):,} bytes are too many for a card.")
    try:
        data = json.loads(content, parse_constant=_refuse)
        if not isinstance(data, dict) or MARK not in data:
            raise DataError(f"{name} is no card of Lathe.", "Result image, Card (JSON) saves one.")
        if data[MARK] != FORM:
            raise DataError(f"{name} is a card of a newer Lathe.", "Update Lathe.")
        card = from_json(CardFile, data)
        _check(card)
    except DataError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(f"{name} is no readable card: {_reason(error)}.") from error
    return card


def _reason(error: Exception) -> str:
    """The reason in few words, whatever the file holds."""
    words = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
    return " ".join(words.split())[:160] or type(error).__name__


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _check(card: CardFile) -> None:
    """Raise ValueError unless the card is one that `card_file` could have made."""
    spec = card.spec
    known = (card.original, card.candidate, spec.model)
    if not all(map(_DIGEST.fullmatch, known)):
        raise ValueError("a digest of its models is none")
    if not all(not d or _DIGEST.fullmatch(d) for d in (spec.calibration, spec.evaluation)):
        raise ValueError("a digest of its images is none")
    if not 1 <= len(spec.recipes) <= 2 or spec.recipes[0].steps:
        raise ValueError("it holds the original and one recipe, no more")
    if len(card.rows) > MOST_ROWS:
        raise ValueError(f"{len(card.rows):,} rows are too many")
    if {row.candidate for row in card.rows} - {card.original, card.candidate}:
        raise ValueError("a row is of a third model")
    if card.link and not card.link.startswith(("http://", "https://")):
        raise ValueError("its link is no address of a page")
    _check_numbers(card)
    _check_texts(to_json(card))


def _check_numbers(card: CardFile) -> None:
    spec = card.spec
    numbers: list[tuple[str, float, float, float]] = [
        ("images", spec.images, 0, 1e9),
        ("seconds for a comparison", spec.latency_budget_s, 0.05, 3600),
        *(("threads", count, 0, 1024) for count in spec.threads),
        *((f"size of {name}", size, 1, 1e6) for name, size in spec.dims.items()),
    ]
    for name, value, low, high in numbers:
        if not low <= value <= high:
            raise ValueError(f"{name}: {value} is not between {low:g} and {high:g}")
    if not spec.backends or not spec.threads:
        raise ValueError("it names no backend or no thread count")
    if max(len(spec.backends), len(spec.threads), len(spec.dims)) > MOST_NAMES:
        raise ValueError("it names too many backends, thread counts or sizes")
    values = (v for row in card.rows for v in (row.value, row.low, row.high) if v is not None)
    if not all(map(math.isfinite, values)):
        raise ValueError("a number is not finite")


def _check_texts(data: Json | list[Any] | str | float | None) -> None:
    """No text, wherever it stands, is longer than one that a page can show."""
    if isinstance(data, dict):
        for name, value in data.items():
            _check_texts(name)
            _check_texts(value)
    elif isinstance(data, list):
        for value in data:
            _check_texts(value)
    elif isinstance(data, str) and len(data) > MOST_TEXT:
        raise ValueError(f"a text of {len(data):,} characters is too long")
