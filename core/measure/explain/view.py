"""Two profiles side by side, and what the rules ask of them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from core.backends.base import catalogue
from core.measure.host import FAST_INT8
from core.measure.profile import pairs
from core.records import Cause, Host, LayerPair, LayerProfile, Profile, backend_of

SAME = 0.03  # ratios nearer to 1 than this are no difference
INTEGER = ("int8", "int4", "int16")
WEIGHTED_KINDS = ("conv", "pointwise", "depthwise", "grouped", "transposed", "fully connected")


@dataclass(frozen=True, slots=True)
class Found:
    """A cause and the seconds per call that it stands for: the largest is told first."""

    seconds: float
    cause: Cause


@dataclass(frozen=True)
class View:
    """Before and after, on one host."""

    before: Profile
    after: Profile
    host: Host

    @property
    def ratio(self) -> float:
        """Time of a call, after / before."""
        return self.after.total_s / self.before.total_s if self.before.total_s else 1.0

    @property
    def faster(self) -> bool:
        """Whether a call became clearly shorter."""
        return self.ratio < 1 - SAME

    @property
    def label(self) -> str:
        """What a person calls the backend."""
        name = backend_of(self.after.backend)
        known = catalogue().get(name)
        return known.label if known else name

    @property
    def quantizer(self) -> str:
        """The pass that quantized the candidate; the usual one where that is not known."""
        used = (name for name in self.after.passes if name.startswith("quantize"))
        return next(used, "quantize_int8")

    def excluding(self, layers: Iterable[LayerProfile], most: int = 8) -> str:
        """The switch that leaves layers in float."""
        ranked = sorted(layers, key=lambda layer: -layer.seconds)
        names = ",".join(layer.name for layer in ranked[:most])
        return f"`{self.quantizer} exclude={names}`"

    @functools.cached_property
    def pairs(self) -> tuple[LayerPair, ...]:
        """The layers of both, matched."""
        return pairs(self.before, self.after)

    @functools.cached_property
    def both(self) -> tuple[tuple[LayerProfile, LayerProfile], ...]:
        """Layers that both candidates have."""
        return tuple((p.before, p.after) for p in self.pairs if p.before and p.after)

    @functools.cached_property
    def integer(self) -> tuple[LayerProfile, ...]:
        """Layers of the candidate that really computed in integers."""
        return tuple(x for x in self.after.layers if x.role == "compute" and is_integer(x))

    @functools.cached_property
    def readers(self) -> dict[str, list[LayerProfile]]:
        """Node -> the layers of the candidate that read from it."""
        found: dict[str, list[LayerProfile]] = {}
        for layer in self.after.layers:
            for source in layer.sources:
                found.setdefault(source, []).append(layer)
        return found

    @functools.cached_property
    def nodes(self) -> dict[str, LayerProfile]:
        """The layers of the candidate by node."""
        return {layer.node: layer for layer in self.after.layers}

    def beyond(self, layer: LayerProfile, up: bool) -> Iterator[LayerProfile]:
        """Every layer of the candidate above (`up`) or below this one."""
        waiting, seen = [layer], {layer.node}
        while waiting:
            here = waiting.pop()
            above = (self.nodes[name] for name in here.sources if name in self.nodes)
            for other in above if up else self.readers.get(here.node, ()):
                if other.node not in seen:
                    seen.add(other.node)
                    waiting.append(other)
                    yield other

    def inside(self, layer: LayerProfile) -> bool:
        """Whether integer layers stand both above and below this one."""
        return all(
            any(x.role == "compute" and is_integer(x) for x in self.beyond(layer, up))
            for up in (True, False)
        )

    @property
    def block(self) -> int:
        """Channels that one vector register holds: what kernels work in."""
        return 16 if "AVX-512" in self.host.isa_flags else 8

    @property
    def fast_int8(self) -> bool:
        """Whether the processor multiplies int8 in one instruction."""
        return bool(set(self.host.isa_flags) & FAST_INT8)


def is_integer(layer: LayerProfile) -> bool:
    """Whether a layer computed in integers."""
    return layer.precision in INTEGER


def has_weights(layer: LayerProfile) -> bool:
    """Whether a layer is a convolution or a matrix product."""
    return layer.kind.startswith(WEIGHTED_KINDS)


def seconds(layers: Iterable[LayerProfile]) -> float:
    """Their sum."""
    return sum(layer.seconds for layer in layers)


def ms(value_s: float) -> str:
    """Milliseconds with three digits."""
    return f"{1e3 * value_s:.3g} ms"


def percent(part_s: float, whole_s: float) -> str:
    """A share."""
    return f"{100 * part_s / whole_s:.0f} %" if whole_s else "0 %"


def count(number: int, word: str) -> str:
    """A number with its noun: 1 layer, 3 layers."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def listed(layers: Iterable[LayerProfile], most: int = 3) -> str:
    """The names of the slowest few."""
    ranked = sorted(layers, key=lambda layer: -layer.seconds)
    names = ", ".join(layer.name for layer in ranked[:most])
    return names + (f" and {len(ranked) - most} more" if len(ranked) > most else "")
