"""Numba kernels of the InfluxDB store. They work on raw addresses and do no I/O."""
