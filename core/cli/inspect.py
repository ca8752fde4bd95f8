"""`inspect`: parameters, MACs, bytes, inputs, layers and advice of one model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from core.cli.inputs import MODEL, add_model_options, admit
from core.cli.result import Result, count, table
from core.records import ModelSummary, TensorSpec
from core.wording import advised, sentences, summary_in_words
from core.workspace import Workspace


def add(commands: Any) -> None:
    """Register the command."""
    command = commands.add_parser(
        "inspect", help="parameters, MACs, bytes, inputs, layers and advice"
    )
    command.add_argument("model", type=Path, metavar="MODEL", help=MODEL)
    add_model_options(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Admit the model and describe it.

    Raises:
        ModelError: the file was refused.
    """
    with Workspace.passing(options.child) as workspace:
        summary = admit(workspace, options.model, options)
    data = summary_in_words(summary)
    del data["path"]
    return Result(data, _text(summary))


def _text(summary: ModelSummary) -> str:
    lines = [
        f"{summary.name}  opset {summary.opset}  {summary.producer}".rstrip(),
        f"parameters {count(summary.parameters)}  MACs {count(summary.macs)}  "
        f"file {count(summary.size_bytes)}B  nodes {summary.nodes}  "
        f"batch norms {summary.batch_norms}" + ("  already quantized" if summary.quantized else ""),
        *(f"input   {_tensor(spec)}" for spec in summary.inputs),
        *(f"output  {_tensor(spec)}" for spec in summary.outputs),
        "",
        table(
            ("layer", "kind", "output", "parameters", "MACs"),
            (
                (
                    layer.name,
                    layer.kind,
                    "x".join(map(str, layer.output_shape)),
                    count(layer.parameters),
                    count(layer.macs),
                )
                for layer in summary.layers
                if layer.parameters or layer.macs != 0
            ),
        ),
        *(f"\n{item.title}: {item.text}" for item in map(advised, summary.advice)),
        *(f"\nnote: {note}" for note in summary.notes),
        *(f"\nwarning: {warning}" for warning in sentences(summary.warnings)),
    ]
    return "\n".join(lines)


def _tensor(spec: TensorSpec) -> str:
    return f"{spec.name} {spec.dtype} [{', '.join(map(str, spec.shape))}]"
