"""The same use cases on the command line: `python -m core --help`."""

import signal
import sys

from core.cli import main

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as after Ctrl+C
    sys.exit(main())
