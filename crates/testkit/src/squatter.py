"""Owns a port and writes down what comes: `+HEX` a piece of data, `c` a connection, `=` after a line on stdin."""

import os
import selectors
import socket
import sys

port, reply = int(sys.argv[1]), sys.argv[2].encode()
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", port))
listener.listen(64)
listener.setblocking(False)
ears = selectors.DefaultSelector()
ears.register(listener, selectors.EVENT_READ)
ears.register(0, selectors.EVENT_READ)


def say(text):
    print(text, flush=True)


def accept():
    try:
        peer = listener.accept()[0]
    except OSError:
        return
    peer.setblocking(False)
    ears.register(peer, selectors.EVENT_READ)
    say("c")


def hear(peer):
    try:
        data = peer.recv(65536)
    except OSError:
        data = b""
    if data:
        say("+" + data.hex())
        if reply:
            peer.sendall(reply)
    if reply or not data:
        ears.unregister(peer)
        peer.close()


say("ready")
while True:
    ready = {key.fileobj for key, _ in ears.select()}
    if 0 in ready:
        asked = os.read(0, 1)
        if not asked:
            sys.exit(0)
        # All that was sent before the question is told before the answer.
        while others := {key.fileobj for key, _ in ears.select(0)} - {0}:
            for one in others:
                accept() if one is listener else hear(one)
        say("=")
        continue
    for one in ready:
        accept() if one is listener else hear(one)
