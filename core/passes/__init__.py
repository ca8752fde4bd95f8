"""One file per pass; `base` says what a pass is."""
