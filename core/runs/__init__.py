"""Runs: planned, queued under leases, executed, kept; and questions answered on demand."""
