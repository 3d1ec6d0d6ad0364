# Opens sockets as systemd does, and becomes the program: SPEC... -- PROGRAM ARGUMENT...
# A SPEC is tcp:ADDRESS:PORT, udp:ADDRESS:PORT, unix:PATH or a file.
import os
import socket
import sys

at = sys.argv.index("--")
opened = []
for spec in sys.argv[1:at]:
    kind, _, rest = spec.partition(":")
    if kind in ("tcp", "udp"):
        address, _, port = rest.rpartition(":")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        it = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
        it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        it.bind((address, int(port)))
    elif kind == "unix":
        it = socket.socket(socket.AF_UNIX)
        it.bind(rest)
        os.chmod(rest, 0o600)
    else:
        it = open(spec)
    if kind in ("tcp", "unix"):
        it.listen(128)
    opened.append(it)
# Out of the way first, so that none is written over.
high = [os.dup2(it.fileno(), 200 + number) for number, it in enumerate(opened)]
for number, it in enumerate(high):
    os.dup2(it, 3 + number, inheritable=True)
    os.close(it)
os.environ["LISTEN_FDS"] = str(len(high))
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[at + 1], sys.argv[at + 1:])
