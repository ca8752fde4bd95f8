"""Upload -> gate -> Graph + Recipe -> Candidate, in a limited child of its own: the workshop."""
