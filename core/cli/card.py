"""`card`: the card of a result, measured again here, or held against another one.

A card is what *Result image*, *Card (JSON)* saves: question, digests, conditions and every number.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from core.charts.card_diff import facts, numbers
from core.charts.card_file import MOST_BYTES, card_file, read_card, written
from core.cli.inputs import OWNER
from core.cli.result import HELP_OF_JSON, Result, table
from core.cli.telling import Teller
from core.errors import CoreError, DataError, StoreError
from core.records import CardFile, Json, RunProgress, State, to_json
from core.workspace import Workspace

HEAD = ("of", "quantity", "backend", "threads", "A", "B", "change", "shown", "conditions")


def add(commands: Any) -> None:
    """Register the command and what it can do with a card."""
    command = commands.add_parser("card", help="compare two result cards, or measure one again")
    verbs = command.add_subparsers(dest="verb", required=True, metavar="diff|rerun")
    diff = verbs.add_parser("diff", help="what differs, and which differences are shown")
    diff.add_argument("first", type=Path, metavar="A.json")
    diff.add_argument("second", type=Path, metavar="B.json")
    diff.set_defaults(run=run_diff)
    again = verbs.add_parser("rerun", help="measure a card's recipe here, and compare")
    again.add_argument("card", type=Path, metavar="A.json")
    again.add_argument("--model", type=Path, metavar="MODEL", help="the original, if not here yet")
    again.add_argument("--data", type=Path, metavar="DATA", help="its evaluation images")
    again.add_argument("--calibration", type=Path, metavar="DATA", help="its calibration images")
    again.add_argument("-o", "--output", type=Path, metavar="B.json", help="write the new card")
    again.set_defaults(run=run_again)
    for name, verb in verbs.choices.items():
        # Without a default of its own, so that `card --json diff` is heard, too.
        verb.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help=HELP_OF_JSON
        )
        verb.prog = f"python -m core card {name}"


def run_diff(options: argparse.Namespace) -> Result:
    """Two cards beside each other.

    Raises:
        DataError: one of them cannot be read.
    """
    return beside(opened(options.first), opened(options.second))


def run_again(options: argparse.Namespace) -> Result:
    """The card's question asked here; what is missing, if anything is.

    Raises:
        DataError: it is no card.
        StoreError: model, images, a pass or a backend is not here.
        CoreError: it could not be measured.
    """
    before = opened(options.card)
    workspace = Workspace.open(limited=False)
    try:
        _bring(workspace, options)
        if missing := workspace.runs.lacks(before.spec, OWNER):
            ways = "Name them with --model, --data and --calibration."
            raise StoreError(" ".join(missing), ways if "upload" in " ".join(missing) else "")
        run = workspace.runs.measure(before.spec, OWNER, _watch)
    finally:
        workspace.close()
    made = run.outcomes[-1].candidate if run.outcomes else None
    if run.progress.state is State.FAILED or made is None:
        reason = run.outcomes[-1].reason if run.outcomes else ""
        raise CoreError(run.progress.message or reason or "It made no model.")
    after = card_file(run, made.digest)
    if options.output:
        _write(options.output, written(after))
    found = beside(before, after)
    return Result({"run": run.id, **found.data, "card": to_json(after)}, found.text)


def opened(path: Path) -> CardFile:
    """The card in a file.

    Raises:
        DataError: there is none, or it is no card.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path}: too large for a card.")
        return read_card(path.read_bytes(), str(path))
    except OSError as error:
        raise DataError(f"{path}: it cannot be read ({error.strerror}).") from error


def beside(first: CardFile, second: CardFile) -> Result:
    """What two cards say, as data and as text."""
    differing, same = facts(first, second)
    rows = numbers(first, second)
    data: Json = {
        "differs": [{"name": n, "first": a, "second": b} for n, a, b in differing],
        "same": same,
        "numbers": [to_json(row) for row in rows],
    }
    parts = [table(("differs", "A", "B"), differing)] if differing else []
    parts += [f"the same: {', '.join(same)}"] if same else []
    parts.append(
        table(
            HEAD,
            (
                (
                    row.of, row.quantity, row.backend, row.threads, row.first, row.second,
                    row.change, row.shown, row.apart,
                )
                for row in rows
            ),
        )
    )  # fmt: skip
    return Result(data, "\n\n".join(parts))


def _bring(workspace: Workspace, options: argparse.Namespace) -> None:
    """Admit what the options name."""
    if options.model:
        workspace.models.add(options.model.name, options.model, OWNER, Teller())
    for path in filter(None, (options.data, options.calibration)):
        if not path.exists():
            raise DataError(f"{path}: there is no such file or folder.")
        workspace.data.add(path.name, path, OWNER, Teller())


def _write(path: Path, content: str) -> None:
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}.") from error


def _watch(progress: RunProgress) -> None:
    if progress.current:
        far = f"{progress.done}/{progress.total}"
        print(f"lathe: {far} {progress.current}", file=sys.stderr, flush=True)
