"""Read-only questions about a graph: what it costs, which channels belong together."""
