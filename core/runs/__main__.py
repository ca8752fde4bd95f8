"""`python -m core.runs RUN_ID [--gently]`: the job process of one run."""

import os
import sys

from core.runs.job import main
from core.runs.queue import GENTLY

LEAST_PRIORITY = 19

if __name__ == "__main__":
    if GENTLY in sys.argv[2:]:
        os.nice(LEAST_PRIORITY)
    main(sys.argv[1])
