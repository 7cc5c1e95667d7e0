"""`python -m bench` is `flowact bench`."""

import typer

from bench.commands import bench

if __name__ == "__main__":
    typer.run(bench)
