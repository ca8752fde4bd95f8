"""`uploads`: what visitors of the page uploaded, what it takes on disk, and deleting it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from core.cli.result import Result, count, table
from core.errors import StoreError
from core.records import to_json
from core.records.stored import Upload
from core.workspace import Workspace

SHOWN = 12  # characters of a digest and of an owner; enough to tell them apart


def add(commands: Any) -> None:
    """Register the command."""
    command = commands.add_parser(
        "uploads", help="what visitors uploaded, what it takes on disk; delete some of it"
    )
    command.add_argument(
        "--delete",
        metavar="DIGEST",
        action="append",
        default=[],
        help="delete this upload, of every visitor who has it (repeatable; a beginning will do)",
    )
    command.add_argument(
        "--with-runs", action="store_true", help="delete the runs that need it, too"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """List the uploads that are left.

    Raises:
        StoreError: no such upload, or runs need it; what was named before it is deleted.
    """
    workspace = Workspace.open()
    try:
        freed = sum(
            workspace.runs.delete_upload(upload.digest, upload.owner, options.with_runs)
            for named in options.delete
            for upload in _named(workspace.data.uploads(), named)
        )
        left = workspace.data.uploads()
        room = workspace.data.room("")
    finally:
        workspace.close()
    used = sum({upload.digest: upload.size_bytes for upload in left}.values())
    data = {
        "uploads": [to_json(upload) for upload in left],
        "used_bytes": used,
        "free_bytes": room.disk,
        "freed_bytes": freed,
    }
    lines = [f"{count(freed)}B became free\n"] if options.delete else []
    lines += [f"{count(used)}B of uploads; free on the disk: {count(room.disk)}B\n", _table(left)]
    return Result(data, "\n".join(lines))


def _named(uploads: Sequence[Upload], digest: str) -> list[Upload]:
    """The uploads of this digest; one for each of its owners.

    Raises:
        StoreError: none, or several files begin like this.
    """
    found = [upload for upload in uploads if digest and upload.digest.startswith(digest)]
    if not found:
        raise StoreError(f"No upload has the digest {digest}.")
    if len({upload.digest for upload in found}) > 1:
        raise StoreError(f"Several uploads begin with {digest}.", "Give more of the digest.")
    return found


def _table(uploads: Sequence[Upload]) -> str:
    return table(
        ("digest", "kind", "size", "runs", "uploaded (UTC)", "visitor", "name"),
        (
            (
                upload.digest[:SHOWN],
                upload.kind,
                f"{count(upload.size_bytes)}B",
                str(len(upload.runs)),
                upload.created,
                upload.owner[:SHOWN],
                upload.name,
            )
            for upload in uploads
        ),
    )
