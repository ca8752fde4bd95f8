"""What made a candidate faster, in the same milliseconds."""

from __future__ import annotations

from collections.abc import Iterator

from core.measure.explain.view import Found, View, count, is_integer, ms, percent
from core.records import Cause, LayerProfile

WORTH_TELLING = 0.03  # of the time before
CLEARLY = 0.1  # what is a difference of two differences is noisier


def arithmetic(view: View) -> Iterator[Found]:
    """Layers that compute in a narrower arithmetic than before."""
    changed = [(a, b) for a, b in view.both if a.precision != b.precision]
    before, after = _sums(changed)
    if not _counts(view, before - after):
        return
    now = max({b.precision for _, b in changed}, key=[b.precision for _, b in changed].count)
    text = (
        f"{count(len(changed), 'layer')} compute in {now} now: {ms(before)} before, {ms(after)} "
        f"after (×{after / before:.2f}). {_best(changed)}"
    )
    yield Found(before - after, Cause(f"{now} arithmetic", text, gain=True))


def smaller_layers(view: View) -> Iterator[Found]:
    """Layers of the same arithmetic with fewer MACs."""
    less = [(a, b) for a, b in view.both if a.precision == b.precision and b.macs < a.macs]
    before, after = _sums(less)
    if not _counts(view, before - after):
        return
    macs = sum(b.macs for _, b in less) / sum(a.macs for a, _ in less)
    text = (
        f"{count(len(less), 'layer')} with {100 * (1 - macs):.0f} % fewer MACs took {ms(before)} "
        f"before and {ms(after)} after (×{after / before:.2f}). {_best(less)}"
    )
    yield Found(before - after, Cause("Smaller layers", text, gain=True))


def gone(view: View) -> Iterator[Found]:
    """Layers that are no more, against those that are new."""
    left = [p.before for p in view.pairs if p.before and not p.after]
    new = [p.after for p in view.pairs if p.after and not p.before]
    saved = _total(left) - _total(new)
    if not _counts(view, saved):
        return
    text = (
        f"{count(len(left), 'layer')} of {ms(_total(left))} are gone, {count(len(new), 'layer')} "
        f"of {ms(_total(new))} are new."
    )
    yield Found(saved, Cause("Fewer layers", text, gain=True))


def calls(view: View) -> Iterator[Found]:
    """Time outside of the layers that is saved."""
    outside = [p.total_s - p.layers_s for p in (view.before, view.after)]
    saved = outside[0] - outside[1]
    busy = view.before.busy or view.after.busy
    if busy or min(outside) < 0 or not _counts(view, saved, CLEARLY):
        return
    text = (
        f"Outside of the layers a call took {ms(outside[0])} before and {ms(outside[1])} after: "
        f"{len(view.before.layers)} layers were run before, {len(view.after.layers)} now."
    )
    yield Found(saved, Cause("Less around the layers", text, gain=True))


Pairs = list[tuple[LayerProfile, LayerProfile]]


def _counts(view: View, saved_s: float, share: float = WORTH_TELLING) -> bool:
    return view.faster and saved_s > share * view.before.total_s


def _sums(chosen: Pairs) -> tuple[float, float]:
    return sum(a.seconds for a, _ in chosen), sum(b.seconds for _, b in chosen)


def _total(layers: list[LayerProfile]) -> float:
    return sum(layer.seconds for layer in layers)


def _best(chosen: Pairs) -> str:
    old, new = max(chosen, key=lambda pair: pair[0].seconds - pair[1].seconds)
    kernel = f" ({new.implementation})" if is_integer(new) and new.implementation else ""
    share = percent(old.seconds - new.seconds, old.seconds)
    return f"Most: {old.name}, {ms(old.seconds)} to {ms(new.seconds)}{kernel}, {share} less."
