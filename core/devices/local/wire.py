"""The messages between parent and child: JSON lines on two private pipes.

Request  {"call": NAME, "args": {...}, "cpu_s": SECONDS, "memory_bytes": BYTES}
Reply    any number of {"progress": {...}}, then one of {"result": {...}},
         {"error": {"code", "message", "remedy"}} (a CoreError) or {"bug": TRACEBACK}.

Vendors chatter on stdout and stderr, so neither carries messages.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from core.devices.local import limits as bounds
from core.devices.local import lock
from core.errors import MORE_MEMORY, CoreError, WorkerOutOfMemory, no_room
from core.records import Json, from_json

Progress = Callable[[Json], None]
Handler = Callable[[Json, Progress], Json]


def serve(handlers: Mapping[str, Handler]) -> None:
    """Answer requests until the parent closes its end; the body of every child's `__main__`.

    The command line holds the three pipe ends and the limits, see `launch.Child`.
    """
    request_fd, reply_fd, lifeline = (int(number) for number in sys.argv[1:4])
    bounds.apply(from_json(bounds.Limits, json.loads(sys.argv[4])))
    bounds.die_with_parent(lifeline)
    lock.fix()
    tempfile.tempdir = os.getcwd()  # what is left there goes with the child, however it ends
    with os.fdopen(request_fd, "rb") as requests, os.fdopen(reply_fd, "wb") as replies:

        def send(message: Json) -> None:
            replies.write(json.dumps(message).encode() + b"\n")
            replies.flush()

        for line in requests:
            send(_answer(handlers, json.loads(line), lambda p: send({"progress": p})))


def _answer(handlers: Mapping[str, Handler], request: Json, progress: Progress) -> Json:
    bounds.grant_cpu(request["cpu_s"])
    bounds.grant_memory(request["memory_bytes"])
    try:
        return {"result": handlers[request["call"]](request["args"], progress)}
    except MemoryError:
        most = request["memory_bytes"] / 1e9
        words = f"{request['call']} needed more memory than the {most:.1f} GB that it may use."
        return _error(WorkerOutOfMemory(words, MORE_MEMORY))
    except CoreError as error:
        return _error(error)
    except Exception as error:  # a bug crosses as such and surfaces in the parent
        full = no_room(error) if isinstance(error, OSError) else None
        return _error(full) if full else {"bug": traceback.format_exc()}


def _error(error: CoreError) -> Json:
    return {"error": {"code": error.code, "message": error.message, "remedy": error.remedy}}


def decode(line: bytes) -> dict[str, Any]:
    """One reply line.

    Raises:
        ValueError: not a JSON object.
    """
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError(f"not a message: {line[:80]!r}")
    return message
