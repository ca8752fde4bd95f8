"""`python -m core.experiment RUN_ID`: the job process of one run."""

import sys

from core.experiment.job import main

if __name__ == "__main__":
    main(sys.argv[1])
