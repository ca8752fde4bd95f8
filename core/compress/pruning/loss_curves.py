"""Loss curve of a group: its error at every depth of cut, from the few that were measured.

Between two measured depths the error of a group follows the error that the elimination derived,
scaled to pass through both; it never falls. Beyond the deepest it goes on in proportion to the
derived error, which rises steeply where few atoms are left: up to what losing all answers costs.
A budget is allocated along these curves.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from core.compress.pruning.group_sensitivity import Effect
from core.compress.pruning.obs_ranking import Ranking

BEYOND = 4.0  # error of losing all atoms, in errors of the deepest cut measured, at the least
TINY = 1e-20
NOTHING = 1.0  # error of outputs that are their mean whatever the image is


def curve(ranking: Ranking, effects: Mapping[int, Effect]) -> dict[int, float]:
    """Atoms removed -> error of the outputs, for every count of a group."""
    depths = sorted(effects)
    seen = np.maximum.accumulate([effects[d].error for d in depths])
    derived = [0.0, *(float(ranking.error[d - 1]) for d in depths)]
    last = max(float(ranking.error[-1]), derived[-1])
    at = [*derived, last]
    grown = min(float(seen[-1]) * last / max(derived[-1], TINY), NOTHING)
    values = [0.0, *seen.tolist(), max(float(seen[-1]) * BEYOND, grown)]
    every = np.interp(ranking.error, at, values)
    return {0: 0.0} | {i + 1: float(e) for i, e in enumerate(np.maximum.accumulate(every))}
