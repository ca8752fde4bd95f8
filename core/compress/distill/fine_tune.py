"""Move a student towards its teacher for some minutes, and keep the best of where it was.

Adam on the distance of outputs and features (`losses`), over bent and mixed images (`augment`);
the rate warms up and falls by a cosine. Where none is given, a few rates are each tried for a
small share of the time and the one of the lowest loss on held-out images is taken. Those images,
never trained on, also choose the state that is kept: the start included, so a fine-tune that helps
nothing changes nothing.

Batch norms may normalise by the batch while float weights train, which finds the way back faster
after a deep cut, and are then given the statistics of the images, unbent, before every look; a
trial decides. Where weights are rounded they keep their statistics, which would wander with every
weight that changes its level.

Source: Loshchilov and Hutter 2019, arXiv:1711.05101; Hinton et al. 2015, arXiv:1503.02531.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from core.compress.distill import losses, norms
from core.compress.distill.augment import Augment
from core.compress.distill.images import Batch, TrainingImages
from core.compress.distill.operators import Array, Tensor
from core.compress.distill.student import Student

Teacher = Callable[[dict[str, Array]], Mapping[str, Array]]
Tell = Callable[[str, float], None]
RATES = (1e-4, 3e-4, 1e-3, 3e-3)
TRIAL = 0.04  # of the time, for each rate
WARM_UP = 0.03
LOOKS = 12  # at the held-out images
RANGES_FROZEN = 0.5  # of the time, after which activation ranges stay
CLIP = 5.0
BATCH = 64
NORM_BATCHES = 16
LIVE_BATCH = 16  # the fewest images whose statistics a batch norm may normalise by
STEP_BYTES = 256 << 20  # of activations that a step may hold
ROUNDED = 4.0  # times the bytes of an activation that is rounded: what its gradient needs


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """How long and how to train.

    Attributes:
        seconds: wall time.
        steps: optimizer steps instead, where not 0: the same ones on every machine.
        rate: the peak learning rate; 0 finds one.
        seed: of everything random.
    """

    seconds: float = 300.0
    steps: int = 0
    rate: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it: losses on the held-out images, before and at the best state."""

    before: float
    after: float
    steps: int
    rate: float
    seconds: float
    images: int
    features: int


@dataclass
class Training:
    """One student, its teacher, its images; `run` does the work."""

    student: Student
    teacher: Teacher
    images: TrainingImages
    outputs: Sequence[str]
    features: Sequence[str]
    plan: TrainingPlan
    tell: Tell = lambda message, share: None
    _live: bool = False  # whether batch norms normalise by the batch
    _steps: int = 0
    _best: float = math.inf
    _kept: Any = None
    _answers: list[Mapping[str, Tensor]] = field(default_factory=list)

    def run(self) -> Result:
        """Train, and leave the student in its best state.

        Raises:
            UnsupportedModel: an operator that training does not know, by its name.
        """
        import torch

        torch.manual_seed(self.plan.seed)
        torch.set_flush_denormal(True)
        torch.set_num_threads(os.cpu_count() or 1)
        self._torch: Any = torch
        self._random = torch.Generator().manual_seed(self.plan.seed)
        self._augment = Augment(self.images.train, self.plan.seed)
        self._begun = time.monotonic()
        before = self._prepare()
        rate = self._search()
        self._train(rate, self._rest())
        self.student.restore(self._kept)
        return Result(
            before,
            self._best,
            self._steps,
            rate,
            time.monotonic() - self._begun,
            self.images.count,
            len(self.features),
        )

    def _rest(self) -> TrainingPlan:
        """What the search for a rate left of the plan."""
        spent = time.monotonic() - self._begun
        steps = max(1, self.plan.steps - self._steps) if self.plan.steps else 0
        return replace(self.plan, seconds=max(self.plan.seconds - spent, 0.1), steps=steps)

    def _prepare(self) -> float:
        """Ask the teacher, choose features and the batch size, look at the start: its loss."""
        self._micro, self._repeats = self._batch_size()
        for batch in self.images.batches(self._micro, held_out=True):
            self._answers.append(self._ask(batch, self.outputs))
        with self._torch.no_grad():
            batch = next(self.images.batches(self._micro))
            self.features = self._comparable(batch)
            for batch in self.images.batches(self._micro):
                if not self.student.activation_grids:
                    break
                self.student.network(batch, self.outputs)
        self._look(0.0)
        before = self._best
        if self.student.norms:
            self._measure_norms()
            self._look(0.0)
            self.student.restore(self._kept)
        return before

    def _measure_norms(self) -> None:
        batches = itertools.islice(self.images.batches(self._micro), NORM_BATCHES)
        norms.measure(self.student.network, batches, self.outputs[-1])

    def _batch_size(self) -> tuple[int, int]:
        """(images at a time, how often for one step), by what their activations weigh."""
        first = next(self.images.batches(self.images.fixed or 1))
        size = len(next(iter(first.values())))
        weight = self.student.network.weigh(first) / size
        weight *= ROUNDED if self.student.activation_grids else 1.0
        most = self.images.fixed or int(max(1, min(BATCH, STEP_BYTES / max(weight, 1))))
        return most, max(1, round(BATCH / 2 / most))

    def _comparable(self, batch: Batch) -> list[str]:
        wanted = self._ask(batch, self.features)
        given = self.student.network(batch, self.features)
        return [name for name in self.features if losses.comparable(given[name], wanted[name])]

    def _ask(self, batch: Batch, names: Sequence[str]) -> dict[str, Tensor]:
        answers = self.teacher({name: x.numpy() for name, x in batch.items()})
        return {name: self._torch.from_numpy(np.ascontiguousarray(answers[name])) for name in names}

    def _search(self) -> float:
        """The rate, and how batch norms normalise, under which a short trial leads furthest."""
        rates = (self.plan.rate,) if self.plan.rate else RATES
        micro_is_enough = min(self._micro, self.images.count) >= LIVE_BATCH
        live = bool(self.student.norms and micro_is_enough and not self.student.weight_grids)
        if len(rates) == 1 and not live:
            return rates[0]
        start = self._kept
        found = {rate: self._trial(rate, live, start) for rate in rates}
        best = min(found, key=lambda rate: found[rate])
        self._live = live and found[best] <= self._trial(best, False, start)
        self.student.restore(start)
        return best

    def _trial(self, rate: float, live: bool, start: Any) -> float:
        """The loss that a short training from `start` leads to."""
        self.student.restore(start)
        self._live = live
        steps = math.ceil(self.plan.steps * TRIAL)
        return self._train(
            rate, replace(self.plan, seconds=self.plan.seconds * TRIAL, steps=steps), looks=1
        )

    def _train(self, rate: float, plan: TrainingPlan, looks: int = LOOKS) -> float:
        """Train for as long as `plan` says; the loss at the end."""
        optimizer = self._torch.optim.AdamW(
            self.student.parameters(), lr=rate, weight_decay=0.0, fused=True
        )
        begun, steps, looked, loss = time.monotonic(), 0, 0, math.inf
        while True:
            share = (
                steps / plan.steps if plan.steps > 0 else (time.monotonic() - begun) / plan.seconds
            )
            if share >= (looked + 1) / looks or share >= 1:
                looked = math.floor(share * looks)
                if self._live:
                    self._measure_norms()
                loss = self._look(min(share, 1.0) if looks > 1 else 0.0)
            if share >= 1:
                return loss
            if looks > 1:
                self.student.freeze_ranges(share > RANGES_FROZEN)
            for group in optimizer.param_groups:
                warm = min(1.0, (share + 1e-3) / WARM_UP)
                group["lr"] = rate * warm * 0.5 * (1 + math.cos(math.pi * share))
            self._step(optimizer)
            steps += 1

    def _step(self, optimizer: Any) -> None:
        optimizer.zero_grad()
        for _ in range(self._repeats):
            batch = self._augment(self.images.draw(self._micro, self._random))
            names = [*self.outputs, *self.features]
            wanted = self._ask(batch, names)
            self.student.network.norms_by_batch = self._live
            given = self.student.network(batch, names)
            self.student.network.norms_by_batch = False
            loss = losses.outputs(given, {name: wanted[name] for name in self.outputs})
            loss = loss + losses.features(given, wanted, self.features)
            (loss / self._repeats).backward()
        self._torch.nn.utils.clip_grad_norm_(self.student.parameters(), CLIP)
        optimizer.step()
        self._steps += 1

    def _look(self, share: float) -> float:
        """Judge by the held-out images, and keep the state if it is the best so far."""
        loss = self._loss()
        if loss < self._best or self._kept is None:
            self._best, self._kept = loss, self.student.state()
        trying = "" if share else "trying learning rates: "
        self.tell(f"{trying}distance to the original {loss:.3f}, best {self._best:.3f}", share)
        return loss

    def _loss(self) -> float:
        self.student.freeze_ranges()
        total, count = 0.0, 0
        with self._torch.no_grad():
            batches = self.images.batches(self._micro, held_out=True)
            for batch, answers in zip(batches, self._answers, strict=True):
                size = len(next(iter(batch.values())))
                given = self.student.network(batch, self.outputs)
                total += float(losses.outputs(given, answers)) * size
                count += size
        self.student.freeze_ranges(False)
        found = total / count
        return found if math.isfinite(found) else math.inf
