"""Records -> Plotly figures, tables and words; nothing here knows the screen."""

from core.charts.accuracy import accuracy_figure
from core.charts.latency import latency_figure
from core.charts.layers import layers_figure
from core.charts.profile import profile_figure
from core.charts.sensitivity import sensitivity_figure
from core.charts.size import preview_figure, size_figure
from core.charts.staircase import staircase_figure
from core.charts.tradeoff import tradeoff_figure

__all__ = [
    "accuracy_figure",
    "latency_figure",
    "layers_figure",
    "preview_figure",
    "sensitivity_figure",
    "profile_figure",
    "size_figure",
    "staircase_figure",
    "tradeoff_figure",
]
