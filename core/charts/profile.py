"""Where a candidate spends its time: a lane per layer, before in grey, after by what it does."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from core.charts import lanes, palette, text
from core.records import Explanation, LayerPair, LayerProfile

TITLE = "Time per layer"
MOST_LANES = 15
OFTEN = 3  # so many layers of a kind without weights become one lane
LANE_PX, AROUND_PX, TOP_PX, TITLE_PX = 44, 140, 64, 6
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
Pairs = Sequence[LayerPair]


def profile_figure(answer: Explanation) -> go.Figure:
    """The layers that take most, before and after; small ones of a kind and all others together."""
    drawn = [_lane(pairs) for pairs in _groups(answer.pairs)]
    if not drawn:
        return lanes.message(TITLE, "This backend timed no layer.")
    longest = max(mark.value or 0.0 for lane in drawn for mark in lane.marks)
    panel = lanes.Panel(
        TITLE,
        drawn,
        subtitle=_legend(answer.pairs),
        axis="median time of one call (ms)",
        span=(0.0, lanes.round_up(1.25 * longest)),
    )
    tall = height(answer)
    return lanes.draw(panel).update_layout(
        height=tall, margin_t=TOP_PX, title_y=1 - TITLE_PX / tall
    )


def height(answer: Explanation) -> int:
    """Pixels that the figure needs."""
    return max(lanes.HEIGHT, AROUND_PX + LANE_PX * len(_groups(answer.pairs)))


def doing(layer: LayerProfile) -> str:
    """Key of its colour: the role, integer arithmetic apart."""
    integer = layer.role == "compute" and layer.precision in INTEGER
    return INT8 if integer else layer.role


def _groups(pairs: Pairs) -> list[list[LayerPair]]:
    """What shares a lane, the slowest first; the last lane holds all that did not fit."""
    kinds: dict[str, list[LayerPair]] = {}
    for pair in pairs:
        kinds.setdefault(_kind(pair), []).append(pair)
    found: list[list[LayerPair]] = []
    for kind, members in kinds.items():
        whole = kind and len(members) >= OFTEN
        found += [members] if whole else [[pair] for pair in members]
    found.sort(key=_longest, reverse=True)
    rest = [pair for members in found[MOST_LANES:] for pair in members]
    return [*found[:MOST_LANES], *([rest] if rest else [])]


def _kind(pair: LayerPair) -> str:
    """The kind of a layer that only moves data; empty for one that multiplies."""
    sides = [side for side in (pair.before, pair.after) if side]
    return "" if any(side.macs for side in sides) else sides[-1].kind


def _lane(pairs: Pairs) -> lanes.Lane:
    if len(pairs) > 1:
        return _together(pairs)
    (pair,) = pairs
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
    return lanes.Mark(value, color, f"{_ms(value)} {layer.precision}".strip(), _hover(layer))


def _together(pairs: Pairs) -> lanes.Lane:
    """Many layers as one lane: of one kind, or the small rest."""
    before = [pair.before for pair in pairs if pair.before]
    after = [pair.after for pair in pairs if pair.after]
    kinds = {side.kind for side in (*before, *after)}
    doings = {doing(side) for side in after}
    color = COLORS.get(next(iter(doings)), "") if len(doings) == 1 else COLORS["other"]
    marks = [_sum(before, palette.BASELINE), _sum(after, color)]
    if len(kinds) == 1 and _kind(pairs[0]):
        return lanes.Lane(text.shorten(kinds.pop(), NAME_WIDTH), marks, "all together")
    return lanes.Lane(f"{len(pairs)} smaller layers", marks, "all together")


def _sum(layers: Sequence[LayerProfile], color: str) -> lanes.Mark:
    value = sum(1e3 * layer.seconds for layer in layers)
    many = f"{len(layers)} layer{'' if len(layers) == 1 else 's'}"
    reading = f"{_ms(value)}, {many}" if layers else "none"
    return lanes.Mark(value if layers else None, color, reading, f"{many}, {_ms(value)} ms")


def _ms(value: float) -> str:
    """Milliseconds: three digits at most, and no zeros behind what a clock can tell."""
    return text.number(value) if value >= 1 else f"{value:.3g}"


def _legend(pairs: Pairs) -> str:
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
            f"{_ms(1e3 * layer.seconds)} ms, {100 * layer.share:.0f} % of all layers",
        ]
    )


def _tail(name: str) -> str:
    """A layer's name cut at the front: what tells layers apart stands at the end."""
    flat = " ".join(name.split())
    return flat if len(flat) <= NAME_WIDTH else f"…{flat[-NAME_WIDTH + 1 :]}"


def _longest(pairs: Pairs) -> float:
    """The longer side of what shares a lane."""
    before = sum(pair.before.seconds for pair in pairs if pair.before)
    after = sum(pair.after.seconds for pair in pairs if pair.after)
    return max(before, after)
