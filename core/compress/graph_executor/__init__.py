"""Graph execution in pieces: subgraphs cut out, run one after the other, what they make kept."""
