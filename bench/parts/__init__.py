"""Measurements, each `measure(...) -> figures`, each run by `bench.child` in a process of its own."""
