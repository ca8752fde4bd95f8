"""Sentences of floats with fewer bits."""

from __future__ import annotations

from collections.abc import Mapping

from core.wording.template import Template

SENTENCES: Mapping[str, Template] = {
    "narrow.beyond": "{value!r} holds {largest:.4g}, beyond its range",
    "narrow.bits": "BitCast takes its bits for another type's",
    "narrow.body": "it holds a body",
    "narrow.converted": "{nodes} nodes now work in a smaller type.",
    "narrow.foreign": "operator {operator} is not known here",
    "narrow.leaves_range": "{operator} leaves the range of float16",
    "narrow.loses": "{operator} loses too much in float16",
    "narrow.makes": "{operator} makes it so",
    "narrow.masked_scores": "one of its outputs holds masked scores, beyond float16's range",
    "narrow.nothing": "Nothing to convert to {type}.",
    "narrow.sequence": "it works on a sequence",
    "narrow.size_alone": "On CPUs float16 saves size, not time.",
    "narrow.stays": "stays {type}: {why}",
    "narrow.summed": "{by} sums its squares",
    "narrow.undefined": "{operator} is not defined for {type}",
    "narrow.untyped": "the type of {value!r} is not known",
    "narrow.vanishes": "{value!r} is {number:.4g}, which would become 0",
    "narrow.works_on": "it works on the result of {source}",
}
