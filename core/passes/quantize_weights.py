"""Store weights in 8, 4 or 3 bits; everything is still computed in float.

w ~ scale * q with one scale per output channel. Each layer's outputs are kept, not its weights:
scales by the error weighted with the inputs' power, rounding by GPTQ, then the mean shift that is
left goes into the bias, layer after layer. `bits` is the least that a layer gets: what room a file
of the asked size leaves goes to the layers that lose most, as measured (`bit_allocation`).
Without images nothing is known of that: the weights are rounded to nearest, and the first and the
last layer keep 8 bits.

The file shrinks; time does not. The two ways to store codes: `core.compress.quantization.packing`.
Scales per block of inputs were left out: blocks of 32 cost 0.5 to 1 bit a weight and leave 0.6 of
the squared error, where a fifth bit costs 1.3 and leaves 0.27 (SqueezeNet, ResNet, MobileNet).

Source: Frantar et al. 2022, arXiv:2210.17323; Nagel et al. 2019, arXiv:1906.04721, section 4.2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from core import graph as graphs
from core.calibration.services import NoServices, Services
from core.compress.quantization import bias_correction, gptq, gptq_sequential, shared_weights
from core.compress.quantization.evaluator import Evaluator, headless
from core.compress.quantization.images import CalibrationSplit
from core.compress.quantization.mixed_precision import bit_allocation
from core.compress.quantization.needs import of_a_repair
from core.compress.quantization.packing import LIMITS, OPSETS, WIDTHS, stored_bytes
from core.compress.quantization.partition import is_weighted, weights_only
from core.compress.quantization.prepare import prepared, refuse_sequences
from core.compress.quantization.qdq_writer import QuantizationPlan, written
from core.compress.quantization.qparams import Weight
from core.compress.refit.linear_layers import Layer
from core.compress.refit.needs import Needs, Workload, of_a_run
from core.compress.refit.transposed_convolution import layer_of, refusal
from core.errors import PassPrecondition
from core.graph.operators import is_quantized
from core.passes.base import SIZE, Gentler, Graph, Pass, Report, Tries, adopt, parameter
from core.records import LayerEffect, Note

CORRECTION_IMAGES = 32
SIZES = {"8": 1.0, "4": 0.2, "3": 0.15}  # of the file, where none is asked for
LARGEST_BITS = 8
LISTED = 6
SMALLEST = 256  # elements; below that scales and nodes weigh more than what is saved


@dataclass(frozen=True)
class QuantizeWeights(Pass):
    """Weights of 8, 4 or 3 bits for a small file."""

    label: ClassVar[str] = "Quantize weights only"
    help: ClassVar[str] = (
        "Stores weights in few bits: the file shrinks to a quarter or as little as a seventh. The "
        "model computes in float, so it is no faster. OpenCV's classic engine reads 8 bits alone."
    )
    gives: ClassVar[str] = (
        "weights of 8, 4 or 3 bits, more where a layer loses most, in a file of a given size"
    )
    limits: ClassVar[str] = "computes in float: no time is gained"
    order: ClassVar[int] = 75
    for_size: ClassVar[bool] = True
    family: ClassVar[str] = "Precision"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "int4 weights": {"bits": "4"},
        "int8 weights": {"bits": "8"},
        "int3 weights": {"bits": "3"},
    }
    presets_say: ClassVar[Mapping[str, str]] = {
        "int4 weights": "About a fifth of the file: weights of 4 bits, more where a layer would "
        "lose most. No faster.",
        "int8 weights": "About a quarter of the file: weights of 8 bits, arithmetic in float. No "
        "faster.",
        "int3 weights": "About a seventh of the file: weights of 3 bits, more where a layer would "
        "lose most. No faster.",
    }
    pays: ClassVar[Mapping[str, Tries]] = {SIZE: ({"bits": "8"}, {"bits": "4"})}

    bits: str = parameter(
        "4",
        "Bits",
        "Of a weight, at least: where the file has room, the layers that lose most get more.",
        choices=("8", "4", "3"),
    )
    size: float = parameter(
        0.0,
        "Largest file",
        "How large the file may become, as a share of the float file: up to there the layers that "
        "lose most get more bits. 0 % stands for 20 % with 4 bits and 15 % with 3. Needs "
        "calibration images.",
        low=0.0,
        high=1.0,
        step=0.05,
        only_with=("bits", ("4", "3")),
    )
    store: str = parameter(
        "packed",
        "Stored",
        "packed: unpacked while the model loads, then as fast as before. dequantize: standard "
        "types that other tools read (8 and 4 bits), unpacked anew for each run.",
        choices=("packed", "dequantize"),
        expert=True,
    )
    rounding: str = parameter(
        "gptq",
        "Rounding",
        "gptq keeps each layer's outputs and needs calibration images; nearest needs none.",
        choices=("gptq", "nearest"),
        expert=True,
    )
    correct_bias: bool = parameter(
        True, "Correct biases", "Adds back what rounding shifts on average.", expert=True
    )
    edges: bool = parameter(
        True,
        "Edges at 8 bits",
        "First and last layer keep 8 bits where no images tell what is sensitive.",
        expert=True,
    )
    exclude: tuple[str, ...] = parameter(
        (), "Leave alone", "Names of layers that stay float.", expert=True
    )

    def requires(self, graph: Graph) -> None:
        """Refuse what is quantized already or holds no float32 weights."""
        if self.bits == "3" and self.store == "dequantize":
            raise PassPrecondition("ONNX has no 3-bit type; store 3 bits packed, or take 4.")
        if is_quantized(graph):
            raise PassPrecondition("The model is already quantized. Start from the float model.")
        refuse_sequences(graph)
        if not any(is_weighted(node) for node in graph.graph):
            raise PassPrecondition(
                "The model has no convolution or fully connected layer with float32 weights."
            )

    def gentler(self) -> Iterator[Gentler]:
        """More bits."""
        for bits in sorted(SIZES, key=int):
            if int(bits) > int(self.bits):
                yield Gentler(replace(self, bits=bits))

    def apply(self, graph: Graph, report: Report, services: Services) -> None:
        """Round, correct, write."""
        source = prepared(graph, OPSETS[self.store], integers=False)
        judged = headless(source)
        layers = self._layers(judged, report)
        if not layers:
            report.note(Note.of("nothing_to_quantize"))
            return
        images = CalibrationSplit(services) if services.count else None
        if images is None:
            report.note(Note.of("weights.no_images"))
            plan = self._nearest(layers, self._edged(layers))
        else:
            room = self._room(source, layers, len(graphs.serialize(graph)), report)
            bits = self._bits(judged, layers, images, room, report)
            report.tell("Rounding, layer after layer", 0.5)
            plan = self._repaired(judged, self._nearest(layers, bits), layers, images, report)
        adopt(graph, written(source, plan))
        report.changed = len(layers)
        self._say_widths(plan, report)

    def needs(self, graph: Graph, work: Workload) -> Needs:
        """As a repair needs; without images only copies of the weights are made."""
        return of_a_repair(graph, work) if work.images else of_a_run(graph, work)

    def preview(self, graph: Graph, report: Report) -> bool:
        """As `apply` without images; with them, what room is left goes to more bits."""
        self.apply(graph, report, NoServices())
        return self.bits == "8"

    def _nearest(self, layers: Mapping[str, Layer], bits: Mapping[str, int]) -> QuantizationPlan:
        heads = shared_weights.firsts(layer.node for layer in layers.values())
        own = {name for name, head in heads.items() if name == head}
        made = {name: self._quantized(layers[name], bits[name]) for name in layers if name in own}
        weights = {
            n: shared_weights.like(made[heads[n]], layers[heads[n]], layers[n]) for n in layers
        }
        return QuantizationPlan(weights_only([*layers]), {}, weights)

    def _edged(self, layers: Mapping[str, Layer]) -> dict[str, int]:
        names = list(layers)
        edges = {names[0], names[-1]} if self.edges else set[str]()
        edges |= shared_weights.completed(edges, [layer.node for layer in layers.values()])
        return {name: 8 if name in edges else int(self.bits) for name in names}

    def _bits(
        self,
        judged: Graph,
        layers: Mapping[str, Layer],
        images: CalibrationSplit,
        room: int,
        report: Report,
    ) -> dict[str, int]:
        """Layer -> bits: what loses least in so many bytes on top of the smallest file."""
        low, gptq = int(self.bits), self.rounding == "gptq"
        if low == LARGEST_BITS or room <= 0:
            return dict.fromkeys(layers, low)
        report.tell("How sensitive each layer is", 0.0)
        errors = bit_allocation.sensitivities(
            judged, layers, images,
            lambda _, layer, second: self._quantized(layer, low, second if gptq else None),
        )  # fmt: skip
        report.effects += [LayerEffect((name,), f"int{low}", e) for name, e in errors.items()]
        offered = [bits for bits in WIDTHS[self.store] if bits >= low]
        heads = shared_weights.firsts(layer.node for layer in layers.values())
        summed = dict.fromkeys(heads.values(), 0.0)  # layers that share a weight store it once
        for name, error in errors.items():
            summed[heads[name]] += error
        sizes = {
            name: {b: stored_bytes(layers[name].weight.size, b, self.store) for b in offered}
            for name in summed
        }
        chosen = bit_allocation.allocate(summed, sizes, room)
        bits = {name: chosen[heads[name]] for name in layers}
        ranked = sorted(errors, key=lambda name: -errors[name])
        listed = [(name, errors[name], bits[name]) for name in ranked[:LISTED]]
        report.note(Note.of("weights.alone", bits=low, layers=listed))
        return bits

    def _room(
        self, source: Graph, layers: Mapping[str, Layer], float_bytes: int, report: Report
    ) -> int:
        """Bytes that the asked size leaves when every layer has the fewest bits."""
        plan = self._nearest(layers, dict.fromkeys(layers, int(self.bits)))
        biased = {n: replace(w, bias=layers[n].bias()) for n, w in plan.weights.items()}
        smallest = len(graphs.serialize(written(source, replace(plan, weights=biased))))
        allowed = self.size or SIZES[self.bits]
        if smallest > allowed * float_bytes:
            share = smallest / float_bytes
            report.note(Note.of("weights.no_room", bits=self.bits, share=share, allowed=allowed))
        return int(allowed * float_bytes) - smallest

    def _quantized(
        self, layer: Layer, bits: int, second: NDArray[np.float64] | None = None
    ) -> Weight:
        weight = gptq.quantized(layer, LIMITS[bits], True, second, None, bits)
        return replace(weight, packed=self.store == "packed")

    def _repaired(
        self,
        judged: Graph,
        plan: QuantizationPlan,
        layers: Mapping[str, Layer],
        images: CalibrationSplit,
        report: Report,
    ) -> QuantizationPlan:
        """The best of the plans that the parameters allow, by the error on held-out images."""
        evaluator, names = Evaluator(judged, images), list(layers)
        bits = {name: weight.bits for name, weight in plan.weights.items()}
        trials = {"nearest": plan}
        if self.correct_bias:
            trials["bias"] = bias_correction.corrected(
                judged, plan, layers, images, CORRECTION_IMAGES
            )
        if self.rounding == "gptq":
            found = gptq_sequential.rounded(
                judged, names, images, lambda n, layer, s: self._quantized(layer, bits[n], s)
            )
            trials["gptq"] = replace(plan, weights=found)
        errors = {how: evaluator.error(written(judged, trial)) for how, trial in trials.items()}
        report.note(Note.of("weights.trials", images=evaluator.images, errors=[*errors.items()]))
        return trials[min(errors, key=lambda how: errors[how])]

    def _say_widths(self, plan: QuantizationPlan, report: Report) -> None:
        """How many layers hold how many bits, and how many that is for a weight on average."""
        layers, elements, total = Counter[int](), 0, 0
        for weight in plan.weights.values():
            layers[weight.bits] += 1
            elements += weight.codes.size
            total += weight.bits * weight.codes.size
        report.note(Note.of(
            "weights.widths", layers=len(plan.weights), packed=self.store == "packed",
            widths=sorted(layers.items()), mean=total / elements,
        ))  # fmt: skip

    def _layers(self, graph: Graph, report: Report) -> dict[str, Layer]:
        """Node name -> layer, for those that are worth it."""
        found = {}
        for node in graph.graph:
            name = node.name or ""
            transposed = node.op_type == "ConvTranspose"
            why = refusal(node) if transposed else None
            if why:
                report.skip(name, Note.of("weights.unknown_layer", why=why))
            if why or not (transposed or is_weighted(node)):
                continue
            layer = layer_of(node)
            if name in self.exclude:
                report.skip(name, Note.of("as_asked"))
            elif layer.weight.size < SMALLEST:
                report.skip(name, Note.of("weights.too_small", elements=layer.weight.size))
            else:
                found[name] = layer
        return found


PASS = QuantizeWeights
