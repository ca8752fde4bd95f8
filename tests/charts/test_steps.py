"""What passes say of their work, grouped."""

import pytest

from core.charts import steps
from core.charts.report import report_html
from core.records import Note, Skip, Step, StepReport
from tests.charts import builders as b


def test_layers_left_alone_for_one_reason_are_one_line():
    skipped = [Skip(f"conv{i}", Note.text("too small")) for i in range(60)] + [
        Skip("fc", Note.text("shared"))
    ]
    (first, layers), (second, _) = steps.reasons(skipped)
    assert (first, len(layers), second) == ("too small", 60, "shared")
    assert steps.named(layers) == "conv0, conv1, conv2, conv3 and 56 more"


def test_a_step_is_called_as_its_switch_is():
    step = StepReport(Step("fold_batch_norm"), changed=12, seconds=0.077)
    assert steps.headline(step) == "Fold batch norms · 12 changed · 0.1 s"


@pytest.mark.parametrize(
    ("note", "shown"),
    [
        ("Measured on onnxruntime: 0.95", "Measured on ONNX Runtime: 0.95"),
        ("for opencv_classic, not opencv.", "for OpenCV DNN, classic engine, not OpenCV DNN."),
        ("/opencv/conv.1 and my_openvino stay", "/opencv/conv.1 and my_openvino stay"),
    ],
)
def test_a_note_calls_backends_as_the_screen_does(note, shown):
    assert steps.said(note) == shown


def test_the_report_names_no_pass_by_its_file_and_no_number_without_its_unit():
    page = report_html(b.run()).partition("<h2>Every row")
    shown = page[2]
    assert "latency_ms" not in shown
    assert "median latency" in shown
