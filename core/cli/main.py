"""Parse the command line and run one command."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence

from core.cli import backends, card, devices, doctor, explore, inspect, measure, optimize, uploads
from core.cli.result import HELP_OF_JSON, Result
from core.errors import CoreError
from core.workspace import Child

COMMANDS = (inspect, doctor, optimize, measure, explore, card, backends, devices, uploads)


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    root = argparse.ArgumentParser(
        prog="python -m core", description="Compress a vision network and measure the result."
    )
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add(commands)
    for name, command in commands.choices.items():
        command.add_argument("--json", action="store_true", help=HELP_OF_JSON)
        command.prog = f"python -m core {name}"
    return root


def main(arguments: Sequence[str] | None = None, child: Child | None = None) -> int:
    """Run the command line; the return value is the exit status.

    Args:
        arguments: without the program's name; None for those of this process.
        child: of a workshop, started in advance; it is ended.
    """
    try:
        options = parser().parse_args(arguments)
        options.child = child
        return _run(options)
    finally:
        if child is not None:
            child.close()


def _run(options: argparse.Namespace) -> int:
    run: Callable[[argparse.Namespace], Result] = options.run
    try:
        result = run(options)
    except CoreError as error:
        advice = f" {error.remedy}" if error.remedy else ""
        _say(error.message + advice)
        return 2
    except KeyboardInterrupt:
        _say("stopped")
        return 130
    for line in result.warnings:
        _say(line)
    try:
        print(json.dumps(result.data, indent=2) if options.json else result.text, flush=True)
    except BrokenPipeError:  # `| head` has read enough; what is left goes nowhere at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return result.status


def _say(line: str) -> None:
    print(f"lathe: {_one_line(line)}", file=sys.stderr)


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
