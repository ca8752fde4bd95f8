"""Nets of real size, built from their papers with random weights that look like trained ones."""

from benchmarks.nets.catalogue import BIG, NETS, Net, build, find

__all__ = ["BIG", "NETS", "Net", "build", "find"]
