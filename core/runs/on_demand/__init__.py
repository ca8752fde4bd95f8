"""Work on demand: a question is asked by its key, polled, waited for or stopped; answers are kept.

Pages look again and again and never wait. What they ask for is worked on in turns, fair between
visitors (`turns`); what was found is kept in memory and in a file (`shelf`); what failed is told as
the typed error that it was (`engine`). What is asked, and how it is answered, is for each
description of work to say: `sensitivity_job`, `latency_curve_times`, `profiles`, `preview_cache`,
`preprocess_search`.
"""

from core.runs.on_demand.engine import OnDemand, Standing, Step
from core.runs.on_demand.shelf import Shelf, key_of
from core.runs.on_demand.turns import Check, Turns

__all__ = ["Check", "OnDemand", "Shelf", "Standing", "Step", "Turns", "key_of"]
