"""A run as one HTML file that opens offline: every chart, every row, and what made them.

Everything that comes from outside is escaped, and a Content-Security-Policy keeps the file from
asking any host for anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from core.charts import steps, text
from core.charts.accuracy import accuracy_figure
from core.charts.conditions import run_input
from core.charts.latency import latency_figure
from core.charts.rows import readable_rows
from core.charts.size import size_figure
from core.charts.summary import Delta, deltas, headline
from core.charts.tradeoff import tradeoff_figure
from core.records import Outcome, Run, StepReport, to_json
from core.records.standing import baseline

STYLE = Path(__file__).with_name("report.css")
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)
SHOWN = (
    "recipe", "backend", "quantity", "value", "95 % interval", "threads", "input", "images",
    "verdict", "status", "reason",
)  # fmt: skip
_NUMBERS = {"value", "95 % interval"}


def report_html(run: Run, link: str = "") -> str:
    """The report of a run.

    Args:
        run: what to report.
        link: address under which the run can be seen live; empty for none.
    """
    title = text.escape(run.spec.title or run.model.name)
    body = [
        f"<h1>{title}</h1>",
        f'<p class="answer">{text.escape(headline(run))}</p>',
        f'<p class="soft">{text.escape(_when(run))}</p>',
        _tradeoff(run),
        *(_candidate(run, outcome) for outcome in run.outcomes[1:]),
        "<h2>Every row</h2>",
        table(readable_rows(run), SHOWN),
        "<h2>Conditions</h2>",
        _definitions(_conditions(run, link)),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE.read_text(encoding='utf-8')}</style>"
        f"<script>{get_plotlyjs()}</script></head><body><main>{''.join(body)}</main></body></html>"
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


def _tradeoff(run: Run) -> str:
    if len(run.spec.recipes) < 3 or not run.spec.evaluation:
        return ""
    figures = (tradeoff_figure(run, "latency"), tradeoff_figure(run, "size"))
    return f"<h2>Trade-off</h2>{_charts(figures)}"


def _candidate(run: Run, outcome: Outcome) -> str:
    name = f"<h2>{text.escape(outcome.recipe.name)}</h2>"
    recipe = text.escape(json.dumps(to_json(outcome.recipe), indent=2, ensure_ascii=False))
    recipe = f"<h3>Recipe</h3><pre>{recipe}</pre>"
    if outcome.candidate is None:
        return f'{name}<p class="bad">Made no model: {text.escape(outcome.reason)}</p>{recipe}'
    digest = outcome.candidate.digest
    figures = (
        latency_figure(run, digest),
        accuracy_figure(run, digest),
        size_figure(run, digest),
    )
    return (
        f'{name}<p class="soft">SHA-256 <code>{text.escape(digest)}</code></p>'
        f"{_deltas(deltas(run, digest))}{_charts(figures)}"
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


def _charts(figures: Iterable[go.Figure]) -> str:
    drawn = []
    for figure in figures:
        # Without a template the figure carries no colours but its own: the page's apply.
        figure.update_layout(template="none", autosize=True, font_family="system-ui, sans-serif")
        markup = figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            config={"responsive": True, "displayModeBar": False},
        )
        drawn.append(f"<div>{markup}</div>")
    return f'<div class="charts">{"".join(drawn)}</div>'


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
