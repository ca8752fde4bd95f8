"""OpenVINO on the CPU, with the arithmetic pinned as it was measured."""

from __future__ import annotations

from collections.abc import Mapping

from core.backends.openvino import PROPERTIES
from core.package.base import Snippet, cpp
from core.package.base.literals import literal
from core.package.base.python import here, threads
from core.package.base.subject import Subject
from core.records import Json

RUN = """
def run(model, feeds):
    return list(model(feeds).values())
"""


CPP_LOAD = """static ov::CompiledModel load()
{{
    return ov::Core().compile_model({file}, "CPU", {{
        {{"INFERENCE_NUM_THREADS", {threads}}},
{options}
    }});
}}
"""
CPP_RUN = """    ov::InferRequest request = load().create_infer_request();
    request.set_tensor({name}, ov::Tensor(ov::element::from<{type}>(), shape, input.data()));
    request.infer();
    for (size_t i = 0; i < request.get_compiled_model().outputs().size(); ++i) {{
        const ov::Tensor output = request.get_output_tensor(i);
        show(output.data<float>(), output.get_size());
    }}"""


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


def load_in_cpp(subject: Subject) -> str:
    """The same in C++, where every property may be given as text."""
    given = [
        f"        {{{cpp.literal(name)}, {cpp.literal(_text(value))}}},"
        for name, value in properties(subject).items()
    ]
    return CPP_LOAD.format(
        file=cpp.literal(subject.file), threads=cpp.threads(subject), options="\n".join(given)
    )


def _text(value: Json) -> str:
    return {True: "YES", False: "NO"}[value] if isinstance(value, bool) else str(value)


SNIPPET = Snippet(
    distribution="openvino",
    imports=("import openvino as ov",),
    load=load,
    run=lambda subject: RUN,
    programs=cpp.Runtime(
        include="openvino/openvino.hpp",
        load=load_in_cpp,
        run=CPP_RUN,
        find="find_package(OpenVINO REQUIRED COMPONENTS Runtime)",
        libraries=" openvino::runtime",
        size="size_t",
    ).programs(),
)
