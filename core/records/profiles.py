"""Where the time of a model goes, layer by layer, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LayerProfile:
    """One layer as a backend ran it.

    Attributes:
        node: the runtime's own name; unique in a profile.
        name: the layer of the model file that it came from.
        op_type: the runtime's word for the operator.
        kind: what a person calls it ("conv 3x3", "depthwise 3x3", "quantize").
        seconds: median of one call.
        share: of the sum over all layers, 0 to 1.
        precision: what it computed in ("f32", "int8", ...); empty if the runtime does not tell.
        provider: the device or execution provider.
        implementation: the kernel.
        role: "compute", "quantize", "cast", "reorder" or "other".
        macs: of the layer of the file, for one sample.
        channels: of its output; 0 if not known.
        stored_integer: whether the file holds its weights as integers.
        sources: `node`s that it reads from.
    """

    node: str
    name: str
    op_type: str
    kind: str
    seconds: float
    share: float
    precision: str = ""
    provider: str = ""
    implementation: str = ""
    role: str = "compute"
    macs: int = 0
    channels: int = 0
    stored_integer: bool = False
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """Where one candidate spends its time on one backend.

    Attributes:
        candidate: digest of the file.
        backend: `name` or `name:precision`.
        threads: 0 for all cores.
        layers: in the order of running.
        total_s: median wall time of a call with no profiling switched on.
        notes: what the backend could not tell.
        macs, parameters, size_bytes, batch_norms, quantized: of the file.
        zero_share: of the weights, 0 to 1.
        passes: that made the file, as far as they are known.
        busy: whether others had the processor meanwhile, so that calls look longer than layers.
    """

    candidate: str
    backend: str
    threads: int
    layers: tuple[LayerProfile, ...]
    total_s: float
    notes: tuple[str, ...] = ()
    macs: int = 0
    parameters: int = 0
    size_bytes: int = 0
    batch_norms: int = 0
    quantized: bool = False
    zero_share: float = 0.0
    passes: tuple[str, ...] = ()
    busy: bool = False

    @property
    def layers_s(self) -> float:
        """The sum over all layers."""
        return sum(layer.seconds for layer in self.layers)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a candidate is as fast as it is.

    Attributes:
        title: a few words.
        text: what was seen, with its numbers.
        fix: the one switch that changes it; empty where none does.
        gain: whether it made the candidate faster.
    """

    title: str
    text: str
    fix: str = ""
    gain: bool = False


@dataclass(frozen=True, slots=True)
class LayerPair:
    """A layer before and after; None on the side on which there is none."""

    before: LayerProfile | None
    after: LayerProfile | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to "why this speed?" for one candidate on one backend."""

    before: Profile
    after: Profile
    pairs: tuple[LayerPair, ...] = ()
    causes: tuple[Cause, ...] = ()
