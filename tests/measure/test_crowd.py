"""Whether others had the cores: from the kernel's counts, whatever the times look like."""

from __future__ import annotations

import os

import pytest

from core.measure.crowd import STOLEN, WAITED, Crowd
from core.worker.protocol import PairTimes


def reply(waited_a: float = 0.0, waited_b: float = 0.0, stolen_s: float = 0.0) -> PairTimes:
    return PairTimes(waited_a=waited_a, waited_b=waited_b, stolen_s=stolen_s, took_s=2.0)


def test_a_quiet_machine_has_nothing_said_of_it():
    quiet = Crowd.of([reply(WAITED / 2, WAITED / 2)] * 3, threads=1)
    assert not quiet.busy
    assert quiet.words == ""
    assert quiet.detail == {
        "busy": False, "waited_share": pytest.approx(WAITED / 2), "stolen_share": 0.0, "note": "",
    }  # fmt: skip


def test_calls_that_stood_in_line_are_said_with_their_share():
    crowd = Crowd.of([reply(0.2, 0.1), reply(0.3, 0.0)], threads=1)
    assert crowd.busy
    assert crowd.waited == pytest.approx(0.15)
    assert "stood in line for a core for 15% of their time" in crowd.words
    assert "host" not in crowd.words


def test_one_side_alone_can_be_asked_for():
    assert Crowd.of([reply(0.2, 0.0)], threads=1, sides="a").busy
    assert not Crowd.of([reply(0.2, 0.0)], threads=1, sides="b").busy


def test_two_threads_that_wait_half_of_the_time_wait_half_of_the_time():
    assert Crowd.of([reply(1.0, 1.0)], threads=2).waited == pytest.approx(0.5)


def test_what_the_host_takes_is_a_share_of_all_cores(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    crowd = Crowd.of([reply(stolen_s=0.8)], threads=1)
    assert crowd.stolen == pytest.approx(0.1)
    assert crowd.stolen > STOLEN
    assert crowd.words == "the machine was busy: the host took 10% of the cores' time"
