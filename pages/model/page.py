"""Model: where its multiply-accumulates and bytes are, and what could be done about them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.charts import layers_figure
from core.charts.layers import Share, layer_rows
from core.charts.table import to_csv
from core.records import ModelSummary, TensorSpec
from core.wording import sentences
from core.workspace import Workspace
from core.workspace.forecasts import before_pruning
from pages.model import doctor, net
from pages.model.state import state
from pages.shared import (
    advice,
    data_picker,
    downloads,
    formatting,
    glossary,
    model_picker,
    row_cards,
    sensitivity,
    session,
)
from pages.shared.field import rows

HEIGHT = 420
DIGITS = 140  # pixels that 100,000,000,000 needs: what does not fit is cut from the left
SHARES: dict[Share, str] = {"macs": "MACs", "size_bytes": "Bytes", "parameters": "Parameters"}
IN_CSV = "“Layers (CSV)” holds all of them."
CONFIG = {"displaylogo": False, "displayModeBar": False}


def show() -> None:
    """The chosen model from outside in: facts, advice, the layers as a chart and as a table."""
    workspace, owner = session.workspace(), session.owner()
    with st.sidebar:
        run = session.current_run()
        model = model_picker.show(workspace, owner, run)
    if model is None:
        return
    st.title(formatting.plain(model.name))
    facts(model)
    for warning in sentences(model.warnings):
        st.warning(formatting.plain(warning))
    for note in model.notes:
        st.info(formatting.plain(note))
    net.show(workspace, model, run)
    doctor.show(workspace, model)
    st.header("Advice")
    advice.show(model)
    chart(model)
    table(model)
    pruning(workspace, model)
    interface(model)
    glossary.show()
    model_picker.settle()


def pruning(workspace: Workspace, model: ModelSummary) -> None:
    """What cutting each group of layers would cost, on the images chosen on Optimize."""
    st.header("Sensitivity to pruning")
    data = data_picker.chosen_for(workspace, model.digest)
    sensitivity.of_pruning(workspace, model.digest, before_pruning(model), data)


def facts(model: ModelSummary) -> None:
    """The numbers that stand for the whole file."""
    tiles = (
        ("Parameters", formatting.count(model.parameters)),
        ("MACs per sample", formatting.count(model.macs)),
        ("File", formatting.size(model.size_bytes)),
        ("Layers with MACs", f"{sum(layer.macs != 0 for layer in model.layers):,}"),
        ("Nodes", f"{model.nodes:,}"),
        ("Batch norms", f"{model.batch_norms:,}"),
    )
    with st.container(horizontal=True, key="facts"):
        for label, value in tiles:
            st.metric(label, value, border=True, width=160)


def chart(model: ModelSummary) -> None:
    """A bar per layer: where the work, or the weight, is."""
    st.header("Where it goes")
    share = st.segmented_control(
        "Show",
        list(SHARES),
        default="macs",
        required=True,
        format_func=SHARES.__getitem__,
        key=state.share.key,
        label_visibility="collapsed",
    )
    figure = layers_figure(model, share)
    alt = f"{SHARES[share]} of each layer, input to output"
    st.plotly_chart(figure, key="model.chart", height=HEIGHT, config=CONFIG, alt=alt)


def table(model: ModelSummary) -> None:
    """Every layer that computes; sortable, and to take along as CSV."""
    records = layer_rows(model)
    records.sort(key=lambda record: record["layer"] != state.first.get())
    frame = pd.DataFrame(records)
    st.header("Layers")
    if frame.empty:
        st.caption("No layer of this model computes.")
        return
    share = {
        name: st.column_config.ProgressColumn(name, format="%.1f", min_value=0, max_value=100)
        for name in ("MACs (%)", "bytes (%)")
    }
    count = {
        name: st.column_config.NumberColumn(name, format="localized", width=DIGITS)
        for name in ("parameters", "MACs", "bytes")
    }
    st.caption("A row that you pick is shown in the graph; the layer picked there stands first.")
    cards = row_cards.texts(frame, dict.fromkeys(share, "%.1f") | dict.fromkeys(count, "%d"))
    row_cards.show("layers", cards, ("type", "layer"), list(frame.columns[2:]), IN_CSV)
    row_cards.pick(
        "layers",
        frame,
        {"layer": st.column_config.TextColumn("layer", width=220)} | share | count,
        state.layers,
        lambda: reach([str(record["layer"]) for record in records]),
        "single-row",
        "Every layer with its type, shape, parameters, MACs and bytes",
    )
    st.download_button(
        "Layers (CSV)",
        to_csv(records).encode("utf-8-sig"),
        file_name=f"{downloads.slug(model.name)}_layers.csv",
        mime="text/csv",
        on_click="ignore",
        key="model.csv",
    )


def reach(names: Sequence[str]) -> None:
    """Have the picture of the net show the layer that was picked in the table."""
    for row in rows(state.layers):
        state.focus.set((names[row], state.focus.get()[1] + 1))


def interface(model: ModelSummary) -> None:
    """Inputs, outputs, and who wrote the file."""
    st.header("Inputs and outputs")
    lines = [_line("input", spec) for spec in model.inputs]
    lines += [_line("output", spec) for spec in model.outputs]
    st.dataframe(lines, hide_index=True, width="content", alt="Inputs and outputs")
    words = [
        f"opset {model.opset}",
        f"IR version {model.ir_version}",
        f"made by {model.producer}" if model.producer else "",
        "already quantized" if model.quantized else "",
        f"{len(model.labels)} class names" if model.labels else "",
    ]
    st.caption(formatting.plain(" · ".join(word for word in words if word)))
    st.caption(f"SHA-256 {model.digest}")


def _line(role: str, spec: TensorSpec) -> dict[str, str]:
    shape = " × ".join(str(side) for side in spec.shape)
    return {"role": role, "name": spec.name, "type": spec.dtype, "shape": shape}


show()
