"""Why a candidate is as fast as it is: one made-up pair of profiles per cause, and its opposite."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from core.errors import BackendUnavailable
from core.measure import Setting, Source, explain, explained
from core.measure.profile import ProfileJob, pairs, profile, read
from core.passes.base import build
from core.records import (
    Cause,
    Explanation,
    Host,
    LayerProfile,
    Profile,
    Step,
    from_json,
    to_json,
)
from core.worker.protocol import LayerRow, LayerRows
from core.worker.timing.plan import ProfilingPlan as Plan
from tests.measure.subjects import admitted, net

PLAIN = Host("Some CPU", ("AVX2",), 2, "Linux")
VNNI = Host("Some CPU", ("AVX2", "AVX-512", "AVX-512 VNNI"), 2, "Linux")


def layer(name: str, us: float, **changes: Any) -> LayerProfile:
    """A float convolution of 64 channels that takes `us` microseconds."""
    made = LayerProfile(
        name, name, "Conv", "conv 3x3", us / 1e6, 0.0, "f32", "CPU", "nchwc.Conv", macs=1000,
        channels=64,
    )  # fmt: skip
    return replace(made, **changes)


def int8(name: str, us: float, **changes: Any) -> LayerProfile:
    return layer(name, us, op_type="QLinearConv", precision="int8", **changes)


def plumbing(name: str, us: float, role: str, **changes: Any) -> LayerProfile:
    return layer(name, us, op_type=role, kind=role, role=role, macs=0, channels=0, **changes)


def of(*layers: LayerProfile, call_us: float | None = None, **facts: Any) -> Profile:
    """A profile whose call takes what its layers take, unless it says otherwise."""
    total = sum(x.seconds for x in layers)
    shared = tuple(replace(x, share=x.seconds / total) for x in layers)
    macs = sum(x.macs for x in layers)
    made = Profile(
        "b" * 64, "onnxruntime", 1, shared, total if call_us is None else call_us / 1e6,
        macs=macs, parameters=1000, size_bytes=4000,
    )  # fmt: skip
    return replace(made, **facts)


ORIGINAL = replace(of(layer("one", 100), layer("two", 100)), candidate="a" * 64)


def found(after: Profile, title: str, before: Profile = ORIGINAL, host: Host = VNNI) -> Cause:
    causes = {cause.title: cause for cause in explain(before, after, host)}
    assert title in causes, list(causes)
    assert re.search(r"\d", causes[title].text), "a cause without a number"
    return causes[title]


def titles(after: Profile, before: Profile = ORIGINAL, host: Host = VNNI) -> set[str]:
    return {cause.title for cause in explain(before, after, host)}


def switches(text: str) -> list[Step]:
    """What stands between backticks, as the command line would read it."""
    steps = []
    for words in re.findall(r"`([^`]+)`", text):
        name, _, rest = words.partition(" ")
        params: dict[str, Any] = {}
        for assignment in rest.split():
            key, _, value = assignment.partition("=")
            number = int(value) if value.isdigit() else value
            params[key] = tuple(value.split(",")) if key == "exclude" else number
        steps.append(Step(name, params))
    return steps


STATIC = ("fold_batch_norm", "quantize_static")
QUANTIZED = of(
    plumbing("q", 30, "quantize"), int8("one", 40, sources=("q",)),
    plumbing("dq", 30, "quantize", sources=("one",)), int8("two", 40, sources=("dq",)),
    plumbing("end", 30, "quantize", sources=("two",)), quantized=True,
)  # fmt: skip
ISLAND = of(
    int8("one", 40),
    plumbing("dq", 10, "quantize", sources=("one",)),
    layer("norm", 60, op_type="BatchNormalization", kind="batch norm", sources=("dq",)),
    plumbing("q", 10, "quantize", sources=("norm",)),
    int8("two", 40, sources=("q",)),
    quantized=True,
)  # fmt: skip
OTHER_ISLAND = of(
    int8("one", 40), layer("swish", 60, op_type="HardSwish", kind="HardSwish", sources=("one",)),
    int8("two", 40, sources=("swish",)), quantized=True,
)  # fmt: skip
PARTLY = of(int8("one", 40), layer("two", 100), quantized=True)
NEVER = of(layer("one", 100), layer("two", 100), quantized=True)
SLOWER = of(int8("one", 160, kind="depthwise 3x3"), int8("two", 40), quantized=True)
UNBLOCKED = of(
    plumbing("in", 20, "reorder"), layer("one", 60, channels=60), plumbing("out", 20, "reorder"),
    layer("two", 60), macs=1000,
)  # fmt: skip
EVEN = of(plumbing("in", 20, "reorder"), layer("one", 60), plumbing("out", 20, "reorder"))
BETWEEN_NORMS = replace(
    ISLAND, layers=(*ISLAND.layers, plumbing("t", 30, "reorder"), plumbing("u", 9, "reorder"))
)
SMALL = of(layer("one", 20), layer("two", 20), call_us=120)
LIGHT = of(
    layer("one", 40, macs=300), layer("two", 100, macs=100, kind="depthwise 3x3"), call_us=180
)
HALF = of(layer("one", 100), layer("two", 100), plumbing("c", 5, "cast"), size_bytes=2000)
NORMED = replace(ORIGINAL, batch_norms=2)
ZEROED = replace(of(layer("one", 99), layer("two", 101)), zero_share=0.62)

HINDRANCES = {
    "Quantizing and dequantizing": (QUANTIZED, ORIGINAL, VNNI),
    "Quantizing at the ends": (replace(QUANTIZED, layers=QUANTIZED.layers[:3]), ORIGINAL, VNNI),
    "Float islands": (ISLAND, ORIGINAL, VNNI),
    "Layers that stayed float": (PARTLY, ORIGINAL, VNNI),
    "int8 kernels slower than float ones": (SLOWER, ORIGINAL, VNNI),
    "No int8 instructions here": (of(int8("one", 90), int8("two", 96)), ORIGINAL, PLAIN),
    "Layout changes": (UNBLOCKED, ORIGINAL, PLAIN),
    "Channels that fill no block": (UNBLOCKED, ORIGINAL, PLAIN),
    "The call itself": (SMALL, ORIGINAL, VNNI),
    "What is left waits for memory": (LIGHT, ORIGINAL, VNNI),
    "float16 is storage only on a CPU": (HALF, ORIGINAL, VNNI),
    "The runtime had fused it already": (of(layer("one", 100), layer("two", 100)), NORMED, VNNI),
    "Zeros are computed all the same": (ZEROED, ORIGINAL, VNNI),
}


@pytest.mark.parametrize("title", HINDRANCES)
def test_each_cause_is_found_with_its_number(title: str):
    after, before, host = HINDRANCES[title]
    cause = found(after, title, before, host)
    assert not cause.gain
    assert cause.text.endswith(".")


@pytest.mark.parametrize("title", HINDRANCES)
def test_no_cause_is_found_where_nothing_changed(title: str):
    same = replace(ORIGINAL, candidate="b" * 64)
    assert titles(same, host=HINDRANCES[title][2]) == {"No single cause"}


@pytest.mark.parametrize("title", HINDRANCES)
def test_a_fix_names_switches_that_exist(title: str):
    after, before, host = HINDRANCES[title]
    for step in switches(found(after, title, before, host).fix):
        assert build(step)


def test_most_causes_have_a_fix():
    fixes = [found(after, t, before, host).fix for t, (after, before, host) in HINDRANCES.items()]
    assert sum(bool(fix) for fix in fixes) >= len(fixes) - 4


def test_batch_norms_between_integer_layers_are_folded_first():
    assert "12 %" not in found(ISLAND, "Float islands").text
    assert "1 float layer (1 BatchNormalization)" in found(ISLAND, "Float islands").text
    assert "fold_batch_norm" in found(ISLAND, "Float islands").fix
    assert "fold_batch_norm" in found(BETWEEN_NORMS, "Layout changes").fix


def test_what_could_not_be_folded_is_left_float_with_its_neighbours():
    fix = found(replace(ISLAND, passes=STATIC), "Float islands").fix
    assert "fold_batch_norm" not in fix
    assert switches(fix) == [Step("quantize_static", {"exclude": ("one",)})]


def test_another_island_frees_its_neighbours():
    cause = found(OTHER_ISLAND, "Float islands")
    assert "ran no HardSwish in int8" in cause.text
    assert switches(cause.fix)[0].params["exclude"] == ("one",)


def test_only_what_the_file_quantized_can_be_spared_conversions():
    refused = replace(PARTLY.layers[1], stored_integer=True)
    partly = replace(PARTLY, layers=(PARTLY.layers[0], refused))
    assert switches(found(partly, "Layers that stayed float").fix)[0].params["exclude"] == ("two",)
    assert "keeps them float" in found(PARTLY, "Layers that stayed float").text
    assert not found(PARTLY, "Layers that stayed float").fix


def test_a_layer_is_freed_only_if_that_pays_for_the_way_to_float_and_back():
    inside = of(
        plumbing("q", 20, "quantize"), int8("zero", 40, sources=("q",)),
        int8("one", 120, sources=("zero",)), int8("two", 40, sources=("one",)), quantized=True,
    )  # fmt: skip
    before = replace(of(*(layer(n, 100) for n in ("zero", "one", "two"))), candidate="a" * 64)
    title = "int8 kernels slower than float ones"
    assert "exclude" not in found(inside, title, before).fix
    cheap = replace(inside, layers=(replace(inside.layers[0], seconds=2e-6), *inside.layers[1:]))
    assert "exclude=one" in found(cheap, title, before).fix


def test_a_kernel_that_was_lost_is_named():
    slow = [replace(x, implementation="Conv") for x in UNBLOCKED.layers]
    assert (
        "1 layer fell back from nchwc.Conv to Conv"
        in found(replace(UNBLOCKED, layers=tuple(slow)), "Channels that fill no block").text
    )


def test_layers_that_got_slower_do_not_wait_for_memory():
    slow = [replace(x, seconds=3 * x.seconds) for x in LIGHT.layers]
    assert "What is left waits for memory" not in titles(replace(LIGHT, layers=tuple(slow)))


def test_what_stands_at_the_end_is_no_island():
    assert "Float islands" not in titles(PARTLY)


def test_a_backend_that_runs_nothing_in_integers_is_said_so():
    cause = found(NEVER, "Layers that stayed float")
    assert "0 of 2 layers" in cause.text
    assert "in float throughout" in cause.text
    assert "weights alone" in cause.fix
    tried = replace(NEVER, layers=(*NEVER.layers, plumbing("q", 9, "quantize")), passes=STATIC)
    fix = found(tried, "Layers that stayed float").fix
    assert "off for this backend" in fix
    assert switches(fix) == [Step("quantize_static")]


def test_slow_integer_layers_are_named_to_be_left_alone():
    cause = found(SLOWER, "int8 kernels slower than float ones")
    assert "0.06 ms" in cause.text
    assert "depthwise 3x3" in cause.text
    assert switches(cause.fix) == [Step("quantize_int8", {"exclude": ("one",)})]


def test_vnni_is_missed_only_where_it_is_missing():
    after = of(int8("one", 90), int8("two", 96), quantized=True)
    assert "No int8 instructions here" not in titles(after, host=VNNI)
    assert "×0.93" in found(after, "No int8 instructions here", host=PLAIN).text
    quick = of(int8("one", 30), int8("two", 35), quantized=True)
    assert "No int8 instructions here" not in titles(quick, host=PLAIN)


@pytest.mark.parametrize(("host", "block"), [(PLAIN, 8), (VNNI, 16)])
def test_blocks_are_as_wide_as_the_registers(host: Host, block: int):
    cause = found(UNBLOCKED, "Channels that fill no block", host=host)
    assert switches(cause.fix) == [Step("prune_channels", {"multiple": block})]


def test_channels_that_were_odd_before_are_not_the_candidates_fault():
    before = replace(of(layer("one", 100, channels=60), layer("two", 100)), candidate="a" * 64)
    assert "Channels that fill no block" not in titles(UNBLOCKED, before)


def test_layout_changes_with_even_channels_are_not_blamed_on_them():
    assert "multiple" not in found(EVEN, "Layout changes").text


def test_threads_are_blamed_for_a_call_that_waits():
    cause = found(replace(SMALL, threads=0), "The call itself")
    assert cause.fix == "Measure with 1 thread."
    assert "67 %" in cause.text


def test_a_busy_machine_is_not_the_cost_of_a_call():
    assert "The call itself" not in titles(replace(SMALL, busy=True))


GAINS = {
    "int8 arithmetic": of(int8("one", 40), int8("two", 40), quantized=True),
    "Smaller layers": of(layer("one", 50, macs=400), layer("two", 60, macs=500)),
    "Fewer layers": of(layer("one", 100)),
    "Less around the layers": of(layer("one", 100), layer("two", 100), call_us=220),
}


@pytest.mark.parametrize("title", GAINS)
def test_a_gain_says_what_gave_it(title: str):
    before = replace(ORIGINAL, total_s=500e-6) if title.startswith("Less") else ORIGINAL
    assert found(GAINS[title], title, before).gain


def test_a_gain_has_both_times():
    assert (
        "0.2 ms before, 0.08 ms after (×0.40)"
        in found(GAINS["int8 arithmetic"], "int8 arithmetic").text
    )
    assert "55 % fewer MACs" in found(GAINS["Smaller layers"], "Smaller layers").text


def test_nothing_is_a_gain_if_the_call_is_not_shorter():
    slower = replace(GAINS["int8 arithmetic"], total_s=300e-6)
    assert not any(cause.gain for cause in explain(ORIGINAL, slower, VNNI))


def test_the_largest_cause_is_told_first():
    both = of(
        plumbing("q", 20, "quantize"), int8("one", 250), int8("two", 40), quantized=True
    )  # fmt: skip
    order = [cause.title for cause in explain(ORIGINAL, both, VNNI)]
    assert order.index("int8 kernels slower than float ones") < order.index(
        "Quantizing at the ends"
    )


def test_the_original_needs_no_explanation():
    assert explain(ORIGINAL, ORIGINAL, VNNI) == ()


def test_layers_are_matched_by_name_and_what_was_renamed_by_kind():
    before = of(layer("a", 1), layer("x", 2), layer("b", 3), layer("old", 4, kind="pool"))
    after = of(
        layer("a", 1), layer("y", 2), layer("b", 3), plumbing("q", 5, "quantize")
    )  # fmt: skip
    names = [(p.before and p.before.name, p.after and p.after.name) for p in pairs(before, after)]
    assert set(names) == {("a", "a"), ("x", "y"), ("b", "b"), (None, "q"), ("old", None)}


def test_no_time_is_lost_or_counted_twice():
    before = of(layer("a", 1), layer("a", 2, node="a2"), layer("c", 7))
    after = of(layer("c", 5), layer("d", 6), plumbing("q", 5, "quantize"))
    matched = pairs(before, after)
    for side, whole in (("before", before), ("after", after)):
        kept = [getattr(pair, side) for pair in matched if getattr(pair, side)]
        assert sum(x.seconds for x in kept) == pytest.approx(whole.layers_s)


def test_everything_goes_through_json():
    answer = explained(ORIGINAL, ISLAND, VNNI)
    assert answer.causes
    assert from_json(Explanation, json.loads(json.dumps(to_json(answer)))) == answer


def test_rows_of_a_worker_get_kind_and_macs_from_the_file(tmp_path):
    model = admitted(net(), tmp_path)
    (conv,) = [x for x in model.layers if x.op_type == "Conv"]
    row = {
        "node": "n", "name": conv.name, "op_type": "Conv", "role": "compute", "precision": "f32",
        "provider": "CPU", "implementation": "k", "sources": (), "seconds": 0.5,
    }  # fmt: skip
    rows = (LayerRow(**row), LayerRow(**(row | {"node": "m"})))
    reply = LayerRows(1.0, 0.99, 2.0, 3, rows)
    made = read(reply, model, Setting.of("onnxruntime"))
    assert (made.layers[0].kind, made.layers[0].macs) == (conv.kind, conv.macs)
    assert made.layers[0].share == 0.5
    assert "2.0 times as long" in " ".join(made.notes)
    assert not made.busy
    crowded = read(replace(reply, cpu_s=0.4), model, Setting.of("onnxruntime"))
    assert crowded.busy
    assert "busy with other work" in " ".join(crowded.notes)


def test_a_backend_that_does_not_tell_says_so(tmp_path):
    model = admitted(net(), tmp_path)
    job = ProfileJob(model, model, Setting.of("null"), Source(), plan=Plan(1, 0.1, 1, 1))
    with pytest.raises(BackendUnavailable, match="does not tell"):
        profile(job)
