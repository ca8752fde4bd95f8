"""How numbers are measured; the only place that turns a CoreError into rows."""

from core.measure import staircase
from core.measure.evaluation import evaluate
from core.measure.explain import explain, explained
from core.measure.footprint import sizes, startup, zipped_bytes
from core.measure.host import described, host, int8_outlook, target
from core.measure.latency import LatencyJob, latency
from core.measure.metrics import METRICS
from core.measure.profile import ProfileJob, profile
from core.measure.rows import no_data
from core.measure.scoring import Scorer
from core.measure.scoring import failed as accuracy_failed
from core.measure.verify import Verifier, checked, checked_on
from core.metrics.base.outputs import Outputs
from core.worker.client import Cancelled
from core.worker.setting import Setting, Source

__all__ = [
    "METRICS",
    "Cancelled",
    "LatencyJob",
    "Outputs",
    "ProfileJob",
    "Scorer",
    "Setting",
    "Source",
    "Verifier",
    "accuracy_failed",
    "checked",
    "checked_on",
    "described",
    "evaluate",
    "explain",
    "explained",
    "host",
    "int8_outlook",
    "latency",
    "no_data",
    "profile",
    "sizes",
    "staircase",
    "startup",
    "target",
    "zipped_bytes",
]
