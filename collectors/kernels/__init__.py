"""Compiled inner loops (numba, raw addresses, nogil, cached)."""
