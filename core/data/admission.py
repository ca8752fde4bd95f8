"""Image sets from outside: read once in full, kept as one file, named by the digest of its bytes.

Beside the file lies a list with one digest per image, so that two sets can be compared without
being opened again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.data.annotations import Boxes, Masks
from core.data.input_sizes import IMAGES
from core.data.opening import ADMITTED, folder_files, open_set
from core.data.sets import ImageSet
from core.errors import DataError
from core.records import DataSummary

MAX_BYTES = 4 << 30
DIGEST_BYTES = 16
IMAGES_FILE = "images.digests"
CHUNK = 1 << 20
EPOCH = (1980, 1, 1, 0, 0, 0)

Progress = Callable[[int, int], None]


def describe(path: Path, name: str) -> DataSummary:
    """What the set at `path` is, from its directory, labels and first image.

    Raises:
        DataError: what is wrong with it.
    """
    images = open_set(path, name)
    return _summary(images, path, _digest(path))


def admit(source: Path, filename: str, data: Path, progress: Progress | None = None) -> DataSummary:
    """Take the set at `source` in: every image is decoded once, then it lies under data/DIGEST.

    Args:
        source: a .npz, a .zip or a folder.
        filename: what the user called it.
        data: folder of the admitted sets.
        progress: called with (images read, images in all).

    Raises:
        DataError: what is wrong with it, and with which image.
    """
    if source.suffix == ".json":
        raise DataError(f"{filename} is no image set; a part of one is in place already.")
    if source.is_file() and source.stat().st_size > MAX_BYTES:
        raise DataError(f"{filename} is larger than {MAX_BYTES >> 30} GiB.")
    images = open_set(source, filename)
    digests, shapes = _read_all(images, progress)
    data.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=data, prefix="."))
    try:
        target = _keep(source, filename, scratch)
        digest = _digest(target)
        (scratch / IMAGES_FILE).write_bytes(b"".join(digests))
        final = data / digest
        if not final.exists():
            os.replace(scratch, final)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return replace(_summary(images, final / target.name, digest), shapes=shapes)


def _read_all(
    images: ImageSet, progress: Progress | None
) -> tuple[list[bytes], dict[str, tuple[int, ...]]]:
    """A digest for each sample, and the shapes of arrays where all samples have the same."""
    found, shapes = [], set()
    for index in range(images.count):
        running = hashlib.blake2b(digest_size=DIGEST_BYTES)
        if images.kind == "images":
            pixels = images.pixels(index)
            shapes.add(pixels.shape)
            _check_size(images, index, pixels.shape[:2])
            rgb = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[:, :, :3]
            running.update(str(rgb.shape).encode() + np.ascontiguousarray(rgb).tobytes())
        else:
            for name, values in sorted(images.sample(index).items()):
                running.update(name.encode() + values.tobytes())
        found.append(running.digest())
        if progress and index % 50 == 0:
            progress(index, images.count)
    if images.kind == "images" and len(shapes) == 1:
        return found, {IMAGES: tuple(map(int, shapes.pop()))}
    return found, _array_shapes(images)


def _check_size(images: ImageSet, index: int, size: tuple[int, ...]) -> None:
    """Hold the annotations of an image to its size; a mask is decoded once for that.

    Raises:
        DataError: they are of another size.
    """
    annotations = images.annotations
    if isinstance(annotations, Masks):
        claimed = annotations.read(index).shape
    elif isinstance(annotations, Boxes):
        claimed = annotations.images[index].size
    else:
        return
    if tuple(claimed) != tuple(size):
        raise DataError(
            f"{images.name}: image {index} is {size[1]} x {size[0]} pixels, and its "
            f"{images.annotated} are of one of {claimed[1]} x {claimed[0]}.",
            "Annotate the images in the size in which they are given.",
        )


def _array_shapes(images: ImageSet) -> dict[str, tuple[int, ...]]:
    """Of one sample of each array; an array holds samples of one shape."""
    if images.kind == "images":
        return {}
    return {name: tuple(map(int, values.shape)) for name, values in images.sample(0).items()}


def _keep(source: Path, filename: str, scratch: Path) -> Path:
    """Copy `source` into `scratch` as set.npz or set.zip; a folder becomes a zip."""
    if source.is_dir():
        admitted = [source / inner for inner in ADMITTED if (source / inner).is_file()]
        if not admitted:
            return _zip_folder(source, filename, scratch / "set.zip")
        source = admitted[0]
    if not zipfile.is_zipfile(source):
        with zipfile.ZipFile(scratch / "set.zip", "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(zipfile.ZipInfo(Path(filename).name, EPOCH), source.read_bytes())
        return scratch / "set.zip"
    with zipfile.ZipFile(source) as archive:
        is_arrays = all(name.endswith(".npy") for name in archive.namelist())
    target = scratch / ("set.npz" if is_arrays else "set.zip")
    shutil.copyfile(source, target)
    return target


def _zip_folder(folder: Path, name: str, target: Path) -> Path:
    """The same bytes for the same files: sorted, undated, stored as they are."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder_files(folder, name)):
            archive.writestr(zipfile.ZipInfo(file, EPOCH), (folder / file).read_bytes())
    return target


def _summary(images: ImageSet, path: Path, digest: str) -> DataSummary:
    if images.kind == "images":
        shape = tuple(int(d) for d in images.pixels(0).shape)
    else:
        first = next(iter(images.sample(0).values()))
        shape = tuple(first.shape)
    annotations = images.annotations
    notes = images.notes
    classes = 0 if images.labels is None else len(np.unique(images.labels))
    if isinstance(annotations, Boxes):
        classes = len(annotations.categories)
        empty = sum(not len(image.classes) for image in annotations.images)
        bare = f", {empty:,} images have none" if empty else ""
        notes += (f"{annotations.count:,} boxes of {classes:,} categories{bare}.",)
    return DataSummary(
        digest=digest,
        name=images.name,
        path=path,
        kind=images.kind,
        count=images.count,
        labelled=images.labels is not None,
        annotations=images.annotated,
        image_shape=shape,
        classes=classes,
        notes=notes,
        shapes=_array_shapes(images),
    )


def _digest(path: Path) -> str:
    running = hashlib.sha256()
    files = [path]
    if path.is_dir():
        files = [path / name for name in sorted(folder_files(path, path.name))]
    for file in files:
        if path.is_dir():
            running.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                running.update(chunk)
    return running.hexdigest()


@dataclass(frozen=True, slots=True)
class Part:
    """Some of an admitted set: what `open_set` opens, and a digest that no other set has."""

    path: Path
    digest: str


def split(whole: Path, digest: str) -> tuple[Part, Part]:
    """Two disjoint halves of an admitted set, for calibration and for evaluation.

    They take turns, so both have the classes of the whole even where it is sorted by class. The
    first is the larger one.

    Args:
        whole: the admitted set.
        digest: of it.

    Raises:
        DataError: fewer than two images, or a set that was not admitted.
    """
    if _count(whole) < 2:
        raise DataError("One image cannot both calibrate and evaluate.", "Choose another set.")
    return _every(2, 0, whole, digest), _every(2, 1, whole, digest)


def thinned(whole: Path, digest: str, most: int) -> Part:
    """At most so many images of an admitted set, spread evenly: it may be sorted by class.

    Raises:
        DataError: a set that was not admitted.
    """
    step = -(-_count(whole) // most)
    return _every(step, 0, whole, digest) if step > 1 else Part(whole, digest)


def _every(step: int, start: int, whole: Path, digest: str) -> Part:
    path = whole.with_name(f"every_{step}_from_{start}.json")
    if not path.exists():
        content = {"of": whole.name, "start": start, "step": step}
        path.write_text(json.dumps(content), encoding="utf-8")
    return Part(path, hashlib.sha256(f"{digest}:{start}:{step}".encode()).hexdigest())


def shared_images(a: Path, b: Path) -> int:
    """How many images of set `a` are in set `b` too, pixel by pixel; both were admitted.

    Raises:
        DataError: a set that was not admitted.
    """
    return len(_listed(a) & _listed(b))


def _count(path: Path) -> int:
    """Of the images of a whole set, without opening it."""
    try:
        return (path.parent / IMAGES_FILE).stat().st_size // DIGEST_BYTES
    except OSError as error:
        raise _not_admitted(path) from error


def _listed(path: Path) -> set[bytes]:
    try:
        content = (path.parent / IMAGES_FILE).read_bytes()
    except OSError as error:
        raise _not_admitted(path) from error
    listed = [content[i : i + DIGEST_BYTES] for i in range(0, len(content), DIGEST_BYTES)]
    if path.suffix == ".json":
        part = json.loads(path.read_text(encoding="utf-8"))
        listed = listed[int(part["start"]) :: int(part["step"])]
    return set(listed)


def _not_admitted(path: Path) -> DataError:
    return DataError(f"{path.parent.name} was not admitted: its image list is gone.")
