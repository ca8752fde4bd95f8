"""The child that loads, runs and times models on one backend: `python -m core.worker`."""
