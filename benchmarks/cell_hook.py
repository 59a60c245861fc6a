"""What watching costs a cell that installs nothing: the hooks called in a kernel, timed there."""

from __future__ import annotations

import ast

from jupyter_client.manager import start_new_kernel
from side_by_side import own_home, report

from venvoy import settings
from venvoy.actions.create import Plan, create
from venvoy.actions.launch import kernel_of
from venvoy.frontends import kernelspecs
from venvoy.model import Actor
from venvoy.store import Store

TIMED = """
import time as _time
_shell = get_ipython()
_hooks = [hook.__self__ for hook in _shell.events.callbacks["post_run_cell"]]
_watch = next(hook for hook in _hooks if "venvoy" in type(hook).__module__)
class _Result: execution_count = 1
class _Info: raw_cell = "x = 1"; cell_id = None
def _timed(call, times=20000):
    began = _time.perf_counter()
    for _ in range(times): call()
    return (_time.perf_counter() - began) / times
[[_timed(lambda: (_watch.before(_Info), _watch.after(_Result))), _timed(lambda: None)] for _ in range(9)]
"""


def main() -> None:
    with own_home():
        store = Store(settings.current())
        env = create(store, Plan(name="hook"), actor=Actor(kind="command", command="benchmark"))
        kernelspecs.write(kernelspecs.spec(store, env, encrypts=kernel_of(store, env).encrypts))
        manager, client = start_new_kernel(kernel_name="venvoy-hook")
        try:
            hooked, empty = zip(*_measured(client), strict=True)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    taken = {"hook": list(hooked), "an empty call": list(empty)}
    report("watching an unchanged environment, per cell", taken, unit="µs")


def _measured(client) -> list[list[float]]:
    found: list[str] = []

    def hear(message) -> None:
        if message["msg_type"] == "execute_result":
            found.append(message["content"]["data"]["text/plain"])

    client.execute_interactive(TIMED, timeout=120, output_hook=hear)
    return ast.literal_eval(found[0])


if __name__ == "__main__":
    main()
