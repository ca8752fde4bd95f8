"""Which layers stay in float, or take how many bits, by measured error and measured time."""
