"""File formats of models: one folder is one format, with its reader, its writer, or both."""
