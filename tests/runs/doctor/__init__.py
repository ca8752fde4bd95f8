"""Tests of the import doctor."""
