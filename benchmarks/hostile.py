"""A corpus of hostile files through the upload path and the command line: who was refused where?

    .venv/bin/python -m benchmarks.hostile --shared SHARED [--commands 3] [--family NAME ...]

SHARED/checks/make_bad.py writes the corpus with a manifest that says of each file whether it must
be refused. What a file itself shows must be refused at the gate; what shows only when it runs may
also be a failed row, within the limits. After every file a good one is uploaded: the next upload
works.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core.errors import CoreError, DataError, ModelError
from core.records import ExperimentSpec, Recipe, Run, Status, Step
from core.workspace import Workspace

AT_THE_GATE = frozenset(
    ("file", "structure", "opset", "tensor", "extdata", "function", "archive", "pickle")
)
DATA_FAMILIES = frozenset(("image",))
RECIPE = Recipe("simplify", (Step("simplify"),))
BACKENDS = ("onnxruntime", "openvino", "opencv")
COMMANDS = (("inspect",), ("optimize", "-o", "OUT", "--simplify"), ("measure", "--budget-s", "1"))
RSS_BYTES = 300 << 20  # how far the process may stand above where it began
OWNER = "benchmark"
RESULTS = ("refused at gate", "failed row", "passed", "passed as images", "WRONG")


def main() -> int:
    """Print the table by family; the status is 1 if anything is WRONG."""
    asked = _options()
    table: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="lathe-") as folder:
        corpus = Path(folder) / "corpus"
        script = asked.shared / "checks" / "make_bad.py"
        subprocess.run([sys.executable, script, corpus], check=True, capture_output=True)
        before, start = foreign_files(corpus), rss_bytes()
        for name, about, result, why in through_all(corpus, Path(folder) / "home", asked):
            table[about["family"]][result] += 1
            print(f"{about['family']} {name}: {result}: {why[:160]!r}", file=sys.stderr, flush=True)
            if result == "WRONG":
                wrong.append(f"{name} ({about['why']}): {why}")
        grown = rss_bytes() - start
        if grown > RSS_BYTES:
            wrong.append(f"this process grew by {grown >> 20} MiB")
        if foreign_files(corpus) != before:
            wrong.append("files of the corpus, or beside it, were changed")
        wrong += [line for line in commands(corpus, asked) if line]
    print("| family | files | " + " | ".join(RESULTS) + " |\n|---|---|" + "---|" * len(RESULTS))
    for family, counts in table.items():
        cells = " | ".join(str(counts[result]) for result in RESULTS)
        print(f"| {family} | {sum(counts.values())} | {cells} |")
    print(f"\nThis process grew by {grown >> 20} MiB. WRONG: {len(wrong)}")
    print("\n".join(f"- {line}" for line in wrong))
    return int(bool(wrong))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--shared", type=Path, required=True, help="holds checks/make_bad.py")
    parser.add_argument("--family", nargs="*", default=[], help="only these")
    parser.add_argument(
        "--commands", type=int, default=2, help="files of each family for the command line"
    )
    parser.add_argument(
        "--runs", type=int, default=10_000, help="admitted files of each family that are measured"
    )
    parser.add_argument("--budget-s", type=float, default=0.3)
    return parser.parse_args()


def through_all(
    corpus: Path, home: Path, asked: argparse.Namespace
) -> Iterator[tuple[str, Mapping[str, Any], str, str]]:
    """Upload every file; run those that are let in; upload a good one after each."""
    manifest = json.loads((corpus / "manifest.json").read_text())
    workspace, ran = Workspace.open(home), collections.Counter[str]()
    good = (corpus / manifest["ok_conv"]["file"]).read_bytes()
    try:
        for name, about in manifest.items():
            if asked.family and about["family"] not in asked.family:
                continue
            try:
                result, why = upload(workspace, corpus / about["file"], about)
                if result == "passed" and ran[about["family"]] < asked.runs:
                    ran[about["family"]] += 1
                    result, why = measured(workspace, why, about, asked)
                workspace.models.add("good.onnx", good, OWNER)
            except Exception as error:  # whatever gets here would have been a broken page
                result, why = "WRONG", f"{type(error).__name__}: {error}"
            yield name, about, result, why
    finally:
        workspace.close()


def upload(workspace: Workspace, file: Path, about: Mapping[str, Any]) -> tuple[str, str]:
    """What became of one file: a result, and why, or the digest of what was let in.

    Raises:
        Exception: nothing may, so whatever does is a find.
    """
    # A good file's external data lies beside it: it is opened by its path, as on the command line.
    content = file if about["family"] == "valid" else file.read_bytes()
    try:
        if about["family"] in DATA_FAMILIES:
            workspace.data.add(file.name, content, OWNER)
            return judged(about, "passed as images", "admitted")
        digest = workspace.models.add(file.name, content, OWNER).digest
    except CoreError as error:
        if about["expect"] == "valid" and file.suffix == ".onnx":
            return "WRONG", f"valid, but refused: {error.message}"
        if not isinstance(error, ModelError | DataError):
            return judged(about, "failed row", f"{error.code}: {error.message}")
        return "refused at gate", error.message
    return judged(about, "passed", digest)


def measured(
    workspace: Workspace, digest: str, about: Mapping[str, Any], asked: argparse.Namespace
) -> tuple[str, str]:
    """Optimize and measure what was let in, on every backend.

    Raises:
        Exception: nothing may, so whatever does is a find.
    """
    start = time.monotonic()
    spec = ExperimentSpec(
        about["file"], digest, (RECIPE,), BACKENDS, latency_budget_s=asked.budget_s
    )
    run = workspace.runs.measure(spec, OWNER)
    failures = [row.reason for row in run.measurements if row.status is Status.FAILED]
    failures += [outcome.reason for outcome in run.outcomes if outcome.reason]
    failures += [run.progress.message] if run.progress.message else []
    result = "failed row" if failures else "passed"
    why = f"{time.monotonic() - start:.0f} s; {failures[:1]}"
    return ("WRONG", why + silent) if (silent := complete(run)) else (result, why)


def complete(run: Run) -> str:
    """Says so if a run ended without a word on one of its backends."""
    # A recipe that changes nothing leaves the original alone, which has no ratio with itself.
    spoken = {row.backend for row in run.measurements if row.metric.startswith("latency_")}
    silent = set(BACKENDS) - spoken
    made = bool(run.outcomes) and run.outcomes[0].summary is not None
    return f"; no row for {sorted(silent)}" if silent and made else ""


def judged(about: Mapping[str, Any], result: str, why: str) -> tuple[str, str]:
    """A file that shows its fault must not have passed the gate."""
    if about["expect"] == "reject" and about["family"] in AT_THE_GATE:
        return "WRONG", f"must be refused at the gate: {why}"
    return result, why


def commands(corpus: Path, asked: argparse.Namespace) -> Iterator[str]:
    """The command line over some files of each family: exit 0 or 2, one line, nothing written."""
    manifest = json.loads((corpus / "manifest.json").read_text())
    taken: collections.Counter[str] = collections.Counter()
    for name, about in manifest.items():
        family = about["family"]
        if taken[family] >= asked.commands or (asked.family and family not in asked.family):
            continue
        taken[family] += 1
        for command in COMMANDS:
            yield wrong_command(corpus / about["file"], name, about, command)


def wrong_command(file: Path, name: str, about: Mapping[str, Any], command: tuple[str, ...]) -> str:
    """Run one command on one file; what is wrong with how it ended, or nothing."""
    with tempfile.TemporaryDirectory(prefix="lathe-") as folder:
        out = Path(folder) / "out.onnx"
        rest = [str(out) if word == "OUT" else word for word in command[1:]]
        done = subprocess.run(
            [sys.executable, "-m", "core", command[0], str(file), *rest],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"LATHE_HOME": folder},
            timeout=900,
        )
        said = [line for line in done.stderr.splitlines() if not line.startswith("lathe: ")]
        title = f"{command[0]} {name} ({about['family']})"
        if done.returncode not in (0, 2):
            return f"{title}: exit {done.returncode}: {done.stderr[-300:]}"
        if done.returncode == 2 and (out.exists() or "Traceback" in done.stderr):
            return f"{title}: exit 2 but {'a file' if out.exists() else 'a traceback'}"
        if done.returncode == 0 and about["expect"] == "reject" and about["family"] in AT_THE_GATE:
            beside = (
                about["family"] == "extdata"
            )  # what is beside a file opened by path may be read
            return "" if beside else f"{title}: exit 0 on a file that must be refused {said[:1]}"
        return ""


def foreign_files(corpus: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file that is not Lathe's own, to see that none was touched."""
    found = {}
    for path in (*corpus.rglob("*"), *corpus.parent.glob("*")):
        if path.is_file():
            facts = path.stat()
            found[str(path)] = (facts.st_size, facts.st_mtime_ns)
    return found


def rss_bytes() -> int:
    """Resident memory of this process, where the system says."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main())
