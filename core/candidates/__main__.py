"""The workshop's process: `python -m core.candidates`, started by `client.Workshop` only."""

from core.process import serve

if __name__ == "__main__":
    from core.candidates.workshop import HANDLERS

    serve(HANDLERS)
