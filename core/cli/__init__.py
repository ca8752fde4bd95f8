"""The command line: one sub-command per use case, text for people, JSON for scripts.

Exit status 0; 2 for bad input, with one clear line on stderr and nothing written; 1 for a bug.
"""

from core.cli.main import main

__all__ = ["main"]
