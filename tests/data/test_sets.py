"""Image sets: every format gives the same pixels, and the formula is the formula."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from core import data
from core.errors import DataError
from core.records import Preprocess, TensorSpec
from tests.data import sets

NCHW = (TensorSpec("x", "float32", ("N", 3, 4, 6)),)


def feed(images: data.ImageSet, specs=NCHW, preprocess=None, batch=2, indices=None):
    return list(images.feeds(specs, preprocess, batch, indices))


@pytest.fixture
def numbered(tmp_path: Path) -> Path:
    """Images of classes 7 and 2 in folders with whole-number names."""
    files = {f"{c}/{i}.png": sets.png(sets.solid(sets.COLORS[i])) for i, c in enumerate("7272")}
    return sets.zipped(tmp_path / "numbered.zip", files)


def test_number_folders_are_classes(numbered: Path) -> None:
    images = data.open_set(numbered)
    assert images.count == 4
    assert images.labels.tolist() == [7, 2, 7, 2]
    np.testing.assert_array_equal(images.pixels(3), sets.solid(sets.COLORS[3]))


def test_named_folders_are_sorted_and_a_wrapper_is_not_a_class(tmp_path: Path) -> None:
    image = sets.png(sets.solid((1, 2, 3)))
    files = {"photos/dog/1.png": image, "photos/cat/2.png": image, "photos/ant/3.png": image}
    assert data.open_set(sets.zipped(tmp_path / "a.zip", files)).labels.tolist() == [2, 1, 0]


def test_labels_csv_beats_nothing_and_a_flat_set_has_no_labels(tmp_path: Path) -> None:
    image = sets.png(sets.solid((1, 2, 3)))
    files = {"a.png": image, "b.png": image}
    assert data.open_set(sets.zipped(tmp_path / "flat.zip", files)).labels is None
    files["labels.csv"] = sets.labels_csv({"b.png": 5, "a.png": 3})
    assert data.open_set(sets.zipped(tmp_path / "l.zip", files)).labels.tolist() == [3, 5]
    files["labels.csv"] = sets.labels_csv({"b.png": "ant", "a.png": "bee"})
    assert data.open_set(sets.zipped(tmp_path / "n.zip", files)).labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ({"a.png": 1}, "no row"),
        ({"a.png": 1, "b.png": 2, "c.png": 3}, "not an image of the set"),
        ({"a.png": 1, "b.png": 99999999}, "too large"),
    ],
)
def test_labels_that_do_not_meet_the_images(tmp_path: Path, rows: dict, reason: str) -> None:
    image = sets.png(sets.solid((1, 2, 3)))
    files = {"a.png": image, "b.png": image, "labels.csv": sets.labels_csv(rows)}
    with pytest.raises(DataError, match=reason):
        data.open_set(sets.zipped(tmp_path / "a.zip", files))


def test_a_folder_gives_what_its_zip_gives(numbered: Path, tmp_path: Path) -> None:
    import zipfile

    folder = tmp_path / "folder"
    zipfile.ZipFile(numbered).extractall(folder)
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "notes.txt").write_text("x")
    (folder / "link.png").symlink_to("/etc/passwd")
    images = data.open_set(folder)
    assert images.count == 4
    assert sorted(images.labels.tolist()) == [2, 2, 7, 7]
    assert "notes.txt" in images.notes[0]
    first, second = feed(images)[0]["x"], feed(data.open_set(numbered))[0]["x"]
    assert first.shape == second.shape == (2, 3, 4, 6)


def test_arrays_with_labels(tmp_path: Path) -> None:
    pixels = np.arange(2 * 4 * 6 * 3, dtype=np.uint8).reshape(2, 4, 6, 3)
    path = tmp_path / "a.npz"
    np.savez_compressed(path, images=pixels, labels=np.array([4, 9]))
    images = data.open_set(path)
    assert (images.kind, images.count, images.labels.tolist()) == ("images", 2, [4, 9])
    feeds = feed(images, preprocess=Preprocess(scale=1.0))
    np.testing.assert_array_equal(feeds[0]["x"], pixels.transpose(0, 3, 1, 2))


def test_tensors_are_fed_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    a, b = np.random.rand(3, 5).astype("f4"), np.arange(3, dtype=np.int64)[:, None]
    np.savez(path, a=a, b=b, labels=np.array([0, 1, 2]))
    images = data.open_set(path)
    specs = (TensorSpec("a", "float32", ("N", 5)), TensorSpec("b", "int64", ("N", 1)))
    feeds = feed(images, specs)
    assert images.kind == "tensors"
    np.testing.assert_array_equal(np.concatenate([f["a"] for f in feeds]), a)
    np.testing.assert_array_equal(np.concatenate([f["b"] for f in feeds]), b)
    assert images.labels.tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="takes"):
        feed(images, (TensorSpec("a", "float32", ("N", 6)), specs[1]))
    with pytest.raises(DataError, match="no array for the input 'c'"):
        feed(images, (TensorSpec("c", "float32", ("N", 5)), specs[1]))


def test_the_formula(numbered: Path) -> None:
    chosen = Preprocess(scale=0.5, mean=(1.0, 2.0, 3.0), std=(2.0, 4.0, 8.0))
    x = feed(data.open_set(numbered), preprocess=chosen, indices=[3])[0]["x"]
    expected = [(10 * 0.5 - 1) / 2, (20 * 0.5 - 2) / 4, (30 * 0.5 - 3) / 8]
    np.testing.assert_allclose(x[0, :, 0, 0], expected, rtol=1e-6)
    assert x.dtype == np.float32


@pytest.mark.parametrize(
    ("chosen", "shape", "first"),
    [
        (Preprocess(color="bgr", scale=1.0), (1, 3, 4, 6), [30, 20, 10]),
        (Preprocess(color="gray", scale=1.0), (1, 1, 4, 6), [18]),
        (Preprocess(scale=1.0, layout="NHWC"), (1, 4, 6, 3), [10]),
        (Preprocess(scale=1.0, resize=(8, 8), crop=(2, 3)), (1, 3, 2, 3), [10, 20, 30]),
        (Preprocess(scale=1.0, resize_after_crop=(5, 7)), (1, 3, 5, 7), [10, 20, 30]),
    ],
)
def test_color_layout_and_size(numbered: Path, chosen, shape, first) -> None:
    specs = (TensorSpec("x", "float32", ("N", "C", "H", "W")),)
    x = feed(data.open_set(numbered), specs, chosen, indices=[3])[0]["x"]
    assert x.shape == shape
    np.testing.assert_array_equal(x[0, :, 0, 0], (first * 4)[: x.shape[1]])


def test_a_crop_is_centred_and_a_resize_is_bilinear(tmp_path: Path) -> None:
    pixels = np.arange(36, dtype=np.uint8).reshape(1, 6, 6, 1)
    path = tmp_path / "a.npz"
    np.savez(path, images=pixels)
    specs = (TensorSpec("x", "float32", (1, 1, 2, 2)),)
    chosen = Preprocess(color="gray", scale=1.0, crop=(2, 2))
    x = feed(data.open_set(path), specs, chosen)[0]["x"]
    np.testing.assert_array_equal(x[0, 0], pixels[0, 2:4, 2:4, 0])
    chosen = Preprocess(color="gray", scale=1.0, resize=(3, 3), crop=(2, 2))
    x = feed(data.open_set(path), specs, chosen)[0]["x"]
    means = pixels[0, :, :, 0].reshape(3, 2, 3, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(x[0, 0], means[:2, :2], atol=0.5)


def test_uint8_inputs_get_raw_pixels(numbered: Path) -> None:
    specs = (TensorSpec("x", "uint8", (1, 4, 6, 3)),)
    x = feed(data.open_set(numbered), specs, indices=[3])[0]["x"]
    assert x.dtype == np.uint8
    assert x[0, 0, 0].tolist() == [10, 20, 30]


def test_images_are_resized_to_the_model(numbered: Path) -> None:
    specs = (TensorSpec("x", "float32", ("N", 3, 8, 8)),)
    images = data.open_set(numbered)
    assert feed(images, specs)[0]["x"].shape == (2, 3, 8, 8)


def test_what_does_not_fit_is_refused(numbered: Path) -> None:
    images = data.open_set(numbered)
    with pytest.raises(DataError, match="channels"):
        feed(images, preprocess=Preprocess(color="gray"))
    with pytest.raises(DataError, match="Images cannot feed"):
        feed(images, (TensorSpec("x", "float32", ("N", 5)),))


def test_a_fixed_batch_is_filled_up(numbered: Path) -> None:
    specs = (TensorSpec("x", "float32", (3, 3, 4, 6)),)
    batches = [f["x"] for f in feed(data.open_set(numbered), specs, batch=1)]
    assert [b.shape[0] for b in batches] == [3, 3]
    np.testing.assert_array_equal(batches[1][0], batches[1][2])


def test_images_of_several_sizes_need_a_size(tmp_path: Path) -> None:
    files = {"a.png": sets.png(sets.solid((1, 1, 1))), "b.png": sets.png(sets.solid((2, 2, 2), 9))}
    images = data.open_set(sets.zipped(tmp_path / "a.zip", files))
    specs = (TensorSpec("x", "float32", ("N", 3, "H", "W")),)
    with pytest.raises(DataError, match="differ in size"):
        feed(images, specs)
    assert feed(images, specs, Preprocess(resize=(5, 5)))[0]["x"].shape == (2, 3, 5, 5)


def test_memory_does_not_grow_with_the_set(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    noise = np.random.default_rng(0).integers(0, 256, (600, 64, 64, 3), np.uint8)
    np.savez_compressed(path, images=noise)
    specs = (TensorSpec("x", "float32", ("N", 3, 64, 64)),)
    images = data.open_set(path)
    tracemalloc.start()
    seen = sum(len(f["x"]) for f in images.feeds(specs, None, 4))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen == 600
    assert peak < noise.nbytes / 4


def test_admitting_twice_gives_one_set_and_halves_share_nothing(
    numbered: Path, tmp_path: Path
) -> None:
    home = tmp_path / "data"
    first = data.admit(numbered, "mine.zip", home)
    again = data.admit(numbered, "mine.zip", home)
    assert first == again
    assert (first.count, first.labelled, first.classes, first.kind) == (4, True, 2, "images")
    assert sorted(p.name for p in home.iterdir()) == [first.digest]
    calibration, evaluation = data.split(first.path, first.digest)
    assert calibration.digest != evaluation.digest
    assert data.shared_images(calibration.path, evaluation.path) == 0
    assert data.shared_images(first.path, evaluation.path) == 2
    assert data.open_set(calibration.path).labels.tolist() == [7, 7]
    assert data.open_set(evaluation.path).count == 2
    np.testing.assert_array_equal(
        data.open_set(evaluation.path).pixels(1), data.open_set(numbered).pixels(3)
    )


def test_a_thinned_set_has_all_classes_where_it_is_sorted_by_class(tmp_path: Path) -> None:
    path = tmp_path / "sorted.npz"
    pixels = np.random.default_rng(0).integers(0, 256, (30, 4, 4, 3), dtype=np.uint8)
    np.savez(path, images=pixels, labels=np.repeat([0, 1, 2], 10))
    whole = data.admit(path, path.name, tmp_path / "data")
    few = data.thinned(whole.path, whole.digest, 7)
    assert data.open_set(few.path).labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.shared_images(few.path, whole.path) == 6
    assert few.digest != whole.digest
    assert data.thinned(whole.path, whole.digest, 30) == data.thinned(whole.path, whole.digest, 99)
    assert data.thinned(whole.path, whole.digest, 30).path == whole.path


def test_the_same_image_is_found_in_another_format(numbered: Path, tmp_path: Path) -> None:
    home, other = tmp_path / "data", tmp_path / "o.npz"
    np.savez(other, images=np.stack([sets.solid(sets.COLORS[2]), sets.solid((9, 9, 9))]))
    a, b = data.admit(numbered, "a.zip", home), data.admit(other, "o.npz", home)
    assert data.shared_images(a.path, b.path) == 1


def test_a_folder_is_admitted_as_one_file(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "3").mkdir(parents=True)
    (folder / "3" / "a.png").write_bytes(sets.png(sets.solid((5, 6, 7))))
    summary = data.admit(folder, "in", tmp_path / "data")
    assert summary.path.name == "set.zip"
    assert data.open_set(summary.path).labels.tolist() == [3]
    assert data.describe(folder, "in").count == 1


def test_a_single_image_is_a_set_of_one(tmp_path: Path) -> None:
    source = tmp_path / "upload"
    source.write_bytes(sets.png(sets.solid((5, 6, 7))))
    summary = data.admit(source, "photo.png", tmp_path / "data")
    assert (summary.count, summary.labelled, summary.image_shape) == (1, False, (4, 6, 3))
    images = data.open_set(summary.path, "photo.png")
    np.testing.assert_array_equal(images.pixels(0), sets.solid((5, 6, 7)))


def test_an_upload_cannot_name_another_set(numbered: Path, tmp_path: Path) -> None:
    upload = tmp_path / "half_0.json"
    upload.write_text('{"of": "numbered.zip", "start": 0}')
    with pytest.raises(DataError, match="no image set"):
        data.admit(upload, "half_0.json", tmp_path / "data")


def test_a_preset_takes_layout_type_and_size_from_the_model() -> None:
    made = data.fitted(Preprocess(), [TensorSpec("x", "uint8", (1, 32, 48, 3))])
    assert (made.layout, made.resize, made.dtype) == ("NHWC", (32, 48), "uint8")
    made = data.fitted(Preprocess(), [TensorSpec("x", "float32", (1, 1, 28, 28))])
    assert (made.layout, made.resize, made.color) == ("NCHW", (28, 28), "gray")
    free = [TensorSpec("x", "float32", ("N", 3, "H", "W"))]
    assert data.fitted(Preprocess(), free).resize is None
    assert data.fitted(Preprocess(), [TensorSpec("x", "float32", ("N", 12))]) == Preprocess()


def test_two_ways_to_write_the_same_numbers_of_a_pixel() -> None:
    half = Preprocess(mean=(0.5,), std=(0.5,))
    assert data.same_pixels(half, Preprocess(scale=1 / 127.5, mean=(1.0, 1.0, 1.0)))
    assert not data.same_pixels(half, Preprocess())
    assert not data.same_pixels(Preprocess(), Preprocess(color="bgr"))
    assert data.same_pixels(Preprocess(color="gray"), Preprocess(color="bgr"))


@pytest.mark.parametrize("name", data.PRESETS)
def test_presets_read_back_from_json(name: str) -> None:
    from core.records import to_json

    assert data.read_preprocess(to_json(data.PRESETS[name])) == data.PRESETS[name]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("colour", "rgb"),
        ("color", "cmyk"),
        ("scale", "big"),
        ("scale", True),
        ("scale", float("nan")),
        ("mean", []),
        ("mean", [1, 2]),
        ("std", [0]),
        ("resize", [0, 5]),
        ("crop", 224),
        ("layout", "CHW"),
        ("dtype", "int8"),
    ],
)
def test_wrong_preprocessing_is_named(field: str, value: object) -> None:
    with pytest.raises(DataError, match=field):
        data.read_preprocess({field: value})


def test_synthetic_feeds_are_repeatable_and_fit() -> None:
    specs = (
        TensorSpec("x", "float32", ("N", 3, "H", 4)),
        TensorSpec("i", "int64", ()),
        TensorSpec("u", "uint8", (2,)),
        TensorSpec("b", "bool", (3,)),
    )
    first = list(data.synthetic_feeds(specs, 2, dims={"H": 5}))
    again = list(data.synthetic_feeds(specs, 2, dims={"H": 5}))
    assert first[0]["x"].shape == (1, 3, 5, 4)
    assert {k: v.dtype.name for k, v in first[0].items()} == {s.name: s.dtype for s in specs}
    assert 0 <= first[0]["i"] <= 1
    for a, b in zip(first, again, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
    assert not np.array_equal(first[0]["x"], first[1]["x"])
    with pytest.raises(DataError, match="too large"):
        next(data.synthetic_feeds((TensorSpec("x", "float32", (1 << 20, 1 << 20)),), 1))


def test_a_background_class_is_seen() -> None:
    labels = np.array([0, 999])
    assert data.has_background_class(1001, labels)
    assert not data.has_background_class(1000, labels)
    assert not data.has_background_class(1001, np.array([1000]))
    assert not data.has_background_class(1001, None)


def test_no_model_library_is_imported() -> None:
    code = (
        "import sys, core.data; "
        "print([m for m in sys.modules if m.split('.')[0] in ('onnx', 'onnx_ir', 'cv2', 'PIL')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
