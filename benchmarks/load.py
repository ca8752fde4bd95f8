"""How long pages and sliders take while many visitors use one server at the same time.

    .venv/bin/python -m benchmarks.load [--visitors 20] [--seconds 60] [--home DIR]

Each visitor has a session and a cookie of its own, opens Optimize, switches pruning on, and then
moves its slider to a random stop or turns to another page, with 2 to 6 seconds of looking between.
What is timed begins when the visitor asks and ends when the server has sent the whole answer; the
painting in the browser comes on top (`benchmarks.slider_latency` has it, for one visitor).
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.visitor import Visitor
from tests.browser import server

PAGES = ("", "explore", "model", "runs")
LOOK_S = (2.0, 6.0)
SLIDE_SHARE = 0.75
TARGETS_S = {"page": 1.5, "slider": 1.0}
PASS, SLIDER = "Prune channels", "Ratio"


def main() -> int:
    """Print p50 and p95 of pages and sliders; 1 where a target is missed."""
    asked = arguments()
    with (
        tempfile.TemporaryDirectory() as empty,
        server.serve(asked.home or Path(empty)) as url,
    ):
        first = Visitor(url)
        print(f"first page of a server that was just started: {first.load():.2f} s")
        first.close()
        times, errors = crowd(url, asked.visitors, asked.seconds)
    missed = False
    for what, target_s in TARGETS_S.items():
        print(report(what, times[what], target_s))
        missed |= quantile(times[what], 0.95) > target_s
    for error in errors:
        print(f"ERROR {error}")
    return int(missed or bool(errors))


def arguments() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--home", type=Path, help="instead of an empty one")
    return parser.parse_args()


def crowd(url: str, count: int, seconds: float) -> tuple[Mapping[str, list[float]], list[str]]:
    """Times by what was asked for, in seconds, and what went wrong."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    errors: list[str] = []
    until = time.monotonic() + seconds

    def visit(number: int) -> None:
        choose = random.Random(number)
        try:
            one(url, choose, until, times)
        except Exception as error:  # whatever it is, this visitor was let down
            errors.append(f"visitor {number}: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, errors


def one(url: str, choose: random.Random, until: float, times: Mapping[str, list[float]]) -> None:
    """What one visitor does until the end."""
    time.sleep(choose.uniform(0, LOOK_S[1]))  # they do not all come in the same moment
    visitor = Visitor(url)
    try:
        times["page"].append(visitor.load())
        times["page"].append(visitor.open_sample())
        visitor.switch(PASS)
        while time.monotonic() < until:
            visitor.wait(choose.uniform(*LOOK_S))
            if choose.random() < SLIDE_SHARE:
                times["slider"].append(visitor.slide(SLIDER, choose.random()))
                continue
            times["page"].append(visitor.load(choose.choice(PAGES)))
            visitor.wait(choose.uniform(*LOOK_S))
            times["page"].append(visitor.load())
    finally:
        visitor.close()


def report(what: str, seconds: Sequence[float], target_s: float) -> str:
    """One line of figures."""
    return (
        f"{what:7} {len(seconds):4} times: p50 {statistics.median(seconds):.2f} s, "
        f"p95 {quantile(seconds, 0.95):.2f} s (target {target_s} s), max {max(seconds):.2f} s"
    )


def quantile(seconds: Sequence[float], share: float) -> float:
    """Of the times: nearest rank."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


if __name__ == "__main__":
    sys.exit(main())
