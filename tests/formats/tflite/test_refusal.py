"""All that is in the way is told in one message, with names; a long list says how many more."""

from __future__ import annotations

import onnx_ir as ir

from core.formats.tflite.refusal import MOST, Obstacle, failure


def test_one_and_several_are_counted():
    one = Obstacle("last", "Acosh", "there is no such operator in TFLite")
    assert failure([one]).message == (
        "1 operator cannot be written as TFLite: Acosh 'last': there is no such operator in TFLite."
    )
    assert failure([one] * 3).message.startswith("3 operators cannot be written")
    assert failure([one] * (MOST + 2)).message.endswith("; and 2 more.")


def test_a_domain_of_its_own_is_named():
    node = ir.Node("custom", "Magic", [], name="m")
    assert str(Obstacle.of(node, "nobody knows it")) == "custom.Magic 'm': nobody knows it"
