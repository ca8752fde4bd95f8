"""Serve the requests of `core.measure`."""

from core.devices.local import serve
from core.worker.desk import Desk

if __name__ == "__main__":
    serve(Desk().handlers())
