"""Benchmarks: commands that measure a machine and add JSON rows to bench/results. docs/bench.md explains them."""
