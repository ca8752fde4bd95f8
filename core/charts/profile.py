"""Where a candidate spends its time: a lane per layer, before in grey, after by what it does."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from core.charts import lanes, palette, text
from core.records import Explanation, LayerPair, LayerProfile

TITLE = "Time per layer"
MOST_LAYERS = 15
LANE_PX, AROUND_PX = 44, 132
NAME_WIDTH = 26
INTEGER = ("int8", "int4", "int16")
INT8 = "int8"
COLORS = {
    "compute": "#2a7de1",
    INT8: "#079a72",
    "quantize": "#d9660f",
    "cast": "#c04f86",
    "reorder": "#b565bf",
    "other": "#6f7b90",
}
WORDS = {
    "compute": "float",
    INT8: "int8",
    "quantize": "quantize",
    "cast": "cast",
    "reorder": "layout",
    "other": "other",
}


def profile_figure(answer: Explanation) -> go.Figure:
    """The layers that take most, before and after, and all others as one lane."""
    ranked = sorted(answer.pairs, key=_longest, reverse=True)
    top, rest = ranked[:MOST_LAYERS], ranked[MOST_LAYERS:]
    if not top:
        return lanes.message(TITLE, "This backend timed no layer.")
    drawn = [_lane(pair) for pair in top]
    if rest:
        drawn.append(_rest(rest))
    longest = max(mark.value or 0.0 for lane in drawn for mark in lane.marks)
    panel = lanes.Panel(
        TITLE,
        drawn,
        subtitle=_legend(answer.pairs),
        axis="median time of one call (ms)",
        span=(0.0, lanes.round_up(1.25 * longest)),
    )
    figure = lanes.draw(panel)
    return figure.update_layout(height=height(answer))


def height(answer: Explanation) -> int:
    """Pixels that the figure needs."""
    drawn = min(len(answer.pairs), MOST_LAYERS + 1)
    return max(lanes.HEIGHT, AROUND_PX + LANE_PX * drawn)


def _lane(pair: LayerPair) -> lanes.Lane:
    either = pair.after or pair.before
    name, kind = (either.name, either.kind) if either else ("", "")
    ratio = ""
    if pair.before and pair.after and pair.before.seconds:
        ratio = f"×{pair.after.seconds / pair.before.seconds:.2f}"
    note = f"{text.shorten(kind, 24)} {ratio}".strip()
    return lanes.Lane(_tail(name), [_mark(pair.before, False), _mark(pair.after, True)], note)


def _mark(layer: LayerProfile | None, after: bool) -> lanes.Mark:
    if layer is None:
        words = "not in this model" if after else "not in the original"
        return lanes.Mark(None, palette.BASELINE, words, words)
    value = 1e3 * layer.seconds
    color = COLORS.get(doing(layer), palette.BASELINE) if after else palette.BASELINE
    return lanes.Mark(
        value, color, f"{text.number(value)} {layer.precision}".strip(), _hover(layer)
    )


def _rest(pairs: Sequence[LayerPair]) -> lanes.Lane:
    before = sum(1e3 * p.before.seconds for p in pairs if p.before)
    after = sum(1e3 * p.after.seconds for p in pairs if p.after)
    marks = [
        lanes.Mark(value, color, text.number(value), f"{len(pairs)} layers")
        for value, color in ((before, palette.BASELINE), (after, COLORS["other"]))
    ]
    return lanes.Lane(f"{len(pairs)} more layers", marks, "together")


def doing(layer: LayerProfile) -> str:
    """Key of its colour: the role, integer arithmetic apart."""
    integer = layer.role == "compute" and layer.precision in INTEGER
    return INT8 if integer else layer.role


def _legend(pairs: Sequence[LayerPair]) -> str:
    present = {doing(pair.after) for pair in pairs if pair.after}
    words = [
        f'<span style="color:{COLORS[key]}">■</span> {word}'
        for key, word in WORDS.items()
        if key in present
    ]
    grey = f'<span style="color:{palette.BASELINE}">■</span> original'
    return " ".join([grey, *words])


def _hover(layer: LayerProfile) -> str:
    facts = (layer.kind, layer.op_type, layer.implementation, layer.precision, layer.provider)
    told = dict.fromkeys(fact for fact in facts if fact)
    return "<br>".join(
        [
            f"<b>{text.wrap(layer.name, 44, 3)}</b>",
            text.wrap(" · ".join(told), 56, 3),
            f"{text.number(1e3 * layer.seconds)} ms, {100 * layer.share:.0f} % of all layers",
        ]
    )


def _tail(name: str) -> str:
    """A layer's name cut at the front: what tells layers apart stands at the end."""
    flat = " ".join(name.split())
    return flat if len(flat) <= NAME_WIDTH else f"…{flat[-NAME_WIDTH + 1 :]}"


def _longest(pair: LayerPair) -> float:
    return max((x.seconds for x in (pair.before, pair.after) if x), default=0.0)
