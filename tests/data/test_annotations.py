"""Masks and boxes of image sets: read from every form, held to their images, refused in words."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import data
from core.data.annotations import coco, masks
from core.errors import DataError
from tests.data import sets
from tests.tasks import nets

FILES = ("000.png", "001.png")


def boxes(**changes: object) -> bytes:
    """Annotations of two images of 64 x 64 pixels, with changes."""
    whole = nets.coco([[(0, 0, 0, 16)], [(1, 16, 32, 16)]], 64)
    return json.dumps(whole | changes).encode()


def box(*corners: object, **changes: object) -> dict:
    return {"image_id": 100, "category_id": 3, "bbox": list(corners)} | changes


def test_boxes_of_a_zip_with_the_classes_in_the_order_of_their_identifiers(tmp_path: Path):
    images = data.open_set(nets.boxed_zip(tmp_path / "a.zip", 3))
    _, drawn = nets.squares(3)
    assert (images.annotated, images.labels) == ("boxes", None)
    for given, wanted in zip(images.annotations.images, drawn, strict=True):
        assert given.classes.tolist() == [kind for kind, *_ in wanted]
        assert given.corners.tolist() == [[x, y, x + s, y + s] for _, x, y, s in wanted]
    part = images.part([2], "part").annotations
    assert len(part.images) == 1
    assert part.images[0].corners.tolist() == images.annotations.images[2].corners.tolist()


def test_masks_of_a_zip_and_of_arrays(tmp_path: Path):
    pixels, masks = nets.regions(4)
    np.savez(tmp_path / "a.npz", images=pixels, masks=masks)
    for path in (tmp_path / "a.npz", nets.masked_zip(tmp_path / "a.zip", 4)):
        images = data.open_set(path)
        assert (images.count, images.annotated, images.labels) == (4, "masks", None)
        np.testing.assert_array_equal(images.annotations.read(3), masks[3])
        np.testing.assert_array_equal(images.part([1, 3], "p").annotations.read(1), masks[3])
        np.testing.assert_array_equal(images.pixels(3), pixels[3])


def test_a_palette_is_read_by_its_numbers_and_colours_are_no_mask(tmp_path: Path):
    mask = np.arange(64, dtype=np.uint8).reshape(8, 8)
    palette = Image.fromarray(mask).convert("L")
    palette = Image.fromarray(mask, "P")
    palette.putpalette(list(range(255, -1, -1)) * 3)
    stream, image = io.BytesIO(), sets.png(np.zeros((8, 8, 3), np.uint8))
    palette.save(stream, "PNG")
    path = sets.zipped(tmp_path / "p.zip", {"a.png": image, "masks/a.png": stream.getvalue()})
    np.testing.assert_array_equal(data.open_set(path).annotations.read(0), mask)
    path = sets.zipped(tmp_path / "c.zip", {"a.png": image, "masks/a.png": image})
    with pytest.raises(DataError, match="one channel"):
        data.open_set(path).annotations.read(0)


def test_a_class_may_be_called_masks(tmp_path: Path):
    image = sets.png(sets.solid((1, 2, 3)))
    files = {"masks/a.png": image, "hats/a.png": image, "shoes/b.png": image}
    images = data.open_set(sets.zipped(tmp_path / "a.zip", files))
    assert (images.annotated, images.labels.tolist()) == ("labels", [1, 0, 2])


def test_an_input_may_be_called_masks(tmp_path: Path):
    np.savez(tmp_path / "a.npz", masks=np.zeros((4, 8, 8), np.uint8))
    images = data.open_set(tmp_path / "a.npz")
    assert (images.kind, images.annotated) == ("tensors", "")


def test_admitting_tells_what_there_is(tmp_path: Path):
    found = data.admit(nets.boxed_zip(tmp_path / "b.zip", 5), "b.zip", tmp_path / "data")
    assert (found.annotations, found.labelled, found.is_annotated) == ("boxes", False, True)
    assert "boxes of 2 categories" in found.notes[-1]
    found = data.admit(nets.masked_zip(tmp_path / "m.zip", 5), "m.zip", tmp_path / "data")
    assert (found.annotations, found.labelled, found.is_annotated) == ("masks", False, True)
    half, other = data.split(found.path, found.digest)
    assert [data.open_set(p.path).annotations.count for p in (half, other)] == [3, 2]


@pytest.mark.parametrize("kind", ["masks", "boxes"])
def test_annotations_of_another_size_are_refused(tmp_path: Path, kind: str):
    image = sets.png(np.zeros((32, 64, 3), np.uint8))
    files = {"000.png": image, "001.png": image}
    if kind == "masks":
        files |= {f"masks/{name}": nets.grey(np.zeros((64, 64), np.uint8)) for name in FILES}
    else:
        files["annotations.json"] = boxes()
    path = sets.zipped(tmp_path / "a.zip", files)
    with pytest.raises(DataError, match="image 0 is 64 x 32 pixels, and its"):
        data.admit(path, "a.zip", tmp_path / "data")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[" * 100_000, "no readable JSON"),
        (b'{"images": ' + b"[" * 100_000, "no readable JSON"),
        (b"\xff\xfe", "no readable JSON"),
        (b"[]", "holds no object"),
        (b"{}", "no list of"),
        (boxes(images=5), "no list of images"),
        (boxes(images=[]), "does not list the image '000.png'"),
        (boxes(images=[{"id": 1, "file_name": n, "height": 64, "width": 64} for n in FILES]),
         "two images the id 1"),
        (boxes(images=[{"id": 1e9, "file_name": n} for n in FILES]), "not a whole number"),
        (boxes(categories=[]), "no categories"),
        (boxes(categories=[{"id": 1}, {"id": 1}]), "one of them twice"),
        (boxes(categories=[{"id": True}]), "not a whole number"),
        (boxes(annotations=[box(0, 0, 65.5, 16)]), "does not lie in its image of 64 x 64"),
        (boxes(annotations=[box(-2, 0, 16, 16)]), "does not lie in its image"),
        (boxes(annotations=[box(9, 0, -4, 16)]), "does not lie in its image"),
        (boxes(annotations=[box(0, 0, float("nan"), 16)]), "takes \\[left, top, width, height\\]"),
        (boxes(annotations=[box(0, 0, float("inf"), 16)]), "takes \\[left, top"),
        (boxes(annotations=[box(0, 0, "16", 16)]), "takes \\[left, top"),
        (boxes(annotations=[box(0, 0, 10**400, 16)]), "takes \\[left, top"),
        (boxes(annotations=[box(0, 0, 16)]), "takes \\[left, top"),
        (boxes(annotations=[box(0, 0, 16, 16, category_id=4)]), "of the category 4"),
        (boxes(annotations=[box(0, 0, 16, 16, image_id=4)]), "on the image 4"),
        (boxes(annotations=[[]]), "no list of annotations"),
    ],
)  # fmt: skip
def test_boxes_that_make_no_sense_are_refused(content: bytes, reason: str):
    with pytest.raises(DataError, match=reason):
        coco.read(content, FILES, "set")


def test_an_annotation_file_has_a_size(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(coco, "MOST_BYTES", 10)
    with pytest.raises(DataError, match="is larger than"):
        coco.read(boxes(), FILES, "set")
    monkeypatch.undo()
    monkeypatch.setattr(coco, "MOST_BOXES", 1)
    with pytest.raises(DataError, match="holds 2 annotations; 1 are the limit"):
        coco.read(boxes(), FILES, "set")


def test_images_of_the_file_that_the_set_lacks_are_left_out():
    found = coco.read(boxes(), FILES[1:], "set")
    assert [len(image.classes) for image in found.images] == [1]


@pytest.mark.parametrize(
    ("masks", "reason"),
    [(["a"], "1 images have no mask"), (["a", "b", "c"], "3 masks stand beside 2 images")],
)
def test_masks_and_images_that_do_not_meet(tmp_path: Path, masks: list[str], reason: str):
    image = sets.png(np.zeros((8, 8, 3), np.uint8))
    files = {"a.png": image, "b.png": image}
    files |= {f"masks/{name}.png": nets.grey(np.zeros((8, 8), np.uint8)) for name in masks}
    with pytest.raises(DataError, match=reason):
        data.open_set(sets.zipped(tmp_path / "a.zip", files))


def test_grey_levels_of_few_bits_are_class_numbers():
    """Pillow writes no grey of 4 bits; a PNG of 4 x 1 pixels by hand."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", 4, 1, 4, 0, 0, 0, 0)
    rows = zlib.compress(bytes([0, 0x01, 0x2F]))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    assert masks.decode(png, "m.png").tolist() == [[0, 1, 2, 15]]


def test_two_masks_of_one_name_are_refused():
    with pytest.raises(DataError, match="2 masks"):
        masks.read(frozenset(["masks/a/x.png", "masks/b/x.png"]), ["x.jpg"], lambda _: b"", "set")
