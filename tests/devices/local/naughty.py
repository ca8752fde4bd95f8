"""A child that can misbehave in every way that a vendor's library has been seen to."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from core.devices.local import Child, Limits, Progress, lock, serve
from core.errors import InferenceFailed
from core.records import Json


def echo(args: Json, progress: Progress) -> Json:
    progress({"half": True})
    return args


def segv(args: Json, progress: Progress) -> Json:
    del args, progress
    ctypes.string_at(0)
    return {}


def abort(args: Json, progress: Progress) -> Json:
    del args, progress
    os.write(2, b"terminate called after throwing an instance of 'std::out_of_range'\n")
    os.abort()


def leave(args: Json, progress: Progress) -> Json:
    del args, progress
    os._exit(3)


def sleep(args: Json, progress: Progress) -> Json:
    del progress
    time.sleep(args["s"])
    return {}


def spin(args: Json, progress: Progress) -> Json:
    del args, progress
    while True:
        pass


def flood(args: Json, progress: Progress) -> Json:
    while True:
        progress(args)


def hog(args: Json, progress: Progress) -> Json:
    del args, progress
    kept = []
    while True:
        kept.append(bytearray(1 << 26))


def take(args: Json, progress: Progress) -> Json:
    del progress
    room = bytearray(args["bytes"])
    room.clear()
    return {}


def throw_bad_alloc(args: Json, progress: Progress) -> Json:
    del args, progress
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
    os.abort()


def chatter(args: Json, progress: Progress) -> Json:
    del progress
    os.write(1, b'{"result": {"forged": true}}\n' * 1000)
    for _ in range(args["mib"]):
        os.write(2, b"warning: " + b"x" * (1 << 20) + b"\n")
        time.sleep(0.05)
    return {"quiet": False}


def garbage(args: Json, progress: Progress) -> Json:
    del progress
    os.write(int(sys.argv[2]), args["text"].encode() + b"\n")
    time.sleep(60)
    return {}


def refuse(args: Json, progress: Progress) -> Json:
    del args, progress
    raise InferenceFailed("It does not fit.", "Use another.")


def bug(args: Json, progress: Progress) -> Json:
    del args, progress
    raise ZeroDivisionError("mine")


def fill_disk(args: Json, progress: Progress) -> Json:
    del args, progress
    with open("big", "wb") as file:
        file.truncate(1 << 40)
    return {}


def spawn(args: Json, progress: Progress) -> Json:
    del args, progress
    pid = os.fork()
    if not pid:
        time.sleep(600)
    return {"pid": pid}


def hold(args: Json, progress: Progress) -> Json:
    """Deep in native code that keeps the interpreter's lock: no thread of Python runs."""
    progress({"pid": os.getpid()})
    ctypes.PyDLL(None).sleep(args["s"])
    return {}


def nest(args: Json, progress: Progress) -> Json:
    """A child of the child, in a process group of its own, that holds on."""
    with Child("tests.devices.local.naughty", Limits(1 << 30, 60.0)) as inner:
        return inner.request("hold", args, progress)


def share_memory(args: Json, progress: Progress) -> Json:
    """Memory that the limit inside of the process does not count."""
    room = mmap.mmap(-1, args["bytes"])
    for start in range(0, args["bytes"], mmap.PAGESIZE):
        room[start] = 1
    progress({"held": True})
    time.sleep(60)
    return {}


def place(args: Json, progress: Progress) -> Json:
    del args, progress
    return {"cwd": os.getcwd(), "environment": dict(os.environ), "group": os.getpgid(0)}


def temporary(args: Json, progress: Progress) -> Json:
    del args, progress
    made = tempfile.mkdtemp()
    return {"cwd": os.getcwd(), "tempdir": str(Path(made).parent), "lock": str(lock.path())}


def ignore_cpu_signal(args: Json, progress: Progress) -> Json:
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    return spin(args, progress)


if __name__ == "__main__":
    handlers = [
        echo, segv, abort, leave, sleep, spin, flood, hog, throw_bad_alloc, chatter, garbage,
        refuse, bug, fill_disk, spawn, take, hold, nest, share_memory, place, temporary,
        ignore_cpu_signal,
    ]  # fmt: skip
    serve({handler.__name__: handler for handler in handlers})
