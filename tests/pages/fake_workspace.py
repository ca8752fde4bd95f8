"""A Workspace that answers at once, for the states of the page that are hard to bring about."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.devices.local import Progress
from core.devices.local.launch import Check
from core.errors import BackendUnavailable, DataError, InvalidModel, NoSuchRun, StoreError
from core.records import (
    Answer,
    BackendInfo,
    Bookmark,
    Candidate,
    Cause,
    Cut,
    DataSummary,
    Diagnosis,
    Distributions,
    ExperimentSpec,
    Explanation,
    GraphNode,
    Hindsight,
    Histogram,
    Host,
    Json,
    LayerCost,
    LayerPair,
    LayerProfile,
    Live,
    Measurement,
    ModelSummary,
    NextSteps,
    Outcome,
    Package,
    Preprocess,
    Preview,
    Profile,
    Recipe,
    Result,
    Run,
    RunLine,
    RunProgress,
    SampleModel,
    Sensitivity,
    StaircaseQuestion,
    StaircaseState,
    State,
    Status,
    StepReport,
    TensorSpec,
    Topology,
)
from core.records.stored import Room, Upload
from core.records.targets import LOCAL
from core.runs import sample_run
from core.runs.next_steps import next_steps
from core.search.results import results_of
from core.workspace.inputs import PixelTrial

BACKENDS = (
    BackendInfo("onnxruntime", "ONNX Runtime", "CPU", ("f32",), "1.32", "CPU"),
    BackendInfo("openvino", "OpenVINO", "CPU", ("f32", "bf16"), "2026.4", "CPU"),
    BackendInfo("opencv", "OpenCV", "CPU", ("f32",), "5.0", "CPU"),
    BackendInfo(
        *("ncnn", "ncnn", "CPU", ("f32",)),
        reason="not installed",
        remedy="pip install ncnn",
        accepts=("ncnn",),
        int8_does="Refused.",
        package=Package("ncnn", 29_000_000, "BSD-3-Clause"),
    ),
)
HOSTILE = "<img src=x onerror=alert(1)> *a*"
HOST = Host("Some CPU", ("avx2",), 2, "Linux")


def model(name: str = "resnet", digest: str = "a" * 64, **changes: object) -> ModelSummary:
    layers = (
        LayerCost("conv1", "conv 3x3", "Conv", (1, 16, 64, 64), 432, 1_769_472, 1728),
        LayerCost("conv2", "conv 3x3", "Conv", (1, 32, 32, 32), 4608, 4_718_592, 18432),
        LayerCost("fc", "fully connected", "Gemm", (1, 16), 528, 512, 2112),
    )
    made = ModelSummary(
        digest=digest,
        name=name,
        path=Path("x.onnx"),
        inputs=(TensorSpec("input", "float32", (1, 3, 64, 64)),),
        outputs=(TensorSpec("logits", "float32", (1, 16)),),
        opset=17,
        ir_version=8,
        producer="test",
        nodes=40,
        parameters=520_000,
        macs=41_200_000,
        size_bytes=2_100_000,
        batch_norms=19,
        preprocess=Preprocess(),
        layers=layers,
    )
    return replace(made, **changes)


def row(candidate: str, metric: str, value: float | None, **changes: object) -> Measurement:
    made = Measurement(
        candidate=candidate,
        backend="",
        metric=metric,
        value=value,
        low=value,
        high=value,
        status=Status.OK if value is not None else Status.FAILED,
        reason="" if value is not None else "it failed",
    )
    return replace(made, **changes)


def finished_rows(base: str, candidate: str, count: int = 1) -> tuple[Measurement, ...]:
    found = []
    for backend, before, ratio, low, high, verdict in (
        ("onnxruntime", 2.0, 0.62, 0.60, 0.64, "faster"),
        ("openvino", 1.8, 0.53, 0.51, 0.55, "faster"),
        ("opencv", 4.0, 0.99, 0.96, 1.03, "same"),
    ):
        threads = {"threads": str(count)}
        paired = {**threads, "baseline": base}
        images = {"data": "e" * 64, "images": "2000"}
        found += [
            row(base, "latency_ms", before, backend=backend, condition=threads),
            row(candidate, "latency_ms", before * ratio, backend=backend, condition=threads),
            row(
                candidate,
                "latency_ratio",
                ratio,
                low=low,
                high=high,
                backend=backend,
                condition=paired,
                detail={"verdict": verdict},
            ),
            row(base, "top1", 93.8, backend=backend, condition=images),
            row(candidate, "top1", 93.4, backend=backend, condition=images),
            row(
                candidate, "top1_delta", -0.4, low=-0.9, high=0.1, backend=backend, condition=images
            ),
        ]
    found += [row(base, "size_bytes", 2_100_000.0), row(candidate, "size_bytes", 612_000.0)]
    found.append(
        row(
            candidate,
            "latency_ms",
            None,
            backend="opencv_classic",
            condition={"threads": str(count)},
            reason="opencv_classic cannot load QuantizeLinear",
        )
    )
    return tuple(found)


def explanation(digest: str, backend: str, threads: int) -> Explanation:
    """One convolution that became int8, and the quantizer that it needed."""
    before = LayerProfile("c", "conv1", "Conv", "conv 3x3", 0.002, 1.0, "f32")
    after = replace(before, seconds=0.0009, share=0.9, precision="int8", implementation="QConv")
    quantizer = LayerProfile(
        "q", HOSTILE, "QuantizeLinear", "quantize", 0.0001, 0.1, "f32", role="quantize"
    )
    sides = Profile("a" * 64, backend, threads, (before,), 0.0021)
    return Explanation(
        sides,
        replace(sides, candidate=digest, layers=(quantizer, after), total_s=0.0011),
        (LayerPair(None, quantizer), LayerPair(before, after)),
        (
            Cause("int8 arithmetic", "1 layer computes in int8 now: 2 ms before.", gain=True),
            Cause("Quantizing", f"{HOSTILE} took 0.1 ms.", "`quantize_static exclude=<b>x</b>`"),
        ),
    )


class FakeRoom:
    """A room of the workspace; what it knows is kept in the workspace."""

    def __init__(self, at: FakeWorkspace) -> None:
        self.at = at


class FakeModels(FakeRoom):
    def samples(self) -> tuple[SampleModel, ...]:
        return tuple(
            SampleModel(n, n.title(), f"{n} net", d * 64, 93.8, 520_000, 41_200_000, 2_100_000, 19)
            for n, d in (("mobile", "b"), ("plain", "c"), ("resnet", "a"))
        )

    def sample(self, name: str) -> ModelSummary:
        return model(name, next(s.digest for s in self.samples() if s.name == name))

    def of(self, owner: str) -> tuple[ModelSummary, ...]:
        return tuple(self.at.brought.values())

    def get(self, digest: str, owner: str) -> ModelSummary:
        return self.at.brought[digest]

    def expect_one(self) -> None:
        pass

    def add(
        self,
        filename: str,
        content: bytes | Path,
        owner: str,
        progress: Progress | None = None,
    ) -> ModelSummary:
        if self.at.refuse:
            raise InvalidModel(self.at.refuse)
        dims = ("N",) if isinstance(content, bytes) and b"dynamic" in content else ()
        self.at.brought["9" * 64] = model(filename, "9" * 64, dynamic_dims=dims)
        return self.at.brought["9" * 64]

    def freeze(self, digest: str, dims: Mapping[str, int], owner: str) -> ModelSummary:
        self.at.brought["8" * 64] = model(f"frozen {dims}", "8" * 64)
        return self.at.brought["8" * 64]

    def set_preprocess(self, digest: str, preprocess: Preprocess, owner: str) -> ModelSummary:
        self.at.brought["7" * 64] = model("with preprocess", "7" * 64, preprocess=preprocess)
        return self.at.brought["7" * 64]


class FakeData(FakeRoom):
    def samples(self) -> tuple[DataSummary, DataSummary]:
        return (
            DataSummary("d" * 64, "calibration", Path("c"), "images", 512, False, (64, 64, 3)),
            DataSummary("e" * 64, "evaluation", Path("e"), "images", 2000, True, (64, 64, 3), 16),
        )

    def of(self, owner: str) -> tuple[DataSummary, ...]:
        return ()

    def add(
        self,
        filename: str,
        content: bytes | Path,
        owner: str,
        progress: Progress | None = None,
        check: Check | None = None,
    ) -> DataSummary:
        raise DataError("This workspace takes no images.")

    def room(self, owner: str) -> Room:
        return Room(disk=100 << 30, memory=8 << 30, upload=4 << 30, used=2 << 20, quota=20 << 30)

    def uploads(self, owner: str | None = None) -> tuple[Upload, ...]:
        return self.at.held

    def rename_upload(self, digest: str, name: str, owner: str) -> str:
        self.at.verbs.append(("rename_upload", f"{digest} {name}"))
        if self.at.refuse:
            raise StoreError(self.at.refuse, "Try again.")
        self.at.held = tuple(
            replace(one, name=name) if one.digest == digest else one for one in self.at.held
        )
        if digest in self.at.brought:
            self.at.brought[digest] = replace(self.at.brought[digest], name=name)
        return name

    def misfit(self, model: ModelSummary, data: str, owner: str, labels: bool = False) -> str:
        return self.at.misfits.get((model.digest, data, labels), "")


class FakeRecipes(FakeRoom):
    def of(self, owner: str) -> tuple[Recipe, ...]:
        return tuple(reversed(self.at.kept.values()))

    def keep(self, recipe: Recipe, name: str, owner: str, replace: bool = False) -> Recipe:
        if self.at.refuse:
            raise StoreError(self.at.refuse, "Try again.")
        self.at.kept[name] = Recipe(name, recipe.steps)
        return self.at.kept[name]

    def rename(self, before: str, after: str, owner: str) -> str:
        if after in self.at.kept:
            raise StoreError(f"There is a recipe {after} already.", "Choose another name.")
        self.at.kept[after] = Recipe(after, self.at.kept.pop(before).steps)
        return after

    def delete(self, name: str, owner: str) -> None:
        self.at.kept.pop(name)


class FakeRuns(FakeRoom):
    def backends(self) -> tuple[BackendInfo, ...]:
        return BACKENDS

    def host(self, device: str = LOCAL) -> Host:
        return HOST

    def delete_upload(self, digest: str, owner: str, with_runs: bool = False) -> int:
        self.at.verbs.append(("delete_upload", f"{digest} {with_runs}"))
        if self.at.refuse:
            raise StoreError(self.at.refuse, "Try again.")
        self.at.held = tuple(one for one in self.at.held if one.digest != digest)
        return 1000

    def draft(self, owner: str) -> Json:
        return self.at.drafts.get(owner, {})

    def keep_draft(self, owner: str, draft: Json) -> None:
        self.at.drafts[owner] = json.loads(json.dumps(draft))

    def submit(self, spec: ExperimentSpec, owner: str) -> str:
        self.at.asked.append(spec)
        run = self.at.make_run(spec, owner, f"run{len(self.at.asked)}")
        self.at.known[run.id] = run
        return run.id

    def lacks(self, spec: ExperimentSpec, owner: str) -> tuple[str, ...]:
        return self.at.missing

    def get(self, run_id: str) -> Run:
        if run_id not in self.at.known:
            raise NoSuchRun(f"There is no run {run_id!r}.")
        return self.at.known[run_id]

    def of(self, owner: str) -> tuple[Run, ...]:
        return tuple(self.at.known.values())

    def lines(self, owner: str) -> tuple[RunLine, ...]:
        return tuple(
            RunLine(
                run.id,
                run.owner,
                run.created,
                run.spec,
                run.progress,
                run.model.name,
                self.at.answers.get(run.id),
            )
            for run in self.at.known.values()
        )

    def keep_answer(self, line: RunLine, answer: Answer) -> None:
        self.at.answers[line.id] = answer

    def sample(self) -> Run | None:
        return self.at.known.get("sample")

    def shipped_sample(self) -> Run:
        return sample_run.shipped()

    def measure_sample(self) -> bool:
        return "sample" in self.at.known

    def cancel(self, run_id: str, owner: str) -> None:
        self.at.verbs.append(("cancel", run_id))
        run = self.at.known[run_id]
        self.at.known[run_id] = replace(run, progress=replace(run.progress, state=State.CANCELLED))

    def resume(self, run_id: str, owner: str) -> None:
        self.at.verbs.append(("resume", run_id))

    def delete(self, run_id: str, owner: str) -> None:
        del self.at.known[run_id]

    def candidate_file(self, run_id: str, digest: str) -> Path:
        return Path(__file__)

    def download(self, run_id: str, digest: str) -> Path:
        return self.candidate_file(run_id, digest)

    def converted(self, run_id: str, digest: str, form: str) -> Path:
        return self.candidate_file(run_id, digest)

    def package(self, run_id: str, digest: str, spec: str, texts: Mapping[str, str]) -> Path:
        return self.candidate_file(run_id, digest)


def net(*names: str) -> Topology:
    """A chain of convolutions of these names between an input and an output."""
    nodes = [GraphNode("input", "", "input", (), ("input",), 0, False, None, (1, 3, 64, 64))]
    for place, name in enumerate(names, 1):
        nodes.append(
            GraphNode(
                name, "Conv", "conv 3x3", (place - 1,), (f"{name}_out",), place,
                input_shape=(1, 16, 32, 32), output_shape=(1, 16, 32, 32), dtype="float",
                precision="f32", parameters=432, macs=1_000_000 * place, size_bytes=1728,
            )
        )  # fmt: skip
    end = len(nodes)
    nodes.append(GraphNode("logits", "", "output", (end - 1,), ("logits",), end))
    return Topology(tuple(nodes))


class FakeResults(FakeRoom):
    def of(self, owner: str, model: str) -> tuple[Result, ...]:
        mine = (run for run in self.at.known.values() if run.spec.model == model)
        return tuple(result for run in mine for result in results_of(run))

    def bookmarks(self, owner: str) -> Mapping[tuple[str, str], Bookmark]:
        return dict(self.at.marks)

    def bookmark(self, key: tuple[str, str], bookmark: Bookmark, owner: str) -> None:
        if self.at.refuse:
            raise StoreError(self.at.refuse, "Try again.")
        self.at.marks[key] = bookmark

    def live(self, owner: str) -> tuple[Live, ...]:
        return tuple(
            Live(run.id, run.spec.title, run.model.name, run.progress, ahead)
            for ahead, run in enumerate(self.at.known.values())
            if run.progress.state in (State.QUEUED, State.RUNNING)
        )


class FakeInsights(FakeRoom):
    def topology(self, digest: str) -> Topology:
        if self.at.cannot_read:
            raise InvalidModel(self.at.cannot_read)
        return self.at.topologies.get(digest, net("conv1", "conv2", "fc"))

    def distributions(
        self, digest: str, layer: str, calibration: str, evaluation: str = "", visitor: str = ""
    ) -> Distributions | None:
        self.at.verbs.append(("distributions", layer))
        if self.at.slow_looks:
            self.at.slow_looks -= 1
            return None
        found = Histogram(-1.0, 1.0, (1, 2, 1), 0.0, 0.5, 0.25, 0, 4)
        return Distributions(found, found if calibration else None, 32 if calibration else 0, layer)

    def preview(self, digest: str, recipe: Recipe) -> Preview:
        keep = 1.0
        for step in recipe.steps:
            keep *= 1 - float(step.params.get("ratio", 0.05))
        report = tuple(
            StepReport(step, cuts=(Cut(("conv1",), 8, 32),))
            if step.pass_name == "prune_channels"
            else StepReport(step)
            for step in recipe.steps
        )
        counts = (int(520_000 * keep), int(41_200_000 * keep), int(2_100_000 * keep), 40)
        return Preview(*counts, report=report)

    def sensitivity(
        self, digest: str, before: Recipe, calibration: str, evaluation: str = "", visitor: str = ""
    ) -> Sensitivity | None:
        return self.at.known_sensitivity

    def sensitivity_told(
        self, digest: str, before: Recipe, calibration: str, evaluation: str = ""
    ) -> str:
        return "cutting each group alone, about 40 s left"

    def stop_sensitivity(
        self, digest: str, before: Recipe, calibration: str, evaluation: str = ""
    ) -> None:
        self.at.verbs.append(("stop_sensitivity", ""))

    def pixel_trials(self, digest: str, labelled: str, owner: str) -> tuple[PixelTrial, ...]:
        raise DataError("This workspace tries nothing.")

    def diagnosis(self, digest: str, data: str, owner: str) -> Diagnosis | None:
        self.at.verbs.append(("diagnosis", digest))
        if self.at.slow_looks:
            self.at.slow_looks -= 1
            return None
        self.at.diagnosis = self.at.next_diagnosis
        return self.at.diagnosis

    def diagnosed(self, digest: str, data: str, owner: str) -> Diagnosis | None:
        return self.at.diagnosis

    def diagnosis_told(self, digest: str, data: str, owner: str) -> str:
        return "OpenCV DNN: as it is (2 of 5 targets)"

    def stop_diagnosis(self, digest: str, data: str, owner: str) -> None:
        self.at.verbs.append(("stop_diagnosis", digest))

    def hindsights(self, run: Run) -> tuple[Hindsight, ...]:
        return self.at.seen

    def next_steps(self, run: Run, outcome: Outcome, backend: str) -> NextSteps | None:
        return next_steps(run, outcome, backend)

    def staircases(self, question: StaircaseQuestion) -> StaircaseState:
        return self.at.stairs

    def time_layers(self, question: StaircaseQuestion, visitor: str = "") -> None:
        self.at.verbs.append(("time_layers", ",".join(question.backends)))
        self.at.stairs = replace(self.at.stairs, running=True, total=12)

    def stop_timing(self, question: StaircaseQuestion) -> None:
        self.at.verbs.append(("stop_timing", ""))
        self.at.stairs = replace(self.at.stairs, running=False)

    def preview_ahead(self, digest: str, recipes: Sequence[Recipe]) -> None:
        self.at.verbs.append(("previews", str(len(recipes))))

    def profile(
        self, run_id: str, digest: str, backend: str, threads: int, wait_s: float | None = None
    ) -> Explanation | None:
        self.at.verbs.append(("profile", backend))
        if self.at.cannot_profile:
            raise BackendUnavailable(self.at.cannot_profile)
        if self.at.slow_looks:
            self.at.slow_looks -= 1
            return None
        self.at.profiles.add((digest, backend))
        return explanation(digest, backend, threads)

    def profiled(self, run_id: str, digest: str, backend: str, threads: int) -> bool:
        return (digest, backend) in self.at.profiles


@dataclass
class FakeWorkspace:
    """Keeps everything in memory; `state` is what a new run is in."""

    state: State = State.DONE
    asked: list[ExperimentSpec] = field(default_factory=list)
    known: dict[str, Run] = field(default_factory=dict)
    brought: dict[str, ModelSummary] = field(default_factory=dict)
    refuse: str = ""
    verbs: list[tuple[str, str]] = field(default_factory=list)
    known_sensitivity: Sensitivity | None = None
    seen: tuple[Hindsight, ...] = ()
    stairs: StaircaseState = field(default_factory=lambda: StaircaseState(missing=0))
    profiles: set[tuple[str, str]] = field(default_factory=set)
    cannot_profile: str = ""
    slow_looks: int = 0
    misfits: dict[tuple[str, str, bool], str] = field(default_factory=dict)
    drafts: dict[str, dict[str, object]] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    held: tuple[Upload, ...] = ()
    missing: tuple[str, ...] = ()
    topologies: dict[str, Topology] = field(default_factory=dict)
    cannot_read: str = ""
    kept: dict[str, Recipe] = field(default_factory=dict)
    marks: dict[tuple[str, str], Bookmark] = field(default_factory=dict)
    diagnosis: Diagnosis | None = None
    next_diagnosis: Diagnosis | None = None

    def __post_init__(self) -> None:
        self.models, self.data, self.recipes = FakeModels(self), FakeData(self), FakeRecipes(self)
        self.runs, self.insights = FakeRuns(self), FakeInsights(self)
        self.results = FakeResults(self)

    def make_run(self, spec: ExperimentSpec, owner: str, run_id: str) -> Run:
        summary = self.brought.get(spec.model) or model(digest=spec.model)
        base = Candidate(spec.model, Path("x"), Recipe("original"))
        outcomes = [Outcome(Recipe("original"), base, summary)]
        for recipe in spec.recipes[1:]:
            report = tuple(StepReport(step, 19) for step in recipe.steps)
            made = Candidate("f" * 64, Path("y"), recipe, report)
            outcomes.append(Outcome(recipe, made, replace(summary, size_bytes=612_000)))
        live = self.state in (State.QUEUED, State.RUNNING)
        return Run(
            id=run_id,
            owner=owner,
            created="2026-01-02T03:04:05",
            spec=spec,
            progress=RunProgress(self.state, 3, 10, "accuracy on OpenVINO", 12.0),
            model=summary,
            outcomes=tuple(outcomes),
            measurements=() if live else finished_rows(spec.model, "f" * 64, spec.threads[0]),
            host=HOST,
        )
