"""How far the student is from its teacher: in the answers and, where they can be compared, inside.

- outputs: ||s - t||^2 / ||t - mean(t)||^2; and, for outputs (N, classes), the Kullback-Leibler
  divergence of the softened classes, T^2 KL(softmax(t / T) || softmax(s / T)).
- features of the same shape: ||s - t||^2 / ||t||^2.
- features that differ in one axis, as after pruning: the same of their attention maps, the mean of
  the squares over that axis, scaled to length 1.

Source: Hinton et al. 2015, arXiv:1503.02531; Kim et al. 2021, arXiv:2105.08919; Romero et al. 2015,
arXiv:1412.6550; Zagoruyko and Komodakis 2017, arXiv:1612.03928.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from core.compress.distill.operators import Tensor

TEMPERATURE = 2.0
TINY = 1e-12


def outputs(student: Mapping[str, Tensor], teacher: Mapping[str, Tensor]) -> Tensor:
    """The loss of all float outputs, one number; the mappings have the same names."""
    return sum(_output(student[name], teacher[name]) for name in teacher)


def features(
    student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], names: Iterable[str]
) -> Tensor | float:
    """The mean loss of the named features; 0 if there are none."""
    found = [_feature(student[name], teacher[name]) for name in names]
    return sum(found) / len(found) if found else 0.0


def comparable(student: Tensor, teacher: Tensor) -> bool:
    """Whether two features differ in no axis, or in one that can be averaged over."""
    if student.dim() != teacher.dim() or student.dim() < 3:
        return False
    if (axis := _differing(student, teacher)) is not None:
        return axis > 0 and student.dim() == 4
    if student.shape != teacher.shape:
        return False
    return float(_relative(student, teacher)) < 1.0  # not another tensor under the same name


def _output(student: Tensor, teacher: Tensor) -> Tensor:
    distance = ((student - teacher) ** 2).mean() / (teacher.var(correction=0) + TINY)
    if teacher.dim() != 2 or teacher.shape[1] < 2:
        return distance
    wanted, given = _log_classes(teacher), _log_classes(student)
    divergence = (wanted.exp() * (wanted - given)).sum(1).mean()
    return distance + TEMPERATURE**2 * divergence


def _log_classes(output: Tensor) -> Tensor:
    """Softened log-probabilities, of logits as of what a softmax left."""
    total = output.detach().sum(1)
    done = bool((output >= 0).all()) and bool(((total - 1).abs() < 1e-3).all())
    logits = (output + TINY).log() if done else output
    return (logits / TEMPERATURE).log_softmax(1)


def _feature(student: Tensor, teacher: Tensor) -> Tensor:
    axis = _differing(student, teacher)
    if axis is None:
        return _relative(student, teacher)
    return _relative(_attention(student, axis), _attention(teacher, axis))


def _differing(student: Tensor, teacher: Tensor) -> int | None:
    pairs = zip(student.shape, teacher.shape, strict=True)
    axes = [axis for axis, (one, other) in enumerate(pairs) if one != other]
    return axes[0] if len(axes) == 1 else None


def _relative(student: Tensor, teacher: Tensor) -> Tensor:
    return ((student - teacher) ** 2).sum() / ((teacher**2).sum() + TINY)


def _attention(feature: Tensor, axis: int) -> Tensor:
    energy = (feature**2).mean(axis).flatten(1)
    return energy / (energy.norm(dim=1, keepdim=True) + TINY)
