"""The workshop's process: `python -m core.pipeline`, started by `client.Workshop` only."""

from core.devices.local import serve

if __name__ == "__main__":
    from core.pipeline.workshop import HANDLERS

    serve(HANDLERS)
