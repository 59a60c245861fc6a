"""Speak with whoever attends this kernel, over the Unix socket in the session's folder."""

import json
import os
import select
import socket

PATIENCE = 5.0
"""Seconds after which an attendant that does not take what we say is given up."""
BLINK = 0.15
"""Seconds after which somebody who asked is told that we are waiting."""


def tell(folder, message):
    """Say something that needs no answer."""
    with _connected(folder) as line:
        line.sendall(json.dumps(message).encode() + b"\n")


def ask(folder, message, patience=None):
    """Ask, and yield every answer as it comes: any number of progress messages, then the last one.

    Raises OSError when an answer takes longer than `patience` seconds; None waits for as long as it takes.
    """
    with _connected(folder) as line, line.makefile("rb") as answers:
        line.sendall(json.dumps(message).encode() + b"\n")
        line.settimeout(patience)
        if not select.select([line], [], [], BLINK)[0]:
            yield {"progress": "Looking …"}
        for answer in answers:
            said = json.loads(answer)
            yield said
            if "progress" not in said:
                return
    raise ConnectionError("whoever attends this kernel went away")


def hold(folder):
    """Hold the line until whoever attends us hangs up, or is no more."""
    with _connected(folder) as line:
        line.settimeout(None)
        while line.recv(4096):
            pass


def _connected(folder):
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(PATIENCE)
    try:
        line.connect(os.path.join(folder, "guest.sock"))
    except BaseException:
        line.close()
        raise
    return line
