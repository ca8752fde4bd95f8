"""Batches, sums and shares: what is kept of the images while a net runs on them."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from core.compress.linalg import parallel
from core.compress.refit.feeds import Feeds, batches
from core.compress.refit.gradient_covariance import Power
from core.compress.refit.normal_equations import LARGE, Gram, Moments
from core.compress.refit.ridge import error, ridge
from core.compress.refit.telling import part
from tests.analysis.nets import residual
from tests.compress.refit.images import Pictures


@pytest.mark.parametrize("limit", ["1", "100G"])  # all on disk; all in memory
def test_feeds_are_the_images_in_their_order(monkeypatch, limit):
    monkeypatch.setenv("LATHE_MEMORY", limit)
    model = residual()
    images = Pictures(model, count=20, batch=8)
    name = next(iter(next(images.feeds())))
    wanted = np.concatenate([feeds[name] for feeds in images.feeds()])
    kept = Feeds(batches(images, model, 512))
    assert sum(kept.counts) == 20
    assert [len(feeds[name]) for feeds in kept] == kept.counts
    np.testing.assert_array_equal(np.concatenate([feeds[name] for feeds in kept]), wanted)
    np.testing.assert_array_equal(kept[-1][name], kept[len(kept) - 1][name])


def test_where_memory_is_short_fewer_images_run_at_once(monkeypatch):
    model = residual()
    monkeypatch.setenv("LATHE_MEMORY", "100G")
    many = Feeds(batches(Pictures(model, count=20, batch=8), model, 512)).counts
    monkeypatch.setenv("LATHE_MEMORY", "1")
    assert Feeds(batches(Pictures(model, count=20, batch=8), model, 512)).counts == [1] * 20
    assert max(many) > 1


def test_wide_sums_are_as_good_in_single_precision():
    random = np.random.default_rng(0)
    rows = random.normal(size=(3000, LARGE + 10)).astype(np.float32) + 5
    rows[:, 1] += rows[:, 0]
    gram = Gram()
    for start in range(0, len(rows), 700):
        gram.add(rows[start : start + 700])
    exact = np.cov(rows.astype(np.float64).T, bias=True)
    for _ in range(2):  # while rows may come, and at rest
        np.testing.assert_allclose(gram.moments().second[0], exact, atol=2e-5)
        gram.rest()


def test_a_wide_fit_is_as_good_in_single_precision():
    random, d = np.random.default_rng(0), LARGE + 40
    rows = random.normal(size=(d + 400, d)) * np.geomspace(30, 0.03, d)
    targets = rows @ random.normal(size=(d, 3)) + random.normal(size=(len(rows), 3))
    rows, targets = rows - rows.mean(0), targets - targets.mean(0)
    second, cross = rows.T @ rows / len(rows), rows.T @ targets / len(rows)
    spread = (targets**2).mean(0)[None]
    mean = np.zeros((1, d)), np.zeros((1, 3))
    moments = Moments(len(rows), second[None], cross[None], spread, *mean)
    damped = second + 1e-3 * np.trace(second) / d * np.eye(d)
    exact = np.linalg.solve(damped, cross).T[None]
    found, bias = ridge(moments, np.zeros((1, 3, d)), 1e-3)
    np.testing.assert_allclose(found, exact, atol=2e-3 * np.abs(exact).max())
    errors = [float(error(moments, w, bias).sum()) for w in (found, exact)]
    assert errors[0] == pytest.approx(errors[1], rel=1e-4)


def test_powers_are_means_of_products_however_many_rows_come_at_once(monkeypatch):
    monkeypatch.setattr("core.compress.refit.gradient_covariance.ROWS", 10)
    rows = np.random.default_rng(0).normal(size=(25, 4)).astype(np.float32)
    power = Power()
    for start in range(0, 25, 4):
        power.add(rows[start : start + 4])
    np.testing.assert_allclose(power.mean(), rows.T @ rows / 25, rtol=1e-5)


def test_no_more_shares_than_memory_holds(monkeypatch):
    monkeypatch.setattr(parallel, "count", lambda: 4)
    running, most, lock = 0, 0, threading.Event()

    def work(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        lock.wait(0.01)
        running -= 1
        return item * item

    assert parallel.each(work, range(8), 2) == [i * i for i in range(8)]
    assert most <= 2
    assert parallel.each(work, range(5), 0) == [i * i for i in range(5)]


def test_a_part_tells_shares_of_the_whole():
    heard: list[tuple[str, float]] = []
    tell = part(lambda sentence, share: heard.append((sentence, share)), 0.2, 0.6)
    tell("begins", 0.0)
    tell("half", 0.5)
    tell("beyond", 2.0)
    assert heard == [("begins", 0.2), ("half", pytest.approx(0.4)), ("beyond", pytest.approx(0.6))]
