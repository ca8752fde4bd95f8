"""What is kept of the original for the next process."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from core.compress.refit import array_file
from core.compress.refit.half_cache import HalfCache
from core.compress.refit.reference import Reference
from core.errors import StoreError
from core.passes.base import Report
from core.passes.prune_channels import PruneChannels
from core.passes.replace_convolutions import ReplaceConvolutions
from tests.analysis.nets import residual
from tests.compress.refit.images import Pictures, outputs

ARRAYS = {
    "a": np.arange(6, dtype=np.float16).reshape(2, 3),
    "b": np.arange(5, dtype=np.int32),
    "c": np.array(np.pi),
    "d": np.zeros((0, 4), np.float32),
}


def test_arrays_come_back_as_they_were(tmp_path):
    path = tmp_path / "x.arrays"
    assert array_file.write(path, ARRAYS)
    found = array_file.read(path)
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    with pytest.raises(ValueError, match="read-only"):
        found["a"][0, 0] = 1


def forged(index: list[list[object]]) -> bytes:
    listed = json.dumps(index).encode()
    return bytes(128) + listed + len(listed).to_bytes(8, "little")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        bytes(200),
        bytes(100) + (10**9).to_bytes(8, "little"),
        forged([["a", "float32", [33], 0]]),
        forged([["a", "float32", [4], -64]]),
        forged([["a", "float32", [-4], 0]]),
        forged([["a", "float32", [4], 4]]),
        forged([["a", "object", [4], 0]]),
        forged([["a", "float32"]]),
        forged([[[], "float32", [4], 0]]),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path, content):
    path = tmp_path / "x.arrays"
    path.write_bytes(content)
    with pytest.raises(StoreError):
        array_file.read(path)


def test_a_file_and_a_folder_stay_small(tmp_path, monkeypatch):
    monkeypatch.setattr(array_file, "MOST_BYTES", 3000)
    monkeypatch.setattr(array_file, "FOLDER_BYTES", 5000)
    assert not array_file.write(tmp_path / "large.arrays", {"x": np.zeros(1000, np.float32)})
    for turn in range(4):
        path = tmp_path / f"{turn}.arrays"
        assert array_file.write(path, {"x": np.zeros(500, np.float32)})
        os.utime(path, ns=(turn, turn))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2.arrays", "3.arrays"]


def test_half_precision_loses_little_of_any_scale():
    random, halves = np.random.default_rng(0), HalfCache()
    for batch, scale in enumerate((1e-20, 1.0, 1e20)):
        array = np.float32(random.normal(size=(50, 8)) * scale)
        halves.put("x", batch, array)
        np.testing.assert_allclose(halves.get("x", batch), array, rtol=1e-3, atol=1e-6 * scale)
    halves.put("zeros", 0, np.zeros((3, 2), np.float32))
    assert not halves.get("zeros", 0).any()


def test_a_kept_reference_is_read_and_not_run_again(tmp_path):
    model = residual()
    images, later = Pictures(model), Pictures(model)
    first, again = Reference(model, images), Reference(model, later)
    for reference in (first, again):
        reference.keep_at(tmp_path / "x.arrays")
        reference.sample({"a_out0": 1, "b_out0": 1})
    assert images.loaded > 0
    assert later.loaded == 0
    for name in ("a_out0", "b_out0"):
        np.testing.assert_array_equal(again.importance(name), first.importance(name))
        for batch in range(len(first.feeds)):
            np.testing.assert_array_equal(again.wanted(name, batch), first.wanted(name, batch))
            one, other = (r.weights(name, batch) for r in (again, first))
            np.testing.assert_array_equal(one, other)
            one, other = (r.sites(name, batch).places for r in (again, first))
            np.testing.assert_array_equal(one, other)


def test_what_is_too_large_to_be_kept_is_not_gathered_first(tmp_path, monkeypatch):
    model, path = residual(), tmp_path / "x.arrays"
    monkeypatch.setattr(array_file, "MOST_BYTES", 1000)
    gathered = []
    monkeypatch.setattr(HalfCache, "raw", lambda self, name, batch: gathered.append(name))
    reference = Reference(model, Pictures(model))
    reference.keep_at(path)
    reference.sample({"a_out0": 1})
    assert not gathered
    assert not path.exists()


def test_a_reference_that_is_kept_takes_as_many_bytes_as_it_was_said(tmp_path):
    model, path = residual(), tmp_path / "x.arrays"
    reference = Reference(model, Pictures(model))
    reference.keep_at(path)
    reference.sample({"a_out0": 1, "b_out0": 1})
    arrays = array_file.read(path)
    kept = sum(a.nbytes for name, a in arrays.items() if name.split("/")[0] in ("wanted", "matter"))
    assert reference._wanted.nbytes + sum(a.nbytes for a in reference._matter.values()) == kept


def test_a_damaged_or_a_foreign_reference_is_run_anew(tmp_path):
    model, path = residual(), tmp_path / "x.arrays"
    Reference(model, Pictures(model, count=128)).keep_at(path)
    first = Reference(model, Pictures(model, count=128))
    first.keep_at(path)
    first.sample({"a_out0": 1})
    whole = path.read_bytes()
    for content in (whole, whole[:-40], whole[: len(whole) // 2]):
        path.write_bytes(content)
        images = Pictures(model)  # half as many
        reference = Reference(model, images)
        reference.keep_at(path)
        reference.sample({"a_out0": 1})
        assert images.loaded > 0
        assert len(reference.wanted("a_out0", 0)) == len(reference.sites("a_out0", 0))


@pytest.mark.parametrize("kind", [PruneChannels, ReplaceConvolutions])
def test_another_process_makes_the_same_model_and_runs_the_original_no_more(tmp_path, kind):
    model = residual()
    made, loaded = [], []
    for _ in range(2):
        images = Pictures(model)
        images.studies = tmp_path
        copy = model.clone()
        one = kind(multiple=1) if kind is PruneChannels else kind(multiple=1, speedup=1.2)
        one.apply(copy, Report(), images)
        made.append(outputs(copy, images))
        loaded.append(images.loaded)
    assert loaded[1] < loaded[0]
    np.testing.assert_allclose(made[1], made[0], rtol=1e-3, atol=1e-4)
