"""A run as one small HTML file that opens offline: charts, every row, and what each holds under.

Charts are pictures of our own, so that the file needs no script; everything that comes from outside
is escaped, and a Content-Security-Policy keeps the file from asking any host for anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.charts import quantities, steps, text
from core.charts.accuracy import accuracy_panel
from core.charts.conditions import run_input
from core.charts.drawing import Drawing, svg
from core.charts.front_picture import front_picture
from core.charts.latency import latency_panel
from core.charts.panel_picture import panel_drawing
from core.charts.recipe_words import steps_in_words
from core.charts.rows import readable_rows, rows_table
from core.charts.size import size_panel
from core.charts.summary import Delta, deltas, headline
from core.charts.tradeoff import drawn
from core.records import Outcome, Run, StepReport, to_json
from core.records.standing import Standing, baseline
from core.search.choose import best
from core.search.pareto import Cost, points
from core.tasks.base import primary_metric

STYLE = Path(__file__).with_name("report.css")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
SHOWN = (
    "recipe", "backend", "quantity", "value", "95 % interval", "verdict", "status", "reason",
    "under",
)  # fmt: skip
MOST_CHARTED = 12  # recipes; of more, those on a front have charts, and all have their numbers
CHART_WIDTH = 420.0
LOOK = {
    name: f"var(--{name})"
    for name in ("ink", "soft", "line", "panel", "good", "bad", "failed", "interval")
}
_NUMBERS = {"value", "95 % interval"}


def report_html(run: Run, link: str = "") -> str:
    """The report of a run.

    Args:
        run: what to report.
        link: address under which the run can be seen live; empty for none.
    """
    title = text.escape(run.spec.title or run.model.name)
    charted = _charted(run)
    body = [
        f"<h1>{title}</h1>",
        f'<p class="answer">{text.escape(headline(run))}</p>',
        f'<p class="soft">{text.escape(_when(run))}</p>',
        _tradeoff(run),
        *(_candidate(run, outcome, charted) for outcome in run.outcomes[1:]),
        "<h2>Every row</h2>",
        *_rows(run),
        "<h2>Conditions of the run</h2>",
        _definitions(_conditions(run, link)),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE.read_text(encoding='utf-8')}</style>"
        f"</head><body><main>{''.join(body)}</main></body></html>"
    )


def table(records: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> str:
    """Records as an HTML table, every cell escaped."""
    names = list(columns)
    head = "".join(f'<th scope="col"{_kind(name)}>{text.escape(name)}</th>' for name in names)
    lines = []
    for record in records:
        bad = ' class="failed"' if record.get("status") == "failed" else ""
        lines.append(f"<tr{bad}>{''.join(_cell(name, record.get(name)) for name in names)}</tr>")
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cell(name: str, value: Any) -> str:
    return f"<td{_kind(name)}>{text.escape(str(value if value is not None else ''))}</td>"


def _kind(column: str) -> str:
    return ' class="number"' if column in _NUMBERS else ""


def _charted(run: Run) -> set[str]:
    """Digests of the candidates whose charts are drawn."""
    made = [o.candidate.digest for o in run.outcomes if o.candidate is not None]
    if len(made) <= MOST_CHARTED:
        return set(made)
    first = best(run)
    chosen = [first.candidate.digest] if first and first.candidate else []
    chosen += [point.digest for point in points(run) if point.front]
    return set(list(dict.fromkeys(chosen))[:MOST_CHARTED])


def _rows(run: Run) -> list[str]:
    """Every row with the number of the conditions that it holds under, and these conditions."""
    numbers: dict[str, int] = {}
    shown = []
    for raw, row in zip(rows_table(run), readable_rows(run), strict=True):
        under = _under(raw, row)
        at = numbers.setdefault(under, len(numbers) + 1) if under else ""
        reason = " ".join(filter(None, (row["reason"], row["machine"])))
        shown.append({**row, "reason": reason, "under": f"({at})" if at else ""})
    items = "".join(f"<li>{text.escape(words)}</li>" for words in numbers)
    listed = f'<h3>Under</h3><ol class="under">{items}</ol>' if items else ""
    return [table(shown, SHOWN), listed]


def _under(raw: Mapping[str, Any], row: Mapping[str, str]) -> str:
    """What a row holds under, in words; empty for what needs no backend."""
    if not raw["backend"]:
        return ""
    threads = f"{raw['threads']} thread{'s' * (raw['threads'] != '1')}" if raw["threads"] else ""
    facts = (
        f"{raw['backend']} {raw['version']}".strip(),
        threads,
        f"input {raw['input']}" if raw["input"] else "",
        f"{row['images']} images" if row["images"] else "",
        raw["settings"],
        f"file format {raw['format']}" if raw["format"] else "",
        f"device {raw['device']}" if raw["device"] else "",
    )
    return ", ".join(filter(None, facts))


def _tradeoff(run: Run) -> str:
    if len(run.spec.recipes) < 3 or not run.spec.evaluation:
        return ""
    gain = quantities.axis(primary_metric(Standing(run)))
    drawings = []
    costs: tuple[Cost, ...] = ("latency", "size")
    for cost in costs:
        title = f"Accuracy against {cost}"
        found, axis = drawn(run, cost)
        if found:
            drawings.append(front_picture(title, found, axis, gain))
    if not drawings:
        return ""
    key = "Line: the best reachable on a backend. Diamond: the original. Filled: on the line."
    return f'<h2>Trade-off</h2>{_charts(drawings)}<p class="soft">{key}</p>'


def _candidate(run: Run, outcome: Outcome, charted: set[str]) -> str:
    name = f"<h2>{text.escape(outcome.recipe.name)}</h2>"
    said = text.escape(" + ".join(steps_in_words(outcome.recipe)))
    recipe = text.escape(json.dumps(to_json(outcome.recipe), ensure_ascii=False))
    recipe = f"<h3>Recipe</h3><p>{said}</p><pre>{recipe}</pre>"
    if outcome.candidate is None:
        return f'{name}<p class="bad">Made no model: {text.escape(outcome.reason)}</p>{recipe}'
    digest = outcome.candidate.digest
    panels = (latency_panel(run, digest), accuracy_panel(run, digest), size_panel(run, digest))
    shown = [panel_drawing(panel, CHART_WIDTH) for panel in panels] if digest in charted else []
    key = '<p class="soft">Grey: the original. Colour: this recipe. Whiskers: 95 % interval.</p>'
    return (
        f'{name}<p class="soft">SHA-256 <code>{text.escape(digest)}</code></p>'
        f"{_deltas(deltas(run, digest))}{_charts(shown) + key if shown else ''}"
        f"<h3>What the passes did</h3>{_steps(outcome.candidate.report)}{recipe}"
    )


def _deltas(found: Iterable[Delta]) -> str:
    columns = ("quantity", "before", "after", "change", "95 % interval", "verdict")
    return table(
        [
            dict(
                zip(
                    columns,
                    (d.label, d.before, d.after, d.change, d.interval, d.verdict),
                    strict=True,
                )
            )
            for d in found
        ],
        columns,
    )


def _charts(drawings: Iterable[Drawing]) -> str:
    return f'<div class="charts">{"".join(svg(drawing, LOOK) for drawing in drawings)}</div>'


def _steps(report: tuple[StepReport, ...]) -> str:
    """Of each step what it did, its notes, and the layers left alone grouped by reason."""
    if not report:
        return '<p class="soft">No pass ran.</p>'
    parts = []
    for step in report:
        parts.append(f"<h4>{text.escape(steps.headline(step))}</h4>")
        if step.reverted:
            parts.append(f'<p class="bad">{text.escape(steps.said(step.reverted))}</p>')
        lines = [text.escape(steps.said(note)) for note in (*step.warnings, *step.notes)]
        lines += [
            f"left alone, {text.escape(reason)}: {text.escape(steps.named(layers))}"
            for reason, layers in steps.reasons(step.skipped)
        ]
        if lines:
            parts.append(f"<ul>{''.join(f'<li>{line}</li>' for line in lines)}</ul>")
    return "".join(parts)


def _when(run: Run) -> str:
    parts = [f"Measured {run.created[:16].replace('T', ' ')} UTC"]
    if run.host is not None:
        parts.append(f"on {run.host.cpu}, {run.host.cores} cores")
    if run.progress.message:
        parts.append(run.progress.message)
    return " · ".join(parts)


def _conditions(run: Run, link: str) -> dict[str, str]:
    base, spec = baseline(run), run.spec
    facts = {
        "Model": run.model.name,
        "Model SHA-256": spec.model,
        "Baseline SHA-256": base.digest if base else "",
        "Evaluation images SHA-256": spec.evaluation or "none",
        "Calibration images SHA-256": spec.calibration or "none",
        "Backends": ", ".join(spec.backends),
        "Threads": ", ".join("all" if count == 0 else str(count) for count in spec.threads),
        "Input, batch first": run_input(run).removeprefix("input "),
        "Time for one latency comparison": f"{spec.latency_budget_s:g} s at most",
        "Run": run.id,
        "Link": link,
    }
    if run.host is not None:
        facts |= {
            "Processor": f"{run.host.cpu}, {run.host.cores} cores",
            "Instruction sets": ", ".join(run.host.isa_flags),
            "System": run.host.os,
        }
        facts |= {f"Version of {name}": version for name, version in run.host.versions.items()}
    return {name: value for name, value in facts.items() if value}


def _definitions(facts: Mapping[str, str]) -> str:
    lines = (f"<dt>{text.escape(k)}</dt><dd>{text.escape(v)}</dd>" for k, v in facts.items())
    return f"<dl>{''.join(lines)}</dl>"
