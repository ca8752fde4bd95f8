"""Scores of outputs on disk: every figure against a count by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.data import Boxes, ImageBoxes
from core.devices.local import memory
from core.errors import InferenceFailed
from core.fidelity import CAP_DB as SQNR_CAP_DB
from core.measure import Outputs
from core.measure.scoring import Scorer
from core.metrics.base import catalogue as metrics
from core.metrics.base.answers import FLIPS_KEPT
from core.metrics.base.intervals import paired_difference, wilson
from core.metrics.sqnr_db import CHUNK
from core.metrics.sqnr_db import worst as sqnr_db
from core.records import Measurement, ModelSummary, Status, TensorSpec
from core.tasks.base import Signature, task_of

COUNT, CLASSES = 150, 10


class Bench:
    """Makes `Outputs` of arrays."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.made = folder, 0

    def outputs(self, name: str, *arrays: np.ndarray) -> Outputs:
        self.made += 1
        folder = self.folder / str(self.made)
        folder.mkdir()
        for index, array in enumerate(arrays):
            np.save(folder / f"{index}.npy", array.astype(np.float32))
        specs = tuple(TensorSpec(f"y{i}", "float32", ("N",)) for i in range(len(arrays)))
        model = ModelSummary(name, name, folder / "m.onnx", (), specs, 17, 8, "", 1, 1, 1, 1, 0)
        return Outputs(model, "onnxruntime", folder, len(arrays[0]))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def scores() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(COUNT, CLASSES))


@pytest.fixture
def labels(scores: np.ndarray) -> np.ndarray:
    """True in about two of three cases."""
    guessed = scores.argmax(1)
    return np.where(np.arange(COUNT) % 3 == 0, (guessed + 1) % CLASSES, guessed)


def accuracy(base: Outputs, other: Outputs, annotations, data: str) -> list[Measurement]:
    return Scorer(annotations, data).rows(base, other)


def found(rows: list[Measurement]) -> dict[str, Measurement]:
    assert len({row.metric for row in rows}) == len(rows)
    return {row.metric: row for row in rows}


def spoiled(scores: np.ndarray, images: list[int]) -> np.ndarray:
    """The same scores but that `images` get another class."""
    other = scores.copy()
    for image in images:
        other[image, (scores[image].argmax() + 1) % CLASSES] = scores[image].max() + 1
    return other


def test_the_baseline_against_itself(bench: Bench, scores, labels):
    outputs = bench.outputs("base", scores)
    rows = found(accuracy(outputs, outputs, labels, "set"))
    right = int((scores.argmax(1) == labels).sum())
    assert rows["top1"].value == pytest.approx(100 * right / COUNT)
    assert rows.keys() <= {"top1", "top5"}  # with itself there is nothing to compare
    assert all(row.status is Status.OK for row in rows.values())


def test_every_figure_is_that_of_a_count_by_hand(bench: Bench, scores, labels):
    flipped = [0, 1, 2, 3, 50, 149]  # 0, 3 were wrong, and their neighbour class is right
    after = spoiled(scores, flipped)
    rows = found(accuracy(bench.outputs("a", scores), bench.outputs("b", after), labels, "set"))
    was, now = scores.argmax(1) == labels, after.argmax(1) == labels
    won, lost = int((now & ~was).sum()), int((was & ~now).sum())
    assert (won, lost) == (2, 4)
    for metric, interval in (
        ("top1", wilson(int(now.sum()), COUNT)),
        ("agreement", wilson(COUNT - 6, COUNT)),
        ("top1_delta", paired_difference(won, lost, COUNT)),
    ):
        row = rows[metric]
        assert (row.value, row.low, row.high) == pytest.approx(tuple(interval))
    assert rows["top1_delta"].detail == {"flips": 6, "flipped": flipped}
    among = [labels[i] in np.argsort(after[i])[-5:] for i in range(COUNT)]
    assert rows["top5"].value == pytest.approx(100 * np.mean(among))


def test_rows_say_what_they_compare(bench: Bench, scores, labels):
    base, other = bench.outputs("a", scores), bench.outputs("b", scores + 1)
    for row in accuracy(base, other, labels, "set"):
        assert row.candidate == "b"
        assert row.backend == "onnxruntime"
        assert row.condition == {"data": "set", "images": str(COUNT), "baseline": "a"}


def test_without_labels_there_is_agreement_and_no_score(bench: Bench, scores):
    after = spoiled(scores, [4])
    rows = found(accuracy(bench.outputs("a", scores), bench.outputs("b", after), None, "set"))
    assert set(rows) == {"agreement", "sqnr_db"}
    assert rows["agreement"].detail == {"flips": 1, "flipped": [4]}


def test_a_long_list_of_flips_is_cut(bench: Bench):
    random = np.random.default_rng(0)
    before, after = random.normal(size=(2, 1000, 10))
    rows = found(accuracy(bench.outputs("a", before), bench.outputs("b", after), None, "set"))
    detail = rows["agreement"].detail
    assert detail["flips"] == (before.argmax(1) != after.argmax(1)).sum() > FLIPS_KEPT
    assert len(detail["flipped"]) == FLIPS_KEPT


def test_few_classes_have_no_top_five(bench: Bench):
    two = bench.outputs("a", np.random.default_rng(0).normal(size=(20, 5)))
    assert "top5" not in found(accuracy(two, two, np.zeros(20, np.int64), "set"))


def test_a_background_class_shifts_the_labels_and_says_so(bench: Bench):
    labels = np.array([0, 10, 999])
    scores = np.zeros((3, 1001))
    scores[np.arange(3), labels + 1] = 1
    outputs = bench.outputs("a", scores)
    rows = found(accuracy(outputs, outputs, labels, "set"))
    assert rows["top1"].value == 100
    assert rows["top5"].value == 100
    assert "background" in rows["top1"].detail


def test_no_shift_where_the_labels_use_the_last_class(bench: Bench):
    labels = np.array([0, 10, 1000])
    scores = np.zeros((3, 1001))
    scores[np.arange(3), labels] = 1
    outputs = bench.outputs("a", scores)
    rows = found(accuracy(outputs, outputs, labels, "set"))
    assert rows["top1"].value == 100
    assert "background" not in rows["top1"].detail


@pytest.mark.parametrize("shape", [(COUNT, CLASSES, 1, 1), (COUNT, 1, CLASSES)])
def test_axes_of_one_do_not_hide_a_classifier(bench: Bench, scores, labels, shape):
    flat, deep = bench.outputs("a", scores), bench.outputs("b", scores.reshape(shape))
    expected = found(accuracy(flat, flat, labels, "set"))["top1"].value
    assert found(accuracy(deep, deep, labels, "set"))["top1"].value == expected


@pytest.mark.parametrize("arrays", [[(8, 3, 5)], [(8, 3, 5), (8, 4)], [(8,)], [(8, 1)]])
def test_what_is_no_classifier_has_fidelity_only(bench: Bench, arrays):
    random = np.random.default_rng(0)
    made = [random.normal(size=shape) for shape in arrays]
    base, other = bench.outputs("a", *made), bench.outputs("b", *(a + 0.1 for a in made))
    assert set(found(accuracy(base, other, np.zeros(8, np.int64), "set"))) == {"sqnr_db"}


def test_of_several_outputs_the_first_is_scored_and_the_row_says_so(bench: Bench, scores, labels):
    alone = bench.outputs("a", scores)
    features = bench.outputs("b", scores, np.ones((COUNT, 4)))
    wanted = found(accuracy(alone, alone, labels, "set"))
    rows = found(accuracy(features, features, labels, "set"))
    assert rows["top1"].value == wanted["top1"].value
    assert "'y0'" in rows["top1"].detail["scored"]
    assert "scored" not in wanted["top1"].detail


def test_only_images_that_both_have_are_compared(bench: Bench, scores, labels):
    base, other = bench.outputs("a", scores), bench.outputs("b", scores[:40])
    rows = found(accuracy(base, other, labels, "set"))
    assert rows["top1"].condition["images"] == "40"
    assert rows["top1"].value == pytest.approx(100 * (scores[:40].argmax(1) == labels[:40]).mean())


def test_sqnr_is_that_of_known_noise_in_the_worst_output(bench: Bench):
    random = np.random.default_rng(0)
    count = 2 * CHUNK + 7
    before = [random.normal(size=(count, 30)), random.normal(size=(count, 4, 5)) * 3]
    noise = [0.1 * random.normal(size=a.shape) for a in before]
    after = [a + n for a, n in zip(before, noise, strict=True)]
    ratios = [
        10 * np.log10((a**2).sum() / (n**2).sum()) for a, n in zip(before, noise, strict=True)
    ]
    base, other = bench.outputs("a", *before), bench.outputs("b", *after)
    value, where = sqnr_db(base, other, count)
    assert value == pytest.approx(min(ratios), abs=1e-3)
    assert where == "output 'y0'"


def test_sqnr_sees_scores_beside_boxes(bench: Bench):
    random = np.random.default_rng(0)
    boxes, scores = random.uniform(0, 640, (8, 4, 50)), random.uniform(0, 1, (8, 3, 50)) ** 4
    base = bench.outputs("a", np.concatenate([boxes, scores], 1))
    silent = bench.outputs("b", np.concatenate([boxes, 0 * scores], 1))
    value, where = sqnr_db(base, silent, 8)
    assert value == pytest.approx(0)
    assert where == "3 of 7 channels of output 'y0' (4 to 6)"
    shuffled = bench.outputs("c", np.concatenate([boxes, scores[:, [1, 2, 0]]], 1))
    assert sqnr_db(base, shuffled, 8)[0] < 3


def test_scores_that_are_no_numbers_are_never_right(bench: Bench):
    scores, labels = np.eye(10)[[0, 0, 1, 2]], np.array([0, 0, 1, 2])
    after = scores.copy()
    after[0] = np.nan
    rows = found(accuracy(bench.outputs("a", scores), bench.outputs("b", after), labels, "set"))
    assert (rows["top1"].value, rows["top5"].value) == (75, 75)
    assert rows["agreement"].detail == {"flips": 1, "flipped": [0]}
    assert rows["top1_delta"].value == -25


def test_sqnr_counts_what_is_not_finite_as_lost(bench: Bench):
    before = np.ones((4, 5))
    after = before.copy()
    after[0, 0], after[1, 1] = np.nan, np.inf
    base, other = bench.outputs("a", before), bench.outputs("b", after)
    assert sqnr_db(base, other, 4)[0] == pytest.approx(10)  # 2 of 20 are lost
    assert sqnr_db(other, other, 4)[0] == SQNR_CAP_DB


def test_sqnr_of_equal_outputs_is_capped_and_of_silence_too(bench: Bench):
    ones, zeros = bench.outputs("a", np.ones((4, 3))), bench.outputs("b", np.zeros((4, 3)))
    assert sqnr_db(ones, ones, 4)[0] == SQNR_CAP_DB
    assert sqnr_db(zeros, ones, 4)[0] == -SQNR_CAP_DB
    assert sqnr_db(ones, zeros, 4)[0] == pytest.approx(0)


@pytest.mark.parametrize(
    ("shift", "said"), [(1, "subtract 1 from each"), (7, "as the model counts its classes")]
)
def test_labels_beyond_the_outputs_are_refused_and_agreement_stays(
    bench: Bench, scores: np.ndarray, labels: np.ndarray, shift: int, said: str
):
    base = bench.outputs("a", scores)
    other = bench.outputs("b", spoiled(scores, [0]))
    rows = found(accuracy(base, other, labels + shift, "set"))
    assert rows["top1"].status is Status.FAILED
    assert f"but the model has {CLASSES} outputs" in rows["top1"].reason
    assert said in rows["top1"].reason
    assert rows["agreement"].value == pytest.approx(100 * (COUNT - 1) / COUNT)
    assert not {"top1_delta", "top5"} & rows.keys()
    alone = found(accuracy(base, base, labels + shift, "set"))
    assert list(alone) == ["top1"]
    assert alone["top1"].value is None


def test_top1_tells_among_how_many_classes(bench: Bench, scores: np.ndarray, labels: np.ndarray):
    outputs = bench.outputs("a", scores)
    assert found(accuracy(outputs, outputs, labels, "set"))["top1"].detail["classes"] == CLASSES


def test_boxes_are_compared_box_by_box_and_never_scored(bench: Bench):
    boxes = np.full((5, 4, 3), np.nan)
    for image, found_boxes in enumerate((2, 4, 1, 3, 2)):
        boxes[image, :found_boxes] = image + 1
    lost = boxes[:, :2] * 1.0  # of the images with more of them, boxes are missing
    one, other = (replace(bench.outputs(n, a), ragged=frozenset({0}))
                  for n, a in (("a", boxes), ("b", lost)))  # fmt: skip
    rows = found(accuracy(one, other, None, "set"))
    assert rows.keys() == {"sqnr_db"}
    assert sqnr_db(one, one, 5)[0] == SQNR_CAP_DB
    more = replace(bench.outputs("c", np.concatenate([boxes, boxes[:, :1]], 1)),
                   ragged=frozenset({0}))  # fmt: skip
    too_many = 10 * np.log10(every_box(boxes) / every_box(boxes[:, :1]))
    assert sqnr_db(one, more, 5)[0] == pytest.approx(too_many, abs=0.01)
    missing = 3 * (2 * 2**2 + 4**2)
    every = 3 * (2 * 1 + 4 * 2**2 + 3**2 + 3 * 4**2 + 2 * 5**2)
    assert rows["sqnr_db"].value == pytest.approx(10 * np.log10(every / missing), abs=0.2)


def every_box(boxes: np.ndarray) -> float:
    return float(np.nansum(boxes**2))


def test_one_box_of_each_image_meets_several_of_another_file(bench: Bench):
    single, several = np.ones((5, 3)), np.ones((5, 2, 3))
    several[:, 1] = np.nan
    several[0, 1] = 1
    one = bench.outputs("a", single)
    other = replace(bench.outputs("b", several), ragged=frozenset({0}))
    assert sqnr_db(one, other, 5)[0] == pytest.approx(10 * np.log10(5), abs=0.01)
    assert sqnr_db(other, one, 5)[0] == pytest.approx(10 * np.log10(6), abs=0.01)
    with pytest.raises(InferenceFailed):
        sqnr_db(one, bench.outputs("c", np.ones((5, 2, 3, 4))), 5)


def test_a_net_that_finds_nothing_in_any_image_has_no_scores(bench: Bench):
    assert not is_classifier(bench.outputs("a", np.ones((5, 0))))


def test_as_many_numbers_as_an_image_has_boxes_are_no_scores_of_classes(bench: Bench):
    numbers = bench.outputs("a", np.ones((5, 7)))
    assert is_classifier(numbers)
    assert not is_classifier(replace(numbers, ragged=frozenset({0})))
    assert not is_classifier(replace(numbers, shared=frozenset({0})))


def is_classifier(outputs: Outputs) -> bool:
    return task_of(Signature.of_outputs(outputs)).label == "classification"


@pytest.mark.parametrize(("free", "once"), [(1 << 40, True), (0, False)])
def test_a_baseline_is_decoded_and_counted_once_where_its_predictions_fit(
    bench: Bench, scores, labels, monkeypatch: pytest.MonkeyPatch, free: int, once: bool
):
    seen: list[str] = []
    counted: list[int] = []
    task, top1 = task_of(Signature.of_outputs(bench.outputs("x", scores))), metrics()["top1"]
    decode, count = task.decode, top1.statistics

    def decoding(outputs, *rest):
        seen.append(outputs.model.digest)
        return decode(outputs, *rest)

    def counting(*both):
        counted.append(1)
        return count(*both)

    monkeypatch.setattr(task, "decode", decoding)
    monkeypatch.setattr(top1, "statistics", counting)
    monkeypatch.setattr(memory, "budget_bytes", lambda: free)
    base, scorer = bench.outputs("a", scores), Scorer(labels, "set")
    scorer.rows(base, base)
    rows = [
        scorer.rows(base, bench.outputs(n, spoiled(scores, i)))
        for n, i in (("b", [0]), ("c", [1, 2]))
    ]
    assert len(counted) == 3  # of each model once
    assert (seen.count("a") == 1) == once
    assert (seen.count("b"), seen.count("c")) == (1, 1)
    assert rows[1] == accuracy(base, bench.outputs("c", spoiled(scores, [1, 2])), labels, "set")


def test_another_baseline_takes_the_place_of_the_last(bench: Bench, scores, labels):
    scorer, first, second = Scorer(labels, "set"), bench.outputs("a", scores), None
    second = replace(bench.outputs("a", -scores), backend="openvino")
    values = [found(scorer.rows(one, one))["top1"].value for one in (first, second, first)]
    assert values[0] == values[2] != values[1]


def test_an_input_of_another_size_has_its_own_truth(bench: Bench):
    """Boxes are annotated in pixels of the image, and carried into those of each model's input."""

    def detecting(name: str, side: int) -> Outputs:
        points = sum((side // stride) ** 2 for stride in (8, 16, 32))
        values = np.zeros((1, 6, points))
        values[0, :, 3] = np.array((32, 16, 8, 4, 0, 0)) * side / 64 + np.array(
            (0,) * 4 + (0.9, 0.01)
        )
        outputs = bench.outputs(name, values)
        image = TensorSpec("x", "float32", ("N", 3, side, side))
        return replace(outputs, model=replace(outputs.model, inputs=(image,)))

    box = ImageBoxes((128, 128), np.array([[56.0, 28, 72, 36]]), np.array([0]), np.array([False]))
    rows = found(
        Scorer(Boxes((box,), (3, 17)), "set").rows(detecting("a", 64), detecting("b", 128))
    )
    assert rows["map"].value == pytest.approx(100)
    assert rows["map_delta"].value == pytest.approx(0)
