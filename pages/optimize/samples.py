"""The table of sample models: what batch norms, shortcuts and depthwise layers cost and give."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.records import ModelSummary
from core.workspace import Workspace


def show(workspace: Workspace, model: ModelSummary) -> None:
    """Four nets trained on the same task, in one table; beside a sample only."""
    if model.digest not in {sample.digest for sample in workspace.models.samples()}:
        return
    frame = pd.DataFrame(
        [
            {
                "sample": sample.title,
                "top-1 (%)": sample.top1,
                "size (MB)": sample.size_bytes / 1e6,
                "parameters (M)": sample.parameters / 1e6,
                "MACs (M)": sample.macs / 1e6,
                "batch norms": sample.batch_norms,
                "what it is": sample.description,
            }
            for sample in workspace.models.samples()
        ]
    )
    with st.expander("The sample models: one task, four architectures"):
        st.dataframe(
            frame,
            hide_index=True,
            column_config={
                name: st.column_config.NumberColumn(name, format="%.1f" if "%" in name else "%.2f")
                for name in ("top-1 (%)", "size (MB)", "parameters (M)", "MACs (M)")
            },
            alt="Sample models with accuracy, size and cost",
        )
