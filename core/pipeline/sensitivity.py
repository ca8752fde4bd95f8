"""What pruning would cost a model, group by group, before anything is pruned.

How much error the answers bear: an error e of the logits, relative to their variance, is drawn as
noise on those that the calibration images gave; the share of images whose first class stays is the
agreement. Accuracy falls by at most what agreement falls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from core.analysis.decisions import ALONG, Decision, decisions, undecided
from core.calibration.services import Services, Tensors
from core.compress.pruning.group_sensitivity import of_classes
from core.compress.pruning.study import TRIED_IMAGES, study
from core.compress.refit.telling import Tell, silent
from core.data.zoomed import seems_familiar, zoomed
from core.graph import Graph
from core.records import LayerEffect, Sensitivity

IMAGES = 256  # whose outputs say how much error an answer bears
LARGEST = 1 << 20  # elements of these outputs: a map of classes is large, and each place an answer
LEAST_IMAGES = 4
DRAWS = 20
Labels = np.ndarray
ERRORS = tuple(float(e) for e in np.geomspace(1e-4, 10.0, 16))


def sensitivity(
    graph: Graph,
    services: Services,
    labels: Labels | None = None,
    tell: Tell = silent,
) -> Sensitivity:
    """Measure each group at each depth alone, and how much error the answers bear.

    Args:
        graph: the model that would be cut.
        services: calibration images.
        labels: the class of each of them, in their order, if it is known.
        tell: hears what is done, and what share of all.

    Raises:
        CoreError: the images do not fit the model, or it does not run.
    """
    learnt = study(graph, services)
    learnt.tell = tell
    if labels is not None:
        learnt.labels = _labels_of(learnt.some_feeds(TRIED_IMAGES), services, labels)
    free = [group for group in learnt.channels.groups if not group.frozen]
    effects = [
        LayerEffect(
            group.layers,
            f"{effect.removed / effect.channels:.0%}",
            effect.error,
            effect.agreement,
            effect.removed / effect.channels,
            effect.accuracy_lost,
        )
        for group, found in learnt.effects(learnt.rankings(free)).items()
        for effect in found.values()
    ]
    learnt.tell = silent  # the study is remembered for others, who are not listened to here
    tolerance, familiar = _tolerance(graph, services, labels)
    return Sensitivity(tuple(effects), tolerance, familiar)


def _labels_of(tried: Sequence[Tensors], services: Services, labels: Labels) -> Labels | None:
    """The classes of some of the images, which are recognised by what they hold."""
    known: dict[int, int] = {}
    seen = 0
    for feeds in services.feeds():
        rows = _marks(feeds)
        known |= dict(zip(rows, labels[seen : seen + len(rows)].tolist(), strict=True))
        seen += len(rows)
    found = [known.get(mark) for feeds in tried for mark in _marks(feeds)]
    return None if None in found else np.array(found, np.int64)


def _marks(feeds: Tensors) -> list[int]:
    """A number for each sample of a batch."""
    count = min(len(values) for values in feeds.values())
    return [hash(tuple(v[i].tobytes() for v in feeds.values())) for i in range(count)]


def _tolerance(
    graph: Graph, services: Services, labels: Labels | None
) -> tuple[tuple[tuple[float, float], ...], bool]:
    """How many answers stay under so much error; nothing where the outputs are no classes.

    The noise goes where the network decides, in front of a Softmax, Sigmoid or NMS: probabilities
    near 0 and 1 would bear far more of it than the logits behind them.

    Returns:
        (error, percent) by error; whether the network seems to know the images, so that these are
        of copies that it does not know.
    """
    found = decisions(graph)
    if not found:
        return (), False
    deciding, name = found[0], found[0].value.name or ""
    bare = undecided(graph)
    outputs = _outputs(services.activations(bare, [name]), name)
    if answers(outputs, deciding) is None:
        return (), False
    familiar = _seem_familiar(outputs, labels)
    if familiar:
        run = services.runner(bare, [name])
        copies = _outputs((run(feeds) for feeds in _copies(services.feeds())), name)
        familiar = len(copies) > 0
    shown, power = (copies if familiar else outputs), _variance(outputs)
    return tuple((e, agreement(shown, e, deciding, power)) for e in ERRORS), familiar


def _outputs(batches: Iterable[Tensors], name: str) -> np.ndarray:
    """Of the first images, as many as are worth it; (0,) if there are none."""
    rows: list[np.ndarray] = []
    for values in batches:
        rows.append(values[name])
        size = rows[0][:1].size
        if sum(map(len, rows)) >= min(IMAGES, max(LARGEST // size, LEAST_IMAGES)):
            break
    return np.concatenate(rows).astype(np.float64) if rows else np.zeros(0)


def _copies(batches: Iterable[Tensors]) -> Iterator[Tensors]:
    """Each batch enlarged; none where an input is no image."""
    for feeds in batches:
        copies = zoomed(feeds)
        if copies is None:
            return
        yield copies


def _seem_familiar(outputs: np.ndarray, labels: Labels | None) -> bool:
    """Whether the network answers as if it had been trained on these images."""
    scores = of_classes(outputs)
    if scores is None:
        return False
    powers = np.exp(scores - scores.max(1, keepdims=True))
    confidence = float((powers.max(1) / powers.sum(1)).mean())
    right = None
    if labels is not None and len(labels) >= len(scores):
        right = float(np.mean(scores.argmax(1) == labels[: len(scores)]))
    return seems_familiar(confidence, right, len(scores))


def answers(outputs: np.ndarray, deciding: Decision | None = None) -> np.ndarray | None:
    """What the network says of each image; None if that is no class.

    Of a classifier the class of the largest score, of a single logit its sign, of dense scores
    behind a Softmax the class at each place, of boxes the class of the best one.

    Args:
        outputs: logits, (images, ...).
        deciding: what is known of that tensor.
    """
    scores = of_classes(outputs)
    if scores is not None:
        return np.asarray(scores.argmax(1))
    axis, squashed = (deciding.axis, deciding.squashed) if deciding else (None, "")
    if outputs[:1].size == 1:
        return np.asarray(outputs.reshape(-1) > 0) if squashed else None
    if axis is None or axis % outputs.ndim == 0:
        return None
    if squashed in ALONG:
        return np.asarray(outputs.argmax(axis))
    best = np.unravel_index(outputs.reshape(len(outputs), -1).argmax(1), outputs.shape[1:])
    return np.asarray(best[axis % outputs.ndim - 1])


def _variance(outputs: np.ndarray) -> float:
    """Over the images, the mean of all outputs."""
    return float(np.mean((outputs - outputs.mean(0)) ** 2))


def agreement(
    outputs: np.ndarray,
    error: float,
    deciding: Decision | None = None,
    variance: float | None = None,
) -> float:
    """Percent of answers that stay the same under noise of this relative error.

    Args:
        outputs: logits, (images, ...).
        error: of the noise, relative to a variance.
        deciding: what is known of that tensor.
        variance: what the error is relative to; None: that of the outputs.
    """
    noise = np.sqrt(error * (_variance(outputs) if variance is None else variance))
    random, first = np.random.default_rng(0), answers(outputs, deciding)
    drawn = [
        answers(outputs + noise * random.normal(size=outputs.shape), deciding) == first
        for _ in range(DRAWS)
    ]
    return float(100 * np.mean(drawn))
