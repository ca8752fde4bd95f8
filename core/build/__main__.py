"""The workshop's process: `python -m core.build`, started by `client.Workshop` only."""

from core.process import serve

if __name__ == "__main__":
    from core.build.workshop import HANDLERS

    serve(HANDLERS)
