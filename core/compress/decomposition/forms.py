"""What a k x k convolution can be replaced by, as products of factors.

    spatial SVD           W[o,i,y,x] = sum_r   A[o,r,x] B[r,i,y]          k x 1, then 1 x k
                       or W[o,i,y,x] = sum_r   A[o,r,y] B[r,i,x]          1 x k, then k x 1
    Tucker-2              W[o,i,y,x] = sum_ab  U[o,a] G[a,b,y,x] V[b,i]   1 x 1, k x k, 1 x 1
    network decoupling    W[o,i,y,x] = sum_t   P[o,t,i] D[t,i,y,x]        depthwise, then 1 x 1

`start` gives factors from a singular value decomposition in the metric of the activations: with
C = L L' the covariance of what the first factor reads, the singular vectors of L' W are kept and
carried back by L^-T. That ignores how the kernel's columns are correlated with each other, which
`fitting` then takes into account. Without activations C = I, and the truncation is the plain one.

Source: Jaderberg, Vedaldi, Zisserman 2014, arXiv:1405.3866, section 2.1, scheme 2 (spatial SVD);
Kim et al. 2016, arXiv:1511.06530, section 3 (Tucker-2); Guo et al. 2018, arXiv:1808.05517,
section 3 (network decoupling); Zhang et al. 2015, arXiv:1505.06798, section 3.1 (the metric).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from core.analysis import layer_signatures
from core.records import Note
from core.timings import Chain, LayerSignature

Matrix = NDArray[np.float64]
Factors = tuple[Matrix, ...]
Rank = tuple[int, ...]

FLOOR = 1e-6  # of the mean variance: directions that the images never show still count a little


class Form(ABC):
    """One way to write a kernel as a product.

    Attributes:
        name: as recipes call it.
        about: as reports call it.
        subscripts: the product, for einsum; ends in oiyx. The first factor has the outputs o.
        ranked: the subscripts that the parts of a rank are the sizes of, in that order.
        lines: what comes first where the kernel is lines in one direction times lines in the
            other, columns or rows (`separable`); empty where it is not.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    subscripts: ClassVar[str]
    ranked: ClassVar[str]
    lines: ClassVar[str] = ""

    @abstractmethod
    def ranks(self, layer: LayerSignature, multiple: int, most: int) -> list[Rank]:
        """At most `most` ranks to choose from, smallest first, none of them full."""

    @abstractmethod
    def chain(self, layer: LayerSignature, rank: Rank) -> Chain:
        """The layers that stand in for `layer`."""

    @abstractmethod
    def start(self, kernel: Matrix, second: Matrix, rank: Rank) -> Factors:
        """Factors of a kernel (O, I, h, w), given the covariance (I h w, I h w) of its patches."""

    @abstractmethod
    def kernels(self, factors: Factors) -> list[Matrix]:
        """The weights of the convolutions of `chain`, first to last."""

    @abstractmethod
    def truncated(self, factors: Factors, rank: Rank) -> Factors:
        """The factors of a smaller rank that `start` would give: its vectors are nested."""

    def refuses(self, layer: LayerSignature) -> Note | None:
        """Why the form does not fit a layer; None if it does."""
        del layer
        return None

    def zeros(self, shape: Sequence[int], rank: Rank) -> Factors:
        """Factors of the right shapes for a kernel (O, I, h, w), to be counted and never run."""
        sizes = dict(zip("oiyx", shape, strict=True)) | dict(zip(self.ranked, rank, strict=True))
        parts = self.subscripts.partition("->")[0].split(",")
        return tuple(np.zeros([sizes[letter] for letter in part]) for part in parts)

    def dense(self, factors: Sequence[Matrix]) -> Matrix:
        """The kernel (O, I, h, w) that the factors stand for."""
        return np.asarray(np.einsum(self.subscripts, *factors, optimize=True))


class SpatialSvd(Form):
    """Columns first, then rows."""

    name = "spatial_svd"
    about = "k x 1 and 1 x k"
    subscripts = "orx,riy->oiyx"
    ranked = "r"
    lines = "columns"

    def refuses(self, layer: LayerSignature) -> Note | None:
        """A kernel of one row or column is no product of two."""
        return None if min(layer.kernel) > 1 else Note.of("replace.single_line")

    def ranks(self, layer: LayerSignature, multiple: int, most: int) -> list[Rank]:
        """Below the rank of the matrix of columns by rows."""
        return [(rank,) for rank in layer_signatures.svd_ranks(layer, multiple, most)]

    def chain(self, layer: LayerSignature, rank: Rank) -> Chain:
        """Two layers."""
        return layer_signatures.spatial_svd(layer, rank[0])

    def start(self, kernel: Matrix, second: Matrix, rank: Rank) -> Factors:
        """Singular vectors of (columns under the kernel) x (outputs, place of the column)."""
        _, inputs, height, width = kernel.shape
        blocks = second.reshape(inputs, height, width, inputs, height, width)
        return self._columns(kernel, np.einsum("iyxjvx->iyjv", blocks) / width, rank)

    def _columns(self, kernel: Matrix, metric: Matrix, rank: Rank) -> Factors:
        """The same, given the mean covariance of the columns, (I, h, I, h)."""
        outputs, inputs, height, width = kernel.shape
        metric = metric.reshape(inputs * height, -1)
        matrix = kernel.transpose(1, 2, 0, 3).reshape(inputs * height, outputs * width)
        left, right = _split(matrix, metric, rank[0])
        rows = right.reshape(-1, outputs, width).transpose(1, 0, 2)
        return np.ascontiguousarray(rows), left.T.reshape(-1, inputs, height)

    def truncated(self, factors: Factors, rank: Rank) -> Factors:
        """The first singular vectors."""
        return factors[0][:, : rank[0]], factors[1][: rank[0]]

    def kernels(self, factors: Factors) -> list[Matrix]:
        """K x 1 and 1 x k."""
        rows, columns = factors
        return [columns[:, :, :, None], rows[:, :, None, :]]


class SpatialSvdRows(SpatialSvd):
    """Rows first, then columns: the same of the transposed kernel."""

    name = "spatial_svd_rows"
    about = "1 x k and k x 1"
    subscripts = "ory,rix->oiyx"
    lines = "rows"

    def ranks(self, layer: LayerSignature, multiple: int, most: int) -> list[Rank]:
        """Below the rank of the matrix of rows by columns."""
        found = layer_signatures.svd_ranks(layer, multiple, most, rows_first=True)
        return [(rank,) for rank in found]

    def chain(self, layer: LayerSignature, rank: Rank) -> Chain:
        """Two layers."""
        return layer_signatures.spatial_svd(layer, rank[0], rows_first=True)

    def start(self, kernel: Matrix, second: Matrix, rank: Rank) -> Factors:
        """Singular vectors of (rows under the kernel) x (outputs, place of the row)."""
        _, inputs, height, width = kernel.shape
        blocks = second.reshape(inputs, height, width, inputs, height, width)
        metric = np.einsum("iyxjyu->ixju", blocks) / height
        return self._columns(kernel.transpose(0, 1, 3, 2), metric, rank)

    def kernels(self, factors: Factors) -> list[Matrix]:
        """1 x k and k x 1."""
        columns, rows = factors
        return [rows[:, :, None, :], columns[:, :, :, None]]


class Tucker2(Form):
    """Fewer channels on both sides of the kernel."""

    name = "tucker2"
    about = "1 x 1, k x k and 1 x 1"
    subscripts = "oa,abyx,bi->oiyx"
    ranked = "ba"

    def ranks(self, layer: LayerSignature, multiple: int, most: int) -> list[Rank]:
        """(inputs kept, outputs kept)."""
        return list(layer_signatures.tucker_ranks(layer, multiple, most))

    def chain(self, layer: LayerSignature, rank: Rank) -> Chain:
        """Three layers."""
        return layer_signatures.tucker2(layer, *rank)

    def start(self, kernel: Matrix, second: Matrix, rank: Rank) -> Factors:
        """Inputs by singular vectors, outputs by their principal components."""
        outputs, inputs, height, width = kernel.shape
        taps = height * width
        blocks = second.reshape(inputs, taps, inputs, taps)
        metric = np.einsum("itjt->ij", blocks) / taps
        unfolded = kernel.transpose(1, 0, 2, 3).reshape(inputs, -1)
        widen, kept = _split(unfolded, metric, rank[0])
        flat = kernel.reshape(outputs, -1)
        spread = flat @ second @ flat.T
        components = np.linalg.eigh(spread)[1][:, ::-1][:, : rank[1]]
        core = kept.reshape(-1, outputs, height, width)
        core = np.einsum("oa,boyx->abyx", components, core, optimize=True)
        return np.ascontiguousarray(components), core, np.ascontiguousarray(widen.T)

    def truncated(self, factors: Factors, rank: Rank) -> Factors:
        """The first vectors on both sides."""
        last, core, first = factors
        return last[:, : rank[1]], core[: rank[1], : rank[0]], first[: rank[0]]

    def kernels(self, factors: Factors) -> list[Matrix]:
        """1 x 1, k x k, 1 x 1."""
        last, core, first = factors
        return [first[:, :, None, None], core, last[:, :, None, None]]


class DepthwisePointwise(Form):
    """A few depthwise kernels for each input channel, then a 1 x 1."""

    name = "depthwise_pointwise"
    about = "depthwise and 1 x 1"
    subscripts = "oti,tiyx->oiyx"
    ranked = "t"

    def ranks(self, layer: LayerSignature, multiple: int, most: int) -> list[Rank]:
        """Terms; they are whole inputs already, whatever the `multiple`, and few."""
        del multiple, most
        taps = layer.kernel[0] * layer.kernel[1]
        return [(terms,) for terms in range(1, min(taps, layer.outputs))]

    def chain(self, layer: LayerSignature, rank: Rank) -> Chain:
        """The repeated input, one kernel for each of its channels, and 1 x 1."""
        return layer_signatures.depthwise_pointwise(layer, *rank)

    def start(self, kernel: Matrix, second: Matrix, rank: Rank) -> Factors:
        """Singular vectors of each input channel's kernels, in the metric of its patches."""
        outputs, inputs, height, width = kernel.shape
        taps = height * width
        blocks = second.reshape(inputs, taps, inputs, taps)
        points, kernels = [], []
        for i in range(inputs):
            matrix = kernel[:, i].reshape(outputs, taps).T
            left, right = _split(matrix, blocks[i, :, i], rank[0])
            kernels.append(left.T.reshape(-1, height, width))
            points.append(right.T)
        return np.stack(points, axis=2), np.stack(kernels, axis=1)

    def truncated(self, factors: Factors, rank: Rank) -> Factors:
        """The first terms."""
        return factors[0][:, : rank[0]], factors[1][: rank[0]]

    def kernels(self, factors: Factors) -> list[Matrix]:
        """Depthwise kernels in the order of the repeated input, and 1 x 1."""
        points, kernels = factors
        terms, inputs, height, width = kernels.shape
        depthwise = kernels.reshape(terms * inputs, 1, height, width)
        return [depthwise, points.reshape(len(points), terms * inputs)[:, :, None, None]]


FORMS: Mapping[str, Form] = {
    form.name: form for form in (SpatialSvd(), SpatialSvdRows(), Tucker2(), DepthwisePointwise())
}
CHOICES: Mapping[str, tuple[str, ...]] = {
    "spatial_svd": ("spatial_svd", "spatial_svd_rows"),
    "tucker2": ("tucker2",),
    "depthwise_pointwise": ("depthwise_pointwise",),
    "best": tuple(FORMS),
}
"""What a recipe calls a form -> the forms that it lets a layer choose from."""


def _split(matrix: Matrix, metric: Matrix, rank: int) -> tuple[Matrix, Matrix]:
    """Matrix (m, n) ~ left (m, rank) @ right (rank, n), best where x' metric x weighs the rows."""
    root = _root(np.asarray(metric, np.float64))
    weighed = root.T @ matrix
    powers, vectors = np.linalg.eigh(weighed @ weighed.T)  # a third of the time of an SVD
    u = vectors[:, ::-1][:, :rank]
    scale = np.maximum(powers[::-1][:rank], 1e-30) ** 0.25
    left = np.linalg.solve(root.T, u * scale)
    return np.asarray(left), np.asarray(u.T @ weighed / scale[:, None])


def _root(metric: Matrix) -> Matrix:
    """L with L L' = metric, made definite."""
    size = len(metric)
    floor = FLOOR * float(np.trace(metric)) / size + 1e-12
    return np.asarray(np.linalg.cholesky(metric + floor * np.eye(size)))
