"""Speak with whoever attends this kernel, over the Unix socket in the session's folder."""

import json
import os
import socket


def tell(folder, message):
    """Say something that needs no answer."""
    with _connected(folder) as line:
        line.sendall(json.dumps(message).encode() + b"\n")


def ask(folder, message):
    """Ask, and yield every answer as it comes: any number of progress messages, then the last one."""
    with _connected(folder) as line, line.makefile("rwb") as stream:
        stream.write(json.dumps(message).encode() + b"\n")
        stream.flush()
        for answer in stream:
            said = json.loads(answer)
            yield said
            if "progress" not in said:
                return
    raise ConnectionError("whoever attends this kernel went away")


def _connected(folder):
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.connect(os.path.join(folder, "guest.sock"))
    return line
