"""ONNX Runtime on the CPU, with the session options that were measured."""

from __future__ import annotations

from core.backends.base.onnx_settings import ENTRIES
from core.package.base import Snippet
from core.package.base.literals import literal
from core.package.base.python import here, threads
from core.package.base.subject import Subject


def load(subject: Subject) -> str:
    """A session."""
    entries = [
        f"    options.add_session_config_entry({literal(key)}, {literal(value)})"
        for key, value in ENTRIES[subject.precision].items()
    ]
    return "\n".join(
        [
            "def load():",
            '    """The model with the options that were measured."""',
            "    options = ort.SessionOptions()",
            f"    options.intra_op_num_threads = {threads(subject)}",
            "    options.inter_op_num_threads = 1",
            *entries,
            f"    file = {here(subject.file)}",
            '    return ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])',
        ]
    )


RUN = """
def run(session, feeds):
    return session.run(None, feeds)
"""

SNIPPET = Snippet(
    distribution="onnxruntime",
    imports=("import onnxruntime as ort",),
    load=load,
    run=lambda subject: RUN,
)
