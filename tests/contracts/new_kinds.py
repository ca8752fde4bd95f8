"""New members of each kind, as the documents say how to add one, in a copy of the tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]
COPIED = (
    *("core", "pages", "tests", "docs", "requirements"),
    *("README.md", "pyproject.toml", "requirements.txt"),
)
BLOCK = re.compile(r"^```python\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LAYERS = "from importlinter.cli import lint_imports as l; raise SystemExit(l(no_cache=True))"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a document says of one kind.

    Attributes:
        room: of core, and of the tests.
        name: of its new member.
        document: that says how it is added.
        contract: what is broken where members know each other.
        spoiled: text of the member -> text of one that must be refused.
        refused: the test that refuses it.
    """

    room: str
    name: str
    document: str
    contract: str
    spoiled: tuple[str, str]
    refused: str

    @property
    def files(self) -> dict[str, str]:
        """Path -> text of each file that the document asks for."""
        text = (ROOT / "docs" / self.document).read_text(encoding="utf-8")
        found = dict(BLOCK.findall(text))
        mine = {f"{self.name}.py", f"test_{self.name}.py", self.name}
        return {path: made for path, made in found.items() if mine & {*Path(path).parts}}

    @property
    def test(self) -> str:
        """Its own test."""
        (path,) = (path for path in self.files if path.startswith("tests/"))
        return path

    @property
    def main(self) -> str:
        """The file by which it is found."""
        inside = f"core/{self.room}/{self.name}"
        (path,) = (p for p in self.files if p in (f"{inside}.py", f"{inside}/__init__.py"))
        return path


KINDS = {
    "pass": Kind(
        "passes",
        "unroll_powers",
        "adding_a_pass.md",
        "A pass knows no other pass",
        ('"Unroll powers"', '""'),
        "test_it_explains_itself",
    ),
    "backend": Kind(
        "backends",
        "onnx_reference",
        "adding_a_backend.md",
        "A backend knows no other backend",
        ('remedy = "pip install -r requirements.txt"', 'remedy = ""'),
        "test_it_explains_itself",
    ),
    "format": Kind(
        "formats",
        "onnx_text",
        "adding_a_format.md",
        "A format knows no other format",
        ("by onnx.parser.", "by onnx.parser"),
        "test_a_format_describes_itself",
    ),
    "device": Kind(
        "devices",
        "board",
        "adding_a_device.md",
        "A device knows no other device",
        ('Device.of("board"', 'Device.of("local"'),
        "test_its_facts_are_of_its_kind_and_stay",
    ),
    "metric": Kind(
        "metrics",
        "depth_agreement",
        "adding_a_metric.md",
        "A metric knows no other metric",
        ("relative = True", "relative = False"),
        "test_every_metric_keeps_its_promises",
    ),
    "task": Kind(
        "tasks",
        "depth",
        "adding_a_metric.md",
        "A task knows no other task",
        ('stand_in = "depth_agreement"', 'stand_in = "depth_likeness"'),
        "test_every_task_keeps_its_promises",
    ),
}
OTHERS = {
    "passes": "simplify",
    "backends": "null",
    "formats": "onnx",
    "devices": "local",
    "metrics": "top1",
    "tasks": "raw",
}


@dataclass(frozen=True)
class Tree:
    """A copy of the sources with files of its own."""

    root: Path

    @classmethod
    def copied(cls, root: Path, files: Mapping[str, str]) -> Tree:
        """The tree with these files in it."""
        for name in COPIED:
            source, target = ROOT / name, root / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
        return cls(root)

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What Python says there."""
        kept = {name: v for name, v in os.environ.items() if not name.startswith("PYTEST_")}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root, env=kept, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip

    def tests(self, *chosen: str) -> dict[str, str]:
        """`file::test[parameters]` -> how it ended; `file` where it could not be read."""
        written = self.root / "tests.xml"
        said = self.python(
            "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={written}", *chosen
        )
        assert written.exists(), said.stdout + said.stderr
        cases = ElementTree.parse(written).iter("testcase")
        return {f"{one.get('classname')}::{one.get('name')}": _ended(one) for one in cases}

    def layers(self) -> str:
        """What import-linter says there."""
        return self.python("-c", LAYERS).stdout


def _ended(case: ElementTree.Element) -> str:
    """How a test ended: its words where it failed."""
    wrong = [*case.findall("failure"), *case.findall("error")]
    return "\n".join(one.get("message", "") for one in wrong) if wrong else "passed"


def good() -> dict[str, str]:
    """The files of all documents."""
    return {path: text for kind in KINDS.values() for path, text in kind.files.items()}


def bad() -> dict[str, str]:
    """The same, each spoiled, and each asking another member of its kind; without their tests."""
    files = {
        path: text
        for path, text in good().items()
        if not path.startswith(("tests/", "core/wording/"))
    }
    for kind in KINDS.values():
        was, spoiled = kind.spoiled
        text = files[kind.main]
        assert was in text
        first = text.index("from core.")
        other = f"from core.{kind.room} import {OTHERS[kind.room]}  # noqa: F401\n"
        files[kind.main] = (text[:first] + other + text[first:]).replace(was, spoiled)
    return files


def of(kind: Kind, ended: Mapping[str, str], test: str = "") -> Sequence[str]:
    """The tests of a kind's contract that were asked of its new member."""
    mine = f"tests.contracts.test_{kind.room}::{test}"
    return [one for one in ended if one.startswith(mine) and kind.name in one]
