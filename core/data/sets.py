"""Image sets: where images lie, which class they are, and how they become feeds.

Nothing is held but names and labels; an image is read when its batch is asked for, so memory does
not grow with the number of images.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.data import labels as labelling
from core.data import pictures
from core.data.archive import Archive, Bounds
from core.data.arrays import Rows, open_arrays
from core.data.preprocess import (
    Pixels,
    check_channels,
    default_preprocess,
    final_size,
    fit,
    image_input,
    model_size,
    normalised,
)
from core.errors import DataError
from core.records import Preprocess, TensorSpec

Tensors = dict[str, np.ndarray[Any, Any]]
Labels = np.ndarray[Any, np.dtype[np.int64]]

BOUNDS = Bounds(entries=50_000, total_bytes=8 << 30, ratio=100)
ADMITTED = ("set.npz", "set.zip")
RANK = 4


@dataclass(frozen=True)
class ImageSet:
    """Images, or preprocessed tensors, with or without labels.

    Attributes:
        name: what messages call it.
        kind: "images" or "tensors".
        count: how many samples.
        labels: (count,) class of each; None if unlabelled.
        notes: what the user should know of how it was read.
    """

    name: str
    kind: str
    count: int
    labels: Labels | None
    notes: tuple[str, ...]
    _pixels: Callable[[int], Pixels]
    _rows: Mapping[str, Rows]
    _order: Sequence[int]

    def pixels(self, index: int) -> Pixels:
        """Image `index` as it is in the set: (H, W, C) uint8, RGB or gray.

        Raises:
            DataError: no images here, or a damaged one.
        """
        return self._pixels(self._order[index])

    def sample(self, index: int) -> Tensors:
        """Sample `index` of a set of tensors, by input name, without a batch dimension."""
        return {name: rows.row(self._order[index]) for name, rows in self._rows.items()}

    def feeds(
        self,
        specs: Sequence[TensorSpec],
        preprocess: Preprocess | None,
        batch: int,
        indices: Sequence[int] | None = None,
    ) -> Iterator[Tensors]:
        """Model inputs in the order of `indices`, or of the set.

        A model with a fixed batch gets exactly that; the last batch is then filled up by repeating
        the last sample, and who reads the outputs keeps as many rows as there were samples.

        Args:
            specs: the model's inputs.
            preprocess: None guesses from the input's shape and type.
            batch: samples at a time where the model's batch is dynamic.
            indices: samples to use.

        Raises:
            DataError: the set does not fit the model.
        """
        chosen = range(self.count) if indices is None else indices
        size = _fixed_batch(specs) or max(1, batch)
        make = self._batch_of_images if self.kind == "images" else self._batch_of_tensors
        for start in range(0, len(chosen), size):
            part = [int(i) for i in chosen[start : start + size]]
            if _fixed_batch(specs):
                part += part[-1:] * (size - len(part))
            yield make(specs, preprocess, part)

    def fit_notes(self, specs: Sequence[TensorSpec], preprocess: Preprocess | None) -> list[str]:
        """What `feeds` does beyond the preprocessing to make the images fit the model.

        Raises:
            DataError: the set does not fit the model.
        """
        if self.kind != "images" or not self.count:
            return []
        spec = image_input(specs)
        chosen = preprocess or default_preprocess(specs)
        check_channels(spec, chosen)
        wanted = model_size(spec, chosen)
        height, width = self.pixels(0).shape[:2]
        given = final_size((height, width), chosen)
        if wanted is None or wanted == given:
            return []
        return [
            f"Images ({given[0]}x{given[1]}) are resized to the model's input "
            f"({wanted[0]}x{wanted[1]})."
        ]

    def _batch_of_images(
        self, specs: Sequence[TensorSpec], preprocess: Preprocess | None, part: list[int]
    ) -> Tensors:
        spec = image_input(specs)
        chosen = preprocess or default_preprocess(specs)
        check_channels(spec, chosen)
        wanted = model_size(spec, chosen)
        images = [fit(self.pixels(i), chosen, wanted) for i in part]
        if len({image.shape for image in images}) > 1:
            raise DataError(
                f"The images of {self.name} differ in size and the model takes any size.",
                "Give a resize in the preprocessing, or freeze the model's height and width.",
            )
        return {spec.name: normalised(np.stack(images), chosen, spec.dtype)}

    def _batch_of_tensors(
        self, specs: Sequence[TensorSpec], preprocess: Preprocess | None, part: list[int]
    ) -> Tensors:
        return {
            spec.name: np.stack([rows.row(self._order[i]) for i in part]).astype(
                spec.dtype, copy=False
            )
            for spec, rows in zip(specs, _matched(self.name, self._rows, specs), strict=True)
        }

    def part(self, indices: Sequence[int], name: str) -> ImageSet:
        """The set of some of the samples."""
        return ImageSet(
            name=name,
            kind=self.kind,
            count=len(indices),
            labels=None if self.labels is None else self.labels[list(indices)],
            notes=self.notes,
            _pixels=self._pixels,
            _rows=self._rows,
            _order=[self._order[i] for i in indices],
        )


def _fixed_batch(specs: Sequence[TensorSpec]) -> int:
    first = specs[0].shape[0] if specs and specs[0].shape else 0
    return first if isinstance(first, int) else 0


def _matched(name: str, arrays: Mapping[str, Rows], specs: Sequence[TensorSpec]) -> list[Rows]:
    if len(specs) == 1 and len(arrays) == 1:
        found = [next(iter(arrays.values()))]
    elif missing := [spec.name for spec in specs if spec.name not in arrays]:
        raise DataError(
            f"{name} has no array for the input {missing[0]!r}; it has: {', '.join(arrays)}."
        )
    else:
        found = [arrays[spec.name] for spec in specs]
    for spec, rows in zip(specs, found, strict=True):
        pairs = list(zip(spec.shape[1:], rows.shape[1:], strict=False))
        if len(spec.shape) != len(rows.shape) or any(
            isinstance(want, int) and want != have for want, have in pairs
        ):
            raise DataError(
                f"{name}: {rows.name!r} has the shape {list(rows.shape)}; the input "
                f"{spec.name!r} takes {list(spec.shape)}."
            )
    return found


def open_set(path: Path, name: str = "") -> ImageSet:
    """The image set at `path`: a .npz, a .zip, a folder, a single image, a half made by `split`.

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
        return _open_half(path, name)
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
    _archive, arrays = open_arrays(path, name)
    inputs = {key: rows for key, rows in arrays.items() if key != "labels"}
    if not inputs:
        raise DataError(f"{name} holds labels but no images.")
    counts = {rows.shape[0] if rows.shape else 0 for rows in arrays.values()}
    if len(counts) != 1 or 0 in counts:
        shapes = ", ".join(f"{key} {list(rows.shape)}" for key, rows in arrays.items())
        raise DataError(f"{name}: the arrays do not hold equally many samples: {shapes}.")
    images = inputs.get("images")
    is_images = (
        images is not None
        and len(inputs) == 1
        and images.dtype == np.uint8
        and len(images.shape) == RANK
        and images.shape[3] in (1, 3, 4)
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
    )


def _array_labels(rows: Rows | None, name: str) -> Labels | None:
    if rows is None:
        return None
    if len(rows.shape) != 1 or rows.dtype.kind not in "iu":
        raise DataError(f"{name}: labels must be whole numbers, one per image.")
    labels = rows.all().astype(np.int64)
    if labels.min() < 0 or labels.max() > labelling.HIGHEST:
        raise DataError(f"{name}: labels must lie between 0 and {labelling.HIGHEST:,}.")
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


def _from_files(entries: Sequence[str], read: Callable[[str], bytes], name: str) -> ImageSet:
    prefix = labelling.without_wrapper(entries) if entries else ""
    files = [entry.removeprefix(prefix) for entry in entries if _is_image(entry)]
    if not files:
        raise DataError(
            f"{name} holds no images.",
            f"Known are {', '.join(sorted(pictures.SUFFIXES))} files, and .npz arrays.",
        )
    notes = []
    others = [e for e in entries if not _is_image(e) and e != prefix + labelling.LABELS_FILE]
    if others:
        notes.append(f"{len(others)} files are not images and were left out ({others[0]!r}).")
    if prefix + labelling.LABELS_FILE in entries:
        text = read(prefix + labelling.LABELS_FILE)
        labels: list[int] | None = labelling.from_csv(_text(text, name), files, name)
    else:
        labels = labelling.from_folders(files, name)
    return ImageSet(
        name=name,
        kind="images",
        count=len(files),
        labels=None if labels is None else np.array(labels, np.int64),
        notes=tuple(notes),
        _pixels=lambda i: pictures.decode(read(prefix + files[i]), f"{name}: {files[i]!r}"),
        _rows={},
        _order=range(len(files)),
    )


def _text(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{name}: {labelling.LABELS_FILE} is not UTF-8 text.") from None


def _is_image(entry: str) -> bool:
    return Path(entry).suffix.lower() in pictures.SUFFIXES


def _open_half(path: Path, name: str) -> ImageSet:
    try:
        half = json.loads(path.read_text(encoding="utf-8"))
        whole, start = path.parent / Path(str(half["of"])).name, int(half["start"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{name} is not an image set.") from error
    full = open_set(whole, name)
    return full.part(range(start, full.count, 2), name)


def has_background_class(outputs: int, labels: Labels | None) -> bool:
    """Whether a net with one output more than there are classes counts a background as class 0.

    That is so for nets trained on ImageNet with 1001 outputs, scored on labels 0..999.
    """
    return outputs == 1001 and labels is not None and len(labels) > 0 and int(labels.max()) <= 999
