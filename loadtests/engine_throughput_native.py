"""llama.cpp's own HTTP server as a process, for engine_throughput.py to compare with; it ends with its stdin."""

import argparse
import sys

import xllamacpp


def main() -> None:
    """Load the model, print the URL, serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--context", type=int, required=True, help="tokens of one slot")
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    parameters = xllamacpp.CommonParams()
    parameters.model.path = arguments.model
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_parallel = arguments.slots
    parameters.n_ctx = arguments.context * arguments.slots
    parameters.kv_unified = False
    parameters.ctx_shift = False
    parameters.ui = False
    parameters.verbosity = 1
    parameters.cpuparams.n_threads = arguments.threads
    parameters.cpuparams_batch.n_threads = arguments.threads
    server = xllamacpp.Server(parameters)
    print(f"url={server.listening_address}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
