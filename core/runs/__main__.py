"""`python -m core.runs RUN_ID`: the job process of one run."""

import sys

from core.runs.executor import main

if __name__ == "__main__":
    main(sys.argv[1])
