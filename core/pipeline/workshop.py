"""What the workshop does when it is asked; runs in the limited child only.

The last few graphs stay parsed, so that a slider's move does not wait for a file.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path

from core import data
from core import graph as graphs
from core import timings as layer_times
from core.analysis import layer_signatures
from core.analysis.topology import topology
from core.analysis.zeros import zero_share
from core.calibration import Alone, Calibration, Probe, Unseen
from core.calibration.services import NoServices, Services
from core.devices.local import Progress, lock
from core.errors import CoreError, DataError, InvalidModel
from core.formats.onnx import gate
from core.graph import Graph
from core.pipeline import failures, micro_models, runner, single_nodes
from core.pipeline.clock import Clock, Remaining, Told
from core.pipeline.distributions import distributions
from core.pipeline.ladder import ladder
from core.pipeline.preview import preview
from core.pipeline.sensitivity import sensitivity
from core.pipeline.summary import summarise
from core.records import (
    Candidate,
    Json,
    ModelSummary,
    Outcome,
    Preprocess,
    Recipe,
    Step,
    TensorSpec,
    from_json,
    optional,
    to_json,
)
from core.records.stored import stored_bytes
from core.timings import Chain

KEPT_GRAPHS = 4
KEPT_BYTES = 64 << 20
Handler = Callable[[Json, Progress], Json]

_graphs: OrderedDict[tuple[str, int, int], Graph] = OrderedDict()


def _graph(path: Path) -> Graph:
    """The graph at `path`, which nobody changes."""
    key = _key(path)
    if key in _graphs:
        _graphs.move_to_end(key)
        return _graphs[key]
    return _remember(path, graphs.load(path))


def _remember(path: Path, graph: Graph) -> Graph:
    if stored_bytes(path) <= KEPT_BYTES:
        _graphs[_key(path)] = graph
        while len(_graphs) > KEPT_GRAPHS:
            _graphs.popitem(last=False)
    return graph


def _key(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise InvalidModel(f"{path.name} cannot be read: {error.strerror}.") from None
    return (str(path), status.st_mtime_ns, status.st_size)


def _weigh(args: Json, _: Progress) -> Json:
    beside = Path(args["beside"]) if args["beside"] else None
    return {"bytes": gate.weigh(Path(args["source"]), args["filename"], beside)}


def _admit(args: Json, progress: Progress) -> Json:
    def told(what: str, share: float) -> None:
        progress({"current": what, "share": share})

    beside = Path(args["beside"]) if args["beside"] else None
    source, models = Path(args["source"]), Path(args["models"])
    admitted = gate.admit(source, args["filename"], models, beside, told)
    name = Path(args["filename"]).name
    _remember(admitted.path, admitted.graph)
    own = gate.weigh(source, args["filename"], beside)
    return _reply(
        summarise(admitted.graph, admitted.path, admitted.digest, name, admitted.notes, own)
    )


def _freeze(args: Json, _: Progress) -> Json:
    graph = _graph(Path(args["model"])).clone()
    graphs.freeze(graph, args["dims"])
    graphs.check(graph)
    return _kept(graph, args)


def _set_preprocess(args: Json, _: Progress) -> Json:
    graph = _graph(Path(args["model"])).clone()
    preprocess = data.read_preprocess(args["preprocess"])
    data.check_channels(data.image_input(graphs.input_specs(graph)), preprocess)
    graphs.set_preprocess(graph, preprocess)
    return _kept(graph, args)


def _kept(graph: Graph, args: Json) -> Json:
    digest, path = gate.keep(graph, Path(args["models"]))
    _remember(path, graph)
    return _reply(summarise(graph, path, digest, args["name"] or Path(args["model"]).name))


def _summary(args: Json, _: Progress) -> Json:
    path = Path(args["model"])
    return _reply(summarise(_graph(path), path, graphs.digest(path), args["name"] or path.name))


def _take(args: Json, _: Progress) -> Json:
    written = graphs.take(Path(args["model"]), Path(args["out"]))
    return {"files": [str(path) for path in written]}


def _pack(args: Json, _: Progress) -> Json:
    return {"file": str(graphs.pack(Path(args["model"]), Path(args["folder"])))}


def _reply(summary: ModelSummary) -> Json:
    return {"summary": to_json(summary)}


def _admit_data(args: Json, progress: Progress) -> Json:
    remaining = Remaining()

    def told(done: int, total: int) -> None:
        left = remaining.after(done / max(total, 1))
        said = {"done": done, "total": total, "current": "reading images"}
        progress(said if left is None else said | {"eta_s": left})

    summary = data.admit(Path(args["source"]), args["filename"], Path(args["data"]), told)
    return {"summary": to_json(summary)}


def _fit(args: Json, _: Progress) -> Json:
    images = data.open_set(Path(args["data"]), args["name"])
    specs = from_json(tuple[TensorSpec, ...], args["inputs"])
    preprocess = optional(Preprocess, args["preprocess"])
    next(images.feeds(specs, preprocess, 1, range(min(1, images.count))))
    wide = [side for side in args["scores"][1:] if side != 1]
    if len(wide) == 1 and isinstance(wide[0], int):
        data.check_labels(wide[0], images.labels)
    return {}


def _preview(args: Json, _: Progress) -> Json:
    recipe = from_json(Recipe, args["recipe"])
    return {"preview": to_json(preview(_graph(Path(args["model"])), recipe))}


def _sensitivity(args: Json, progress: Progress) -> Json:
    graph, _reports, _exact = runner.preview(
        _graph(Path(args["model"])), from_json(Recipe, args["before"])
    )
    services = _services(graph, args["calibration"], None)
    labels = data.open_set(Path(args["calibration"])).labels
    if labels is not None and data.has_background_class(_classes(graph), labels):
        labels = labels + 1
    found = sensitivity(graph, services, labels, Told(progress))
    return {"sensitivity": to_json(found)}


def _classes(graph: Graph) -> int:
    """The last dimension of the first output; 0 if it is not known."""
    shape = graph.graph.outputs[0].shape
    last = shape[-1] if shape is not None and len(shape) else 0
    return last if isinstance(last, int) else 0


def _trial(args: Json, _: Progress) -> Json:
    graph = _graph(Path(args["model"]))
    feeds = next(data.synthetic_feeds(graphs.input_specs(graph), 1))
    Probe(graph, [value.name or "" for value in graph.graph.outputs], once=True).run(feeds)
    return {}


def _micro_models(args: Json, _: Progress) -> Json:
    chains = from_json(tuple[Chain, ...], args["chains"])
    written = (micro_models.write(chain, Path(args["folder"])) for chain in chains)
    return {"models": [to_json(model) for model in written]}


def _single_nodes(args: Json, _: Progress) -> Json:
    graph = _graph(Path(args["model"]))
    specs = data.at(graphs.input_specs(graph), args["dims"])
    feeds = next(data.synthetic_feeds(specs, 1))
    return {"singles": to_json(single_nodes.write(graph, feeds, Path(args["folder"])))}


def _layer_chains(args: Json, _: Progress) -> Json:
    graph = _graph(Path(args["model"]))
    chains = layer_signatures.worth_timing(graph, args["multiple"], args["precision"])
    return {"chains": to_json(chains)}


def _ladder(args: Json, _: Progress) -> Json:
    recipes = from_json(tuple[Recipe, ...], args["recipes"])
    return {"ladder": to_json(ladder(_graph(Path(args["model"])), recipes))}


def _topology(args: Json, _: Progress) -> Json:
    return {"topology": to_json(topology(_graph(Path(args["model"]))))}


def _distributions(args: Json, _: Progress) -> Json:
    graph = _graph(Path(args["model"]))
    services: Services = NoServices()
    if args["calibration"]:
        services = _services(graph, args["calibration"], None)
    found = distributions(graph, args["layer"], services, args["images"])
    return {"distributions": to_json(found)}


def _zero_share(args: Json, _: Progress) -> Json:
    return {"share": zero_share(_graph(Path(args["model"])))}


def _build(args: Json, progress: Progress) -> Json:
    model, recipe = Path(args["model"]), from_json(Recipe, args["recipe"])

    clock, models = Clock(progress), Path(args["models"])
    try:
        with lock.shared(clock.wait) as share:
            services: Services = NoServices()
            if recipe.steps:
                services = _services(
                    _graph(model), args["calibration"], args["timings"], share.alone
                )
            outcome = build(
                model, recipe, services, models, clock.begin, clock.during, clock.refused
            )
    except CoreError as error:
        outcome = Outcome(recipe, None, None, error.reason)
    return {"outcome": to_json(outcome)}


def build(
    model: Path,
    recipe: Recipe,
    services: Services,
    models: Path,
    progress: Callable[[Step], None] | None = None,
    during: runner.During | None = None,
    refused: runner.Refused | None = None,
) -> Outcome:
    """Run a recipe over a model and keep the result.

    Raises:
        CoreError: the model, the recipe or the data cannot be used at all.
    """
    graph = _graph(model)
    if not recipe.steps:
        digest = graphs.digest(model)
        candidate = Candidate(digest, model, recipe)
        return Outcome(recipe, candidate, summarise(graph, model, digest, model.name))
    result, report = runner.apply(graph, recipe, services, progress, during, refused)
    if report and all(step.reverted for step in report):
        return failures.nothing(recipe, report)
    graphs.infer_shapes(result)
    digest, path = gate.keep(result, models)
    recipe = failures.renamed(recipe, report)
    summary = summarise(result, path, digest, recipe.name or model.name)
    failed = tuple(step for step in report if step.reverted)
    return Outcome(recipe, Candidate(digest, path, recipe, report), summary, "", failed)


def _services(
    graph: Graph, calibration: str | None, timings: str | None, alone: Alone = lock.alone
) -> Services:
    table = layer_times.load(Path(timings)) if timings else None
    specs = graphs.input_specs(graph)
    preprocess: Preprocess | None = graphs.preprocess(graph)
    if not calibration:
        return Unseen(specs, preprocess, table, alone)
    services = Calibration(Path(calibration), specs, preprocess, timings=table, alone=alone)
    if services.count == 0:
        raise DataError("The calibration set has no images.")
    return services


HANDLERS: Mapping[str, Handler] = {
    "weigh": _weigh,
    "admit": _admit,
    "take": _take,
    "pack": _pack,
    "freeze": _freeze,
    "set_preprocess": _set_preprocess,
    "summary": _summary,
    "admit_data": _admit_data,
    "fit": _fit,
    "preview": _preview,
    "sensitivity": _sensitivity,
    "trial": _trial,
    "layer_chains": _layer_chains,
    "ladder": _ladder,
    "micro_models": _micro_models,
    "single_nodes": _single_nodes,
    "zero_share": _zero_share,
    "topology": _topology,
    "distributions": _distributions,
    "build": _build,
}
