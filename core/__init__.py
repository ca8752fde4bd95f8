"""Model file -> Graph -> passes -> Candidate -> measurements per backend -> store -> charts."""
