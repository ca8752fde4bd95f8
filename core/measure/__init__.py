"""How numbers are measured; the only place that turns a CoreError into rows."""

from core.measure import staircase
from core.measure.accuracy import accuracy, evaluate
from core.measure.accuracy import failed as accuracy_failed
from core.measure.explain import explain, explained
from core.measure.footprint import sizes, startup, zipped_bytes
from core.measure.host import host, int8_outlook
from core.measure.latency import LatencyJob, latency
from core.measure.metrics import METRICS
from core.measure.profile import ProfileJob, profile
from core.measure.rows import no_data
from core.measure.verify import Verifier, checked
from core.metrics.base.outputs import Outputs
from core.worker.client import Cancelled
from core.worker.setting import Setting, Source

__all__ = [
    "METRICS",
    "Cancelled",
    "LatencyJob",
    "Outputs",
    "ProfileJob",
    "Setting",
    "Source",
    "Verifier",
    "accuracy",
    "accuracy_failed",
    "checked",
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
    "zipped_bytes",
]
