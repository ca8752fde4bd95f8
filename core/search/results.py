"""Results of all runs of a model: condensed from rows, weighed where conditions are the same."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from core.records import Candidate, Conditions, Measurement, Number, Outcome, Result, Run, Target
from core.records.standing import Standing, baseline, measured
from core.search.loss import deciding
from core.search.pareto import Cost, Point, front, latency
from core.tasks.base import primary_metric

DELTA = "_delta"
Key = tuple[str, str]


def results_of(run: Run) -> tuple[Result, ...]:
    """Every recipe that made a model, on every backend with every thread count of a run."""
    rows = Standing(run)
    made: dict[str, tuple[Outcome, Candidate]] = {}
    for outcome in run.outcomes:
        if outcome.candidate is not None:
            made.setdefault(outcome.candidate.digest, (outcome, outcome.candidate))
    return tuple(
        _result(run, rows, candidate, backend, threads)
        for _, candidate in made.values()
        for backend in run.spec.backends
        for threads in run.spec.threads
    )


def _result(run: Run, rows: Standing, made: Candidate, backend: str, threads: int) -> Result:
    base, how, metric = baseline(run), deciding(rows), primary_metric(rows)
    first = base is not None and base.digest == made.digest
    own = rows.row(made.digest, "latency_ms", backend, threads)
    ratio = rows.row(made.digest, "latency_ratio", backend, threads)
    gained = rows.row(made.digest, metric, backend)
    whole = how.whole if first and how.is_relative else None
    size = rows.value(made.digest, "size_bytes")
    originals = rows.rows(base.digest, "latency_ms", backend, threads) if base else []
    known = [value for row in originals if (value := measured(row))]
    lacking = [row.reason for row in (own, gained) if row is not None and row.reason]
    return Result(
        run=run.id,
        created=run.created,
        candidate=made.digest,
        recipe=made.recipe,
        under=_conditions(run, rows, backend, threads, own),
        gain=Number(whole, whole, whole) if whole is not None else _number(gained),
        change=_number(rows.row(made.digest, metric + DELTA, backend)),
        latency=_number(latency(run, rows, made.digest, backend, threads)),
        ratio=Number(1.0, 1.0, 1.0) if first else _number(ratio),
        original_ms=statistics.median(known) if known else None,
        verdict=str(ratio.detail.get("verdict", "")) if ratio is not None else "",
        busy=bool(own is not None and own.detail.get("busy")),
        size_bytes=None if size is None else int(size),
        is_original=first,
        reason=lacking[0] if lacking else "",
    )


def _conditions(
    run: Run, rows: Standing, backend: str, threads: int, timed: Measurement | None
) -> Conditions:
    """What the numbers of a run on a backend hold under; one that failed is no exception."""
    here = [row for row in rows if row.backend == backend]
    shape = next((row.condition["input"] for row in here if "input" in row.condition), "")
    counts = {row.condition["images"] for row in here if "images" in row.condition}
    host = run.host
    target = timed.target if timed is not None else None
    target = target or (host.target(backend, threads) if host else Target("", backend, ""))
    return Conditions(
        device=target.device,
        machine=f"{host.cpu}, {host.cores} cores" if host else "unknown machine",
        backend=backend,
        version=target.version or (host.target(backend).version if host else ""),
        threads=threads,
        input=shape,
        data=run.spec.evaluation,
        images=max((int(count) for count in counts if count.isdigit()), default=0),
        metric=primary_metric(rows),
    )


def _number(row: Measurement | None) -> Number | None:
    value = measured(row)
    if row is None or value is None:
        return None
    return Number(
        value, value if row.low is None else row.low, value if row.high is None else row.high
    )


def shared_conditions(results: Sequence[Result]) -> dict[Conditions, int]:
    """The conditions that results hold under, with how many candidates: most first, then newest."""
    found: dict[Conditions, int] = {}
    for result in results:
        if not result.is_original and (result.latency is not None or result.gain is not None):
            found[result.under] = found.get(result.under, 0) + 1
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def under(results: Sequence[Result], conditions: Conditions) -> tuple[Result, ...]:
    """The candidates of these conditions, newest first, and one original before them.

    The machine drifts from run to run: each is placed at its paired ratio times one latency of the
    original, the median over all these runs.
    """
    here = [result for result in results if result.under == conditions]
    known = {result.run: result.original_ms for result in here if result.original_ms}
    common = statistics.median(known.values()) if known else None
    originals = [result for result in here if result.is_original][:1]
    return tuple(_placed(result, common) for result in (*originals, *_candidates(here)))


def _candidates(here: Sequence[Result]) -> list[Result]:
    return [result for result in here if not result.is_original]


def _placed(result: Result, common_ms: float | None) -> Result:
    if common_ms is None or result.ratio is None:
        return result
    ratio = result.ratio
    spread = Number(common_ms * ratio.value, common_ms * ratio.low, common_ms * ratio.high)
    return replace(result, latency=spread)


def points(
    results: Sequence[Result], cost: Cost, names: Mapping[Key, str] | None = None
) -> tuple[Point, ...]:
    """Results of the same conditions as points, with their front; a point's digest is RUN/DIGEST.

    Args:
        results: of one kind of conditions, as `under` gives them.
        cost: of "latency", "ratio", "size".
        names: that a user gave, by run and candidate.
    """
    found: list[Point] = []
    for result in results:
        spent, gain = _cost(result, cost), result.gain
        if spent is None or gain is None:
            continue
        name = (names or {}).get(result.key, "")
        recipe = replace(result.recipe, name=name) if name else result.recipe
        found.append(
            Point(
                "/".join(result.key), result.under.backend, recipe, spent.value, gain.value,
                (spent.low, spent.high), (gain.low, gain.high), is_baseline=result.is_original,
            )
        )  # fmt: skip
    edge = front([(point.cost, point.gain) for point in found])
    return tuple(replace(point, front=at in edge) for at, point in enumerate(found))


def _cost(result: Result, cost: Cost) -> Number | None:
    if cost == "latency":
        return result.latency
    if cost == "ratio":
        return result.ratio
    size = result.size_bytes
    return None if size is None else Number(size, size, size)
