"""What a user can name is documented: a test fails when a pass, backend or command is not."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from core.backends.base import catalogue as backends
from core.cli.main import COMMANDS, parser
from core.measure import METRICS
from core.passes.base import catalogue as passes
from docs import tables

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND_NAMES = [module.__name__.rpartition(".")[2] for module in COMMANDS]
MANUAL = ROOT / "docs" / "command_line.md"


def test_tables_are_made_from_the_catalogues():
    assert not {*tables.stale()}, "stale tables: make tables (python -m docs.tables)"


@pytest.mark.parametrize("name", sorted(passes()))
def test_the_readme_lists_every_pass(name: str):
    assert f"| `{name}` |" in README


@pytest.mark.parametrize("name", sorted(n for n, b in backends().items() if not b.facts.internal))
def test_the_readme_lists_every_backend(name: str):
    assert f"| `{name}` |" in README


def test_the_readme_lists_nothing_that_is_not_there():
    listed = set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))
    assert listed <= set(passes()) | set(backends())


@pytest.mark.parametrize("name", COMMAND_NAMES)
def test_every_command_is_documented(name: str):
    assert f"python -m core {name}" in README
    assert f"## {name}" in MANUAL.read_text(encoding="utf-8")


def _options() -> list[tuple[str, str]]:
    (commands,) = (a for a in parser()._actions if isinstance(a.choices, dict))
    pass_options = {f"--{name.replace('_', '-')}" for name in passes()}
    return sorted(
        (name, option)
        for name, command in commands.choices.items()
        for action in command._actions
        for option in action.option_strings
        if option.startswith("--") and option not in pass_options | {"--help"}
    )


@pytest.mark.parametrize(("command", "option"), _options())
def test_every_option_is_documented(command: str, option: str):
    manual = MANUAL.read_text(encoding="utf-8")
    section = manual.partition(f"## {command}")[2].partition("\n## ")[0]
    common = manual.partition("\n## ")[0]
    assert f"`{option}" in section + common


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_documented(name: str):
    manual = MANUAL.read_text(encoding="utf-8")
    assert re.search(rf"^\| [^|]*`{name}`", manual, re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path):
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", document.read_text(encoding="utf-8"))
    missing = [link for link in links if not (document.parent / link).exists()]
    assert not missing


LAYERS = {
    "Top may import below": "Layers of core",
    "Within `workspace`": "Rooms of the workspace",
    "Within `runs`": "Layers of runs",
    "Within `compress`": "Layers of compress",
}


@pytest.mark.parametrize(("place", "contract"), LAYERS.items())
def test_the_architecture_lists_the_layers_that_are_held(place: str, contract: str):
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    (held,) = (one for one in linter["importlinter"]["contracts"] if one["name"] == contract)
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition(place)[2]
    lines = text.split("\n\n")[1].splitlines()
    listed = [re.split(" {2,}", line.strip())[0] for line in lines if line[4] != " "]
    assert listed == held["layers"]
