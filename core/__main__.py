"""The same use cases on the command line: `python -m core --help`."""

import signal
import sys

from core.pipeline.start import start

WITH_A_MODEL = ("inspect", "optimize", "measure")  # commands that read one in a child

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as after Ctrl+C
    asked = sys.argv[1:]
    child = start() if asked[:1] and asked[0] in WITH_A_MODEL and len(asked) > 1 else None
    from core.cli import main  # whose imports take as long as those of the child

    sys.exit(main(asked, child))
