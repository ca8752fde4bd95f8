"""Files -> image sets: a .npz, a zip, a folder, one image, or a part of an admitted set."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from core.data import pictures
from core.data.annotations import Labels, Mask, Masks, class_folders, coco, labels_csv, masks
from core.data.annotations.class_numbers import HIGHEST, Labelling
from core.data.archive import Archive, Bounds
from core.data.arrays import Rows, open_arrays
from core.data.preprocess import MOST_CHANNELS, RANK, Pixels
from core.data.sets import ImageSet
from core.errors import DataError

BOUNDS = Bounds(entries=50_000, total_bytes=8 << 30, ratio=100)
ADMITTED = ("set.npz", "set.zip")
ANNOTATIONS = ("labels", "masks")  # of a .npz with images; else `masks` may be an input


def open_set(path: Path, name: str = "") -> ImageSet:
    """The image set at `path`: a .npz, a .zip, a folder, a single image, a part made by `split`.

    Raises:
        DataError: what is wrong with it and where.
    """
    name = name or path.name
    if path.is_dir():
        admitted = [path / inner for inner in ADMITTED if (path / inner).is_file()]
        return open_set(admitted[0], name) if admitted else _open_folder(path, name)
    if not path.is_file():
        raise DataError(f"{name}: there is no such file or folder.")
    if path.suffix == ".json":
        return _open_part(path, name)
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] != b"PK" and _is_image(name):
        return _from_files([Path(name).name], lambda _: path.read_bytes(), name)
    if start[:2] != b"PK":
        raise DataError(
            f"{name} is not an image set: it is neither a zip, nor a .npz, nor a folder.",
            "Zip the images, with a labels.csv or one folder per class if they are labelled.",
        )
    with Archive(path, name, BOUNDS) as archive:
        arrays = [entry for entry in archive.names if entry.endswith(".npy")]
        has_images = any(_is_image(entry) for entry in archive.names)
    return _open_arrays(path, name) if arrays and not has_images else _open_zip(path, name)


def _open_arrays(path: Path, name: str) -> ImageSet:
    archive, arrays = open_arrays(path, name)
    try:
        return _from_arrays(arrays, name)
    except DataError:
        archive.close()
        raise


def _from_arrays(arrays: Mapping[str, Rows], name: str) -> ImageSet:
    told = ANNOTATIONS if "images" in arrays else ("labels",)
    inputs = {key: rows for key, rows in arrays.items() if key not in told}
    if not inputs:
        raise DataError(f"{name} holds {' and '.join(arrays)} but no images.")
    counts = {rows.shape[0] if rows.shape else 0 for rows in arrays.values()}
    if len(counts) != 1 or 0 in counts:
        shapes = ", ".join(f"{key} {list(rows.shape)}" for key, rows in arrays.items())
        raise DataError(f"{name}: the arrays do not hold equally many samples: {shapes}.")
    if hollow := next((key for key, rows in inputs.items() if 0 in rows.shape), None):
        raise DataError(f"{name}: {hollow!r} {list(inputs[hollow].shape)} holds no numbers.")
    images = inputs.get("images")
    is_images = (
        images is not None
        and len(inputs) == 1
        and images.dtype == np.uint8
        and len(images.shape) == RANK
        and 1 <= images.shape[3] <= MOST_CHANNELS
    )
    count = counts.pop()
    return ImageSet(
        name=name,
        kind="images" if is_images else "tensors",
        count=count,
        labels=_array_labels(arrays.get("labels"), name),
        notes=(),
        _pixels=images.row if images is not None and is_images else _no_pixels(name),
        _rows={} if is_images else inputs,
        _order=range(count),
        _masks=_array_masks(arrays.get("masks") if "masks" in told else None, name),
    )


def _array_masks(rows: Rows | None, name: str) -> Masks | None:
    if rows is None:
        return None
    if len(rows.shape) != 3 or rows.dtype != np.uint8 or 0 in rows.shape:
        raise DataError(
            f"{name}: masks {rows.dtype} {list(rows.shape)} must be (N, H, W) uint8: a class "
            "number for each pixel, 255 where it is ignored."
        )
    given = rows

    def read(index: int) -> Mask:
        return np.asarray(given.row(index), np.uint8)

    return Masks(read, rows.shape[0])


def _array_labels(rows: Rows | None, name: str) -> Labels | None:
    if rows is None:
        return None
    if len(rows.shape) != 1 or rows.dtype.kind not in "iu":
        raise DataError(f"{name}: labels must be whole numbers, one per image.")
    labels = rows.all().astype(np.int64)
    if labels.min() < 0 or labels.max() > HIGHEST:
        raise DataError(f"{name}: labels must lie between 0 and {HIGHEST:,}.")
    return labels


def _no_pixels(name: str) -> Callable[[int], Pixels]:
    def refuse(_: int) -> Pixels:
        raise DataError(f"{name} holds preprocessed tensors, not images.")

    return refuse


def _open_zip(path: Path, name: str) -> ImageSet:
    archive = Archive(path, name, BOUNDS)
    try:
        return _from_files(archive.names, archive.read, name)
    except DataError:
        archive.close()
        raise


def _open_folder(path: Path, name: str) -> ImageSet:
    files = sorted(folder_files(path, name))

    def read(file: str) -> bytes:
        if (path / file).stat().st_size > pictures.MAX_BYTES:
            raise DataError(f"{name}: {file!r} is larger than {pictures.MAX_BYTES >> 20} MiB.")
        return (path / file).read_bytes()

    return _from_files(files, read, name)


def folder_files(path: Path, name: str) -> list[str]:
    """Ordinary, visible files below a folder, as relative POSIX paths; links are not followed.

    Raises:
        DataError: more than are taken.
    """
    found = []
    for file in path.rglob("*"):
        relative = file.relative_to(path)
        hidden = any(part.startswith(".") for part in relative.parts)
        if not hidden and not file.is_symlink() and file.is_file():
            found.append(relative.as_posix())
            if len(found) > BOUNDS.entries:
                raise DataError(f"{name} holds more than {BOUNDS.entries:,} files.")
    return found


def without_wrapper(paths: Sequence[str]) -> str:
    """The prefix of a single folder that merely wraps the set ("" if there is none).

    A lone folder whose name is a whole number is a class, not a wrapper.
    """
    parts = [PurePosixPath(path).parts for path in paths]
    first = {p[0] for p in parts}
    if len(first) != 1 or any(len(p) < 2 for p in parts):
        return ""
    name = first.pop()
    return "" if name.isdecimal() else f"{name}/"


def _from_files(entries: Sequence[str], read: Callable[[str], bytes], name: str) -> ImageSet:
    prefix = without_wrapper(entries) if entries else ""
    inner = [entry.removeprefix(prefix) for entry in entries]
    pictured = [entry for entry in inner if _is_image(entry)]
    of_masks = masks.belongs(pictured)
    files = [entry for entry in pictured if entry not in of_masks]
    if not files:
        raise DataError(
            f"{name} holds no images.",
            f"Known are {', '.join(sorted(pictures.SUFFIXES))} files, and .npz arrays.",
        )

    def content(file: str) -> bytes:
        return read(prefix + file)

    boxes = coco.FILE in inner
    labels = None if boxes or of_masks else _file_labels(inner, files, content, name)
    told = {coco.FILE} if boxes else {labels_csv.LABELS_FILE}
    others = [e for e in entries if not _is_image(e) and e.removeprefix(prefix) not in told]
    notes = []
    if others:
        notes.append(f"{len(others)} files are not images and were left out ({others[0]!r}).")
    return ImageSet(
        name=name,
        kind="images",
        count=len(files),
        labels=None if labels is None else np.array(labels.classes, np.int64),
        notes=(*notes, *(labels.notes if labels else ())),
        _pixels=lambda i: pictures.decode(content(files[i]), f"{name}: {files[i]!r}"),
        _rows={},
        _order=range(len(files)),
        _masks=masks.read(of_masks, files, content, name) if of_masks and not boxes else None,
        _boxes=functools.partial(coco.read_from, content, files, name) if boxes else None,
    )


def _file_labels(
    entries: Sequence[str], files: Sequence[str], content: Callable[[str], bytes], name: str
) -> Labelling | None:
    """Of a table where there is one, else of the folders."""
    if labels_csv.LABELS_FILE in entries:
        return labels_csv.read(content(labels_csv.LABELS_FILE), files, name)
    return class_folders.read(files, name)


def _is_image(entry: str) -> bool:
    return Path(entry).suffix.lower() in pictures.SUFFIXES


def _open_part(path: Path, name: str) -> ImageSet:
    try:
        part = json.loads(path.read_text(encoding="utf-8"))
        whole = path.parent / Path(str(part["of"])).name
        start, step = int(part["start"]), max(1, int(part["step"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{name} is not an image set.") from error
    full = open_set(whole, name)
    return full.part(range(start, full.count, step), name)
