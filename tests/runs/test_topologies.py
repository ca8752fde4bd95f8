"""Topologies are read once and kept by digest, beyond the process."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import InvalidModel
from core.records import Topology
from core.runs.topologies import Topologies
from tests.pages.fake_workspace import net


def test_a_graph_is_read_once_and_kept_in_a_file(tmp_path: Path):
    asked: list[str] = []

    def read(digest: str) -> Topology:
        asked.append(digest)
        return net(digest)

    first, second = Topologies(tmp_path, read), Topologies(tmp_path, read)
    assert [first.get("a"), first.get("a"), second.get("a")] == [net("a")] * 3
    assert asked == ["a"]
    assert second.get("b") == net("b")


def test_why_a_graph_cannot_be_read_is_told_and_asked_again(tmp_path: Path):
    answers = [InvalidModel("no graph"), net("a")]

    def read(_: str) -> Topology:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    known = Topologies(tmp_path, read)
    with pytest.raises(InvalidModel, match="no graph"):
        known.get("a")
    assert known.get("a") == net("a")
