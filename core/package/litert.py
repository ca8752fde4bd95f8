"""LiteRT on the CPU; for Android a class in Kotlin beside the program in Python."""

from __future__ import annotations

from core.package.base import Snippet
from core.package.base.kotlin import program
from core.package.base.literals import literal
from core.package.base.python import here, threads
from core.package.base.subject import Subject


def load(subject: Subject) -> str:
    """A signature, which takes inputs by name."""
    return "\n".join(
        [
            "def load():",
            '    """The model with the options that were measured."""',
            f"    model = Interpreter({here(subject.file)}, num_threads={threads(subject)})",
            "    model.allocate_tensors()",
            "    return model.get_signature_runner()",
        ]
    )


def run(subject: Subject) -> str:
    """Outputs in the order of the ONNX model."""
    names = ", ".join(literal(spec.name) for spec in subject.outputs)
    return "\n".join(
        [
            "def run(model, feeds):",
            "    found = model(**feeds)",
            f"    return [found[name] for name in ({names},)]",
        ]
    )


SNIPPET = Snippet(
    distribution="ai-edge-litert",
    imports=("from ai_edge_litert.interpreter import Interpreter",),
    load=load,
    run=run,
    programs={"Predict.kt": program},
)
