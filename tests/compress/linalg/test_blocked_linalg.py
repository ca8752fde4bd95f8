"""Work that is shared out gives what it gives on one core."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from core.compress.linalg import blocked_linalg, parallel


@pytest.fixture(params=[1, 2, 3])
def many(request, monkeypatch):
    """So many cores."""
    monkeypatch.setattr(parallel, "count", lambda: request.param)
    return request.param


@pytest.fixture
def small(monkeypatch):
    """Limits that small matrices reach."""
    for name, limit in {"LITTLE": 1, "STRETCH": 16, "LONG": 40, "TILE": 24}.items():
        monkeypatch.setattr(blocked_linalg, name, limit)
    monkeypatch.setattr(blocked_linalg, "LARGE", 8)
    monkeypatch.setattr(blocked_linalg, "BLOCK", 16)


@pytest.mark.parametrize("shape", [(1, 90, 20), (3, 90, 20), (17, 50, 6), (1, 90, 60), (2, 90, 61)])
def test_a_square_is_the_product_with_itself(shape, many, small):
    block = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    total = np.ones((shape[0], shape[2], shape[2]))
    blocked_linalg.add_square(total, block)
    wide = block.astype(np.float64)
    np.testing.assert_allclose(total - 1, wide.transpose(0, 2, 1) @ wide, rtol=1e-4, atol=1e-4)


def test_a_product_is_cut_by_rows(many, small):
    random = np.random.default_rng(1)
    a, b = random.normal(size=(2, 7, 5)), random.normal(size=(2, 5, 4))
    np.testing.assert_allclose(blocked_linalg.product(a, b), a @ b)


@pytest.mark.parametrize("size", [7, 16, 50, 64])
def test_a_factor_is_that_of_the_library(size, many, small):
    x = np.random.default_rng(2).normal(size=(size, 2 * size))
    system = x @ x.T
    np.testing.assert_allclose(
        blocked_linalg.cholesky(system), np.linalg.cholesky(system), atol=1e-9
    )


def test_a_matrix_that_is_not_positive_has_no_factor(small):
    system = np.eye(40)
    system[30, 30] = -1
    with pytest.raises(np.linalg.LinAlgError):
        blocked_linalg.cholesky(system)


def test_shares_are_the_same_in_every_run_and_each_comes_in_order(many):
    assert parallel.shared(tuple, range(7)) == [tuple(range(i, 7, many)) for i in range(many)]
    assert parallel.shared(tuple, [5]) == [(5,)]
    assert parallel.shared(tuple, []) == []
    assert parallel.each(lambda item: item * item, range(7)) == [i * i for i in range(7)]


def test_the_largest_items_are_begun_first(monkeypatch):
    monkeypatch.setattr(parallel, "count", lambda: 2)
    begun, lock = [], threading.Barrier(2)

    def work(item: int) -> int:
        begun.append(item)
        lock.wait(10)  # two at a time
        return item

    assert parallel.each(work, [1, 4, 2, 3], size=float) == [1, 4, 2, 3]
    assert set(begun[:2]) == {3, 4}
    assert set(begun[2:]) == {1, 2}


def test_a_core_that_is_done_takes_the_next_item(monkeypatch):
    monkeypatch.setattr(parallel, "count", lambda: 2)
    others = threading.Semaphore(0)

    def work(item: int) -> int:
        if item:
            others.release()
        else:
            for _ in range(4):
                assert others.acquire(timeout=10)
        return item

    assert parallel.each(work, range(5)) == list(range(5))


def test_a_share_is_not_shared_out_again(monkeypatch):
    monkeypatch.setattr(parallel, "count", lambda: 2)

    def inner(_: int) -> set[int]:
        return set(parallel.each(lambda _: threading.get_ident(), range(4)))

    assert all(len(threads) == 1 for threads in parallel.each(inner, range(4)))


def test_an_error_in_a_share_comes_out(many):
    def work(item: int) -> int:
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 0"):
        parallel.each(work, range(3))


def blas_threads() -> int:
    """Threads that a product takes now."""
    return max(found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas")


def test_products_take_as_many_threads_as_before():
    before = blas_threads()
    with parallel.product_threads(1):
        assert blas_threads() == 1
        with parallel.product_threads(2):
            assert blas_threads() == 2
        assert blas_threads() == 1
        seen = parallel.each(lambda _: blas_threads(), range(4))
        assert seen == [1] * 4
    assert blas_threads() == before


def test_a_thread_that_works_on_the_side_changes_nothing_for_the_others():
    before = blas_threads()
    inside, done = threading.Event(), threading.Event()

    def aside() -> None:
        with parallel.product_threads(1):
            inside.set()
            done.wait(10)

    other = threading.Thread(target=aside)
    with parallel.product_threads(2):
        other.start()
        inside.wait(10)
        assert blas_threads() == 2
    done.set()
    other.join()
    assert blas_threads() == before


def test_the_threads_of_this_library_are_known():
    """Else everything is slower, and nothing says so."""
    assert any(found["user_api"] == "blas" for found in threadpool_info())
