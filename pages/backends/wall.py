"""Backends as a wall of equal cards: what each is, computes in, does with int8, and comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from core.charts import palette
from core.records import BackendInfo
from core.workspace import formats
from pages.shared.formatting import escape, size

CARD = (
    '<li class="{kind}"><h3><span aria-hidden="true" style="background:{color}"></span>'
    "{label} <small>{version}</small></h3><p>{about}</p><dl>{told}</dl>{command}</li>"
)


def markup(infos: Sequence[BackendInfo]) -> str:
    """The cards as one list; every text in them is escaped."""
    return f'<ul class="lathe-wall">{"".join(map(_card, infos))}</ul>'


def _card(info: BackendInfo) -> str:
    told = (f"<div><dt>{name}</dt><dd>{escape(text)}</dd></div>" for name, text in _told(info))
    command = (
        f"<pre><code>{escape(info.remedy)}</code></pre>" if info.reason and info.remedy else ""
    )
    return CARD.format(
        kind="lathe-absent" if info.reason else "lathe-here",
        color=palette.color(info.name),
        label=escape(info.label),
        version=escape(info.version),
        about=escape(info.about),
        told="".join(told),
        command=command,
    )


def _told(info: BackendInfo) -> Iterator[tuple[str, str]]:
    """Name and text of each line of a card; what nobody states is left out."""
    if info.device:
        yield "Device", info.device
    if info.precisions:
        yield "Precisions", ", ".join(one.replace("_", " ") for one in info.precisions)
    if info.int8_does:
        yield "Int8", info.int8_does
    if info.accepts:
        yield "Reads", ", ".join(map(formats.label, info.accepts))
    if info.accepts:
        yield "Layer times", "told" if info.profiles else "not told"
    if package := info.package:
        yield "Package", f"{package.name}, {size(package.size_bytes)}, {package.licence}"
    yield "Name", info.name
