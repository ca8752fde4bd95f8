"""Sentences of a cut: what a group is called, and why nothing could be removed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from core.analysis.channels import OUTPUT, Group
from core.records import Note
from core.wording import sentence

EMPTIED = Note.of("prune.emptied")


def title(group: Group) -> str:
    """The layers of a group, the first few by name."""
    names = group.layers
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + rest


def kept_all(groups: Collection[Group], wish: str, why: str) -> str:
    """Why groups that may be cut lose nothing.

    Args:
        groups: those groups.
        wish: what was asked for.
        why: the reason.
    """
    return (
        f"No channel was removed at {wish} from the {len(groups)} groups that could be cut: {why}. "
        "Ask for more, or for multiple=1."
    )


def nothing_to_cut(groups: Sequence[Group], scope: str) -> str:
    """Why no group may be cut, and the scope that works if there is one.

    Args:
        groups: of the graph.
        scope: that was asked for.
    """
    streams = [g for g in groups if g.stream and not g.frozen]
    reasons: Counter[Note] = Counter()
    for group in groups:
        if group.frozen != OUTPUT and group not in streams:
            reasons[group.frozen or Note.of("as_asked")] += len(group.atoms) * group.width
    found = f": {sentence(reasons.most_common(1)[0][0])}" if reasons else ""
    if scope == "inner" and streams:
        return (
            f"No channel inside a block can be removed{found or ': there is none'}. Residual "
            "streams can be cut: choose scope=all."
        )
    return (
        f"No channel of this graph can be removed{found}. Int8 or replaced convolutions need no "
        "channels to go."
    )
