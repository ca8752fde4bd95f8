"""What a pass is: a frozen dataclass whose fields are its parameters.

One file of this package is one pass and ends in `PASS = ClassName`; the file name is the pass's
identifier in recipes, on the command line and on the page. A pass knows no other pass, no file
format and no runtime; what it asks of images, runtimes and their clocks goes through
`core.calibration.services.Services`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import onnx_ir as ir

from core.calibration.services import NoServices, Services
from core.catalogue import discover
from core.compress.refit.needs import Needs, Workload, of_a_run
from core.errors import PassPrecondition
from core.graph import constant
from core.graph.values import origin
from core.records import Cut, LayerEffect, Note, Skip, Step, StepReport

Graph = ir.Model
Tries = tuple[Mapping[str, Any], ...]
TIME, SIZE = "time", "size"  # what a pass may gain


@dataclass(frozen=True, slots=True)
class Parameter:
    """How a field of a pass is shown, checked and explained."""

    label: str
    help: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    expert: bool = False
    only_with: tuple[str, tuple[str, ...]] | None = None  # (another field, values): else no effect
    needs_images: tuple[Any, ...] = ()  # values that mean nothing without calibration images
    names: Mapping[str, str] = field(default_factory=dict)  # what a form calls some of the choices


def parameter(default: Any, label: str, help: str, **details: Any) -> Any:
    """A dataclass field that carries its own form: see `Parameter` for `details`."""
    about = {"parameter": Parameter(label, help, **details)}
    return field(default=default, metadata=about)


def parameters(pass_type: type[Pass]) -> dict[str, tuple[Any, Parameter]]:
    """Name -> (default, description) of each parameter of a pass."""
    fields = dataclasses.fields(pass_type)
    return {
        f.name: (f.default, f.metadata["parameter"]) for f in fields if "parameter" in f.metadata
    }


@dataclass
class Report:
    """What a pass writes down while it works."""

    changed: int = 0
    skipped: list[Skip] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    warnings: list[Note] = field(default_factory=list)
    effects: list[LayerEffect] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    progress: Callable[[str, float], None] | None = None

    def skip(self, node: str | None, reason: Note) -> None:
        """Say that `node` was left alone, and why."""
        self.skipped.append(Skip(node or "?", reason))

    def note(self, note: Note) -> None:
        """Tell the user something that holds for the whole pass."""
        self.notes.append(note)

    def warn(self, note: Note) -> None:
        """Tell the user something to know before the result is used; it is said at the download."""
        self.warnings.append(note)

    def tell(self, sentence: str, share: float) -> None:
        """Say, while a pass works for long, where it is: `share` of the whole, 0 to 1."""
        if self.progress:
            self.progress(sentence, share)


@dataclass(frozen=True)
class Gentler:
    """The same pass asked for less, so that less is lost.

    Attributes:
        asked: the pass.
        share: of the channels that go now, how many still go; 1 where none do.
    """

    asked: Pass
    share: float = 1.0


@dataclass(frozen=True)
class Pass(ABC):
    """One way to make a graph smaller or faster.

    Class attributes:
        label: what the switch says.
        help: one line: what it does and when it does not help.
        gives: what it does, in a few words for the README (Markdown).
        limits: when it does not help, likewise.
        order: place in a recipe made by the form (fold before prune before quantize).
        needs_data: whether calibration images are required.
        exact: whether the outputs stay the same but for rounding; the runner holds the pass to it.
        for_size: whether a smaller file is what it is for; the runner undoes it where weights grow.
        family: of passes of which a recipe holds at most one, shown as one control; empty for none.
        without_images: what is lost without calibration images, where a pass can do without.
        few_images: calibration images below which `with_few_images` is said.
        with_few_images: what that leads to; goes on behind "Only 12 calibration images: ".
        presets: what the choices of that control are called -> the parameters that each sets.
        presets_say: the same choices -> one line on what each does, for whoever chooses.
        pays: TIME, SIZE -> parameters that are worth a try by who wants that, the gentlest first;
            `backend` is set by who asks.
        for_integers: parameters that differ where integers follow in the recipe.
        mends: whether it wins back what the steps before it lost.
        answers: codes of advice that it follows -> the parameters with which it does.
    """

    label: ClassVar[str]
    help: ClassVar[str]
    gives: ClassVar[str]
    limits: ClassVar[str]
    order: ClassVar[int] = 50
    needs_data: ClassVar[bool] = False
    exact: ClassVar[bool] = False
    for_size: ClassVar[bool] = False
    family: ClassVar[str] = ""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    presets_say: ClassVar[Mapping[str, str]] = {}
    pays: ClassVar[Mapping[str, Tries]] = {}
    for_integers: ClassVar[Mapping[str, Any]] = {}
    mends: ClassVar[bool] = False
    answers: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    without_images: ClassVar[str] = ""
    few_images: ClassVar[int] = 0
    with_few_images: ClassVar[str] = ""

    @classmethod
    def lacks(cls) -> str:
        """The command that installs what this pass needs and is not here; empty if it can run."""
        return ""

    def requires(self, graph: Graph) -> None:  # noqa: B027 - most passes need nothing
        """Raise PassPrecondition if the pass cannot work on `graph` at all."""

    @abstractmethod
    def apply(self, graph: Graph, report: Report, services: Services) -> None:
        """Rewrite `graph` in place and say in `report` what was done and what was left alone.

        Raises:
            PassPrecondition: found only half-way; the runner discards the graph.
        """

    def preview(self, graph: Graph, report: Report) -> bool:
        """Do without data what changes sizes and costs, for numbers that are exact at once.

        The graph is only counted afterwards, never run. A pass that needs data overrides this if
        the shape of its result does not depend on it.

        Returns:
            Whether the counts are those that `apply` would give.

        Raises:
            PassPrecondition: as `apply`.
        """
        if self.needs_data:
            return False
        self.apply(graph, report, NoServices())
        return True

    def gentler(self) -> Iterator[Gentler]:
        """The same pass asked for ever less; nothing, as here, where there is no less of it."""
        yield from ()

    def timed_in(self) -> str:
        """The arithmetic in which those layers are timed: "f32" or "int8"."""
        return "f32"

    def timed_on(self) -> str:
        """The backend whose measured layer times (`services.timings`) the pass asks for, if any.

        `name` or `name:precision`; empty, as here, for a pass that needs no times.
        """
        return ""

    def integers_on(self) -> str:
        """The backend for whose integer kernels the pass writes; empty where layers stay float."""
        return ""

    def cpu_s(self) -> float:
        """CPU seconds that the pass needs on top of those that every build has."""
        return 0.0

    def needs(self, graph: Graph, work: Workload) -> Needs:
        """Memory for this graph and these images, stated before the work starts.

        As here: copies of the weights and one run to verify the result. A pass that keeps more
        overrides it. The graph is read, never run; it is the one that the step would get.
        """
        return of_a_run(graph, work)

    def step(self) -> Step:
        """This pass as a line of a recipe."""
        known = parameters(type(self))
        return Step(identifier(type(self)), {name: getattr(self, name) for name in known})


def identifier(pass_type: type[Pass]) -> str:
    """The name of the file, or the folder, that a pass lives in."""
    return pass_type.__module__.removeprefix(f"{__package__}.").partition(".")[0]


def lift_constants(graph: Graph) -> None:
    """Turn Constant nodes into initializers, also where Identity nodes stand in between."""
    from onnx_ir.passes import common

    for node in graph.graph:
        for position, value in enumerate(node.inputs):
            source = origin(value)
            if source is not value and constant(source) is not None:
                node.replace_input_with(position, source)
    common.LiftConstantsToInitializersPass(lift_all_constants=False, size_limit=0)(graph)
    common.RemoveUnusedNodesPass()(graph)


def adopt(graph: Graph, other: Graph) -> None:
    """Let `graph` become `other` in place, its own metadata kept; `other` is spent."""
    graph.graph = other.graph
    graph.functions.clear()
    graph.functions.update(other.functions)
    graph.ir_version = other.ir_version


@functools.cache
def catalogue() -> Mapping[str, type[Pass]]:
    """Every pass by its identifier, in the order in which a form lists them."""
    found: dict[str, type[Pass]] = discover("core.passes", "PASS")
    return dict(sorted(found.items(), key=lambda item: (item[1].order, item[0])))


def label(step: Step) -> str:
    """What a person calls the pass of a step; its identifier if there is no such pass."""
    kind = catalogue().get(step.pass_name)
    return kind.label if kind else step.pass_name


def not_applied(report: StepReport) -> str:
    """That a step which was asked for is not in the result, and why, as one sentence."""
    return f"{label(report.step)} was not applied: {report.reverted}"


def build(step: Step) -> Pass:
    """The pass that a step of a recipe names.

    Raises:
        PassPrecondition: no such pass, no such parameter, or a value out of its range.
    """
    kind = catalogue().get(step.pass_name)
    if kind is None:
        raise PassPrecondition(
            f"There is no pass named {_short(step.pass_name)}; known: {', '.join(catalogue())}"
        )
    known = parameters(kind)
    for name, value in step.params.items():
        if name not in known:
            raise PassPrecondition(
                f"{step.pass_name} has no parameter {_short(name)}; it takes: {', '.join(known)}"
            )
        _check(step.pass_name, name, value, *known[name])
    return kind(**{name: _like(known[name][0], value) for name, value in step.params.items()})


_SHORT = 60  # letters of what somebody wrote that an error repeats


def _short(value: Any) -> str:
    """What somebody wrote, as far as an error repeats it."""
    text = repr(value)
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"


def _check(pass_name: str, name: str, value: Any, default: Any, about: Parameter) -> None:
    where = f"{pass_name}.{name} is {_short(value)}"
    if about.choices and not _offered(value, default, about):
        raise PassPrecondition(
            f"{where}; it takes {_takes_of(default)} of: {', '.join(about.choices)}"
        )
    if isinstance(default, bool) != isinstance(value, bool):
        raise PassPrecondition(f"{where}; it takes {_takes(default)}")
    if isinstance(default, tuple) and not _names(value):
        raise PassPrecondition(f"{where}; it takes {_takes(default)}")
    if isinstance(default, int | float) and not isinstance(default, bool):
        _check_number(where, value, default, about)


def _offered(value: Any, default: Any, about: Parameter) -> bool:
    """Whether a value is one of the choices, or a list of some."""
    if isinstance(default, tuple):
        return _names(value) and set(value) <= set(about.choices)
    return value in about.choices


def _takes_of(default: Any) -> str:
    return "any" if isinstance(default, tuple) else "one"


def _takes(default: Any) -> str:
    """What a parameter of this default takes, in words."""
    if isinstance(default, bool):
        return "true or false"
    return "a list of names" if isinstance(default, tuple) else "a number"


def _names(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


def _check_number(where: str, value: Any, default: float, about: Parameter) -> None:
    if not isinstance(value, int | float):
        raise PassPrecondition(f"{where}; it takes {_takes(default)}")
    if isinstance(default, int) and isinstance(value, float) and not value.is_integer():
        raise PassPrecondition(f"{where}; it takes a whole number")
    if abs(value) > sys.float_info.max:
        raise PassPrecondition(f"{where}: a number beyond all measure")
    low = about.low if about.low is not None else -math.inf
    high = about.high if about.high is not None else math.inf
    if not low <= value <= high:
        raise PassPrecondition(f"{where}; it lies between {about.low} and {about.high}")


def _like(default: Any, value: Any) -> Any:
    if isinstance(default, tuple):
        return tuple(value)
    return type(default)(value) if isinstance(default, int | float | str) else value
