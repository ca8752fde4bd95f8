"""One file per runtime; `base` says what a backend is."""
