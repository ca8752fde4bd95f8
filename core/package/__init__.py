"""Packages: a model with the program that runs it on one backend, as it was measured.

A file of this package is a backend by its name, and ends in `SNIPPET = ...`: how a program loads a
model there, and runs it. What comes before and after that is `base`: pixels into an input, outputs
into words, pinned versions, and the papers that say what was measured.
"""
