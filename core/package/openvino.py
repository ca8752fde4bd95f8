"""OpenVINO on the CPU, with the arithmetic pinned as it was measured."""

from __future__ import annotations

from collections.abc import Mapping

from core.backends.openvino import PROPERTIES
from core.package.base import Snippet
from core.package.base.cpp import openvino_program
from core.package.base.python import here, literal, threads
from core.package.base.subject import Subject
from core.records import Json

RUN = """
def run(model, feeds):
    return list(model(feeds).values())
"""


def properties(subject: Subject) -> Mapping[str, Json]:
    """What the model is compiled with, but for the threads."""
    return {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", **PROPERTIES[subject.precision]}


def load(subject: Subject) -> str:
    """A compiled model."""
    given = [
        f"        {literal(name)}: {_value(value)}," for name, value in properties(subject).items()
    ]
    return "\n".join(
        [
            "def load():",
            '    """The model with the options that were measured."""',
            "    options = {",
            f'        "INFERENCE_NUM_THREADS": {threads(subject)},',
            *given,
            "    }",
            f'    return ov.Core().compile_model({here(subject.file)}, "CPU", options)',
        ]
    )


def _value(value: Json) -> str:
    return literal(value) if isinstance(value, str) else repr(value)


SNIPPET = Snippet(
    distribution="openvino",
    imports=("import openvino as ov",),
    load=load,
    run=lambda subject: RUN,
    programs=openvino_program(properties),
)
