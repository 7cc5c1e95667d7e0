"""Benchmarks: each a command that writes a JSON row to bench/results."""
