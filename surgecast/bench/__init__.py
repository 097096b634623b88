"""Benchmarks that ship with the product: each measures us beside its peers in the same run."""
