"""Dense linear algebra on all cores, and the rows that convolutions are to it."""
