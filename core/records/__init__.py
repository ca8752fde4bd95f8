"""Frozen records that cross a process or the disk.

Every record is a frozen dataclass with slots and round-trips through JSON by `to_json` and
`from_json`; nothing here knows a file format, a runtime or the screen.
"""

from core.records.artifacts import Artifact
from core.records.backend_facts import BackendFacts, Int8Facts, Package
from core.records.cards import CardFile
from core.records.codec import (
    Json,
    from_json,
    optional,
    parse_json,
    to_json,
)
from core.records.distributions import Distributions, Histogram
from core.records.foresight import (
    AccuracyForecast,
    Hindsight,
    NextStep,
    NextSteps,
    Sensitivity,
    Stair,
    Staircase,
    StaircaseQuestion,
    StaircaseState,
)
from core.records.goals import Goal, Objective
from core.records.measurements import (
    MEASURED,
    BackendInfo,
    Better,
    Described,
    DeviceInfo,
    Measurement,
    Metric,
    RunOptions,
    Status,
    Verdict,
)
from core.records.models import (
    OPEN_SHAPE,
    DataSummary,
    LayerCost,
    ModelSummary,
    Preprocess,
    Preview,
    SampleModel,
    TensorSpec,
)
from core.records.notes import Note
from core.records.profiles import (
    Cause,
    Explanation,
    LayerPair,
    LayerProfile,
    Profile,
)
from core.records.recipes import (
    Candidate,
    Cut,
    LayerEffect,
    Recipe,
    Skip,
    Step,
    StepReport,
)
from core.records.results import (
    Bookmark,
    Conditions,
    Live,
    Number,
    Result,
)
from core.records.runs import (
    LIVE,
    Answer,
    ExperimentSpec,
    Outcome,
    Run,
    RunLine,
    RunProgress,
    State,
)
from core.records.targets import (
    Device,
    Host,
    Target,
    backend_of,
)
from core.records.topology import GraphNode, Topology

__all__ = [
    "LIVE",
    "MEASURED",
    "OPEN_SHAPE",
    "AccuracyForecast",
    "Answer",
    "Artifact",
    "BackendFacts",
    "BackendInfo",
    "Better",
    "Bookmark",
    "Candidate",
    "CardFile",
    "Cause",
    "Conditions",
    "Cut",
    "DataSummary",
    "Described",
    "Device",
    "DeviceInfo",
    "Distributions",
    "ExperimentSpec",
    "Explanation",
    "Goal",
    "GraphNode",
    "Hindsight",
    "NextStep",
    "NextSteps",
    "Histogram",
    "Host",
    "Int8Facts",
    "Json",
    "LayerCost",
    "LayerEffect",
    "LayerPair",
    "LayerProfile",
    "Live",
    "Measurement",
    "Metric",
    "ModelSummary",
    "Note",
    "Number",
    "Objective",
    "Outcome",
    "Package",
    "Preprocess",
    "Preview",
    "Profile",
    "Recipe",
    "Result",
    "Run",
    "RunLine",
    "RunOptions",
    "RunProgress",
    "SampleModel",
    "Sensitivity",
    "Skip",
    "Stair",
    "Staircase",
    "StaircaseQuestion",
    "StaircaseState",
    "State",
    "Status",
    "Step",
    "StepReport",
    "Target",
    "TensorSpec",
    "Topology",
    "Verdict",
    "backend_of",
    "from_json",
    "optional",
    "parse_json",
    "to_json",
]
