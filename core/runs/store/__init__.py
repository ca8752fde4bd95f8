"""Every run, what became of its recipes, and every number measured: one SQLite file.

Written by several processes at once (the server, jobs, the command line): WAL, and
synchronous=FULL, so that what was acknowledged survives a kill. A row for a question that was
answered before (same run, candidate, backend, metric, condition) supersedes the older answer.
"""

from core.runs.store.database import BUSY_S, PATIENT_S, VERSION
from core.runs.store.listing import Listed
from core.runs.store.results import Store, question

__all__ = ["BUSY_S", "PATIENT_S", "VERSION", "Listed", "Store", "question"]
