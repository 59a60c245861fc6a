"""The whole story in a real JupyterLab server, through its REST API and a websocket, as JupyterLab itself does it."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from venvoy.actions.create import Plan, create
from venvoy.actions.launch import kernel_of
from venvoy.frontends import kernelspecs
from venvoy.model import Environment

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.xdist_group("server")]


@pytest.fixture
def env(store, actor):
    made = create(store, Plan(name="story"), actor=actor)
    kernelspecs.write(kernelspecs.spec(store, made, encrypts=kernel_of(store, made).encrypts))
    return made


def _eventually(holds: Callable[[], object], *, within: float = 30) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def _begun(server, env: Environment, path: str = "analysis.ipynb") -> tuple[int, dict]:
    body = {"path": path, "name": path, "type": "notebook", "kernel": {"name": kernelspecs.spec_name(env.name)}}
    return server.ask("POST", "/api/sessions", body)


def test_a_researchers_day(serve, env, store, settings, wheels):
    wheels.add("tinytool", "1.0")
    server, project = serve(), store.project("story")
    listed = server.ask("GET", "/api/kernelspecs")[1]["kernelspecs"]
    assert listed["venvoy-story"]["spec"]["display_name"] == "story (venvoy)"
    assert "logo-svg" in listed["venvoy-story"]["resources"]

    status, session = _begun(server, env)
    assert status == 201, session
    kernel = session["kernel"]["id"]
    cells = server.channels(kernel)
    assert str(env.prefix) in cells.run("import sys; print(sys.prefix)")

    before = (project / "environment.yml").read_text("utf-8")
    cells.run(f"%pip install -q --no-index --find-links {wheels.folder} tinytool")
    _eventually(lambda: (project / "environment.yml").read_text("utf-8") != before)
    assert "- tinytool==1.0" in (project / "environment.yml").read_text("utf-8")
    last = json.loads((project / ".venvoy/log.jsonl").read_text("utf-8").splitlines()[-1])
    assert last["actor"]["kind"] == "cell"
    assert last["actor"]["notebook"].endswith("analysis.ipynb")
    assert last["asked"][0]["names"] == ["tinytool"]

    assert "1 package cannot be fetched again" in cells.run("%env-freeze")
    assert "tinytool" in (project / "pylock.toml").read_text("utf-8")

    sent = cells.send("import time\nprint('begun')\ntime.sleep(600)")
    time.sleep(1)
    assert server.ask("POST", f"/api/kernels/{kernel}/interrupt")[0] == 204
    assert "KeyboardInterrupt" in "\n".join(each["content"].get("ename", "") for each in cells.until_idle(sent))

    cells.run("remembered = 42")
    server.hang_up()
    assert server.ask("POST", f"/api/kernels/{kernel}/restart")[0] == 200
    cells = server.channels(kernel)
    assert "False" in cells.run("'remembered' in globals()")
    assert "1.0" in cells.run("import tinytool; tinytool.__version__")

    pid = int(cells.run("import os; print(os.getpid())").strip())
    server.hang_up()
    assert server.ask("DELETE", f"/api/sessions/{session['id']}")[0] == 204
    _eventually(lambda: not Path(f"/proc/{pid}").exists())
    _eventually(lambda: not os.listdir(settings.runtime))
    assert not list(Path(os.environ["JUPYTER_RUNTIME_DIR"]).glob(f"kernel-{kernel}*"))


def test_a_kernel_that_cannot_start_says_why_in_the_answer(serve, env, settings):
    site = next(env.prefix.glob("lib/python*/site-packages"))
    (site / "sitecustomize.py").write_text("raise SystemExit('the disk is 100% full')\n", "utf-8")
    server = serve()

    status, said = _begun(server, env)

    assert status == 500
    assert "the disk is 100" in said["message"]
    assert "venvoy repair story" in said["message"]
    assert "%%" not in said["message"]
    assert server.ask("GET", "/api/kernels")[1] == []
    assert not os.listdir(settings.runtime)


def test_what_the_administrator_forbids_a_kernelspec_cannot_allow(serve, env):
    if os.getuid() != 0:
        pytest.skip("not obtainable: a policy counts only when root owns it")
    policy = Path(sys.prefix, "etc/venvoy/policy.yaml")
    spec = Path(os.environ["JUPYTER_DATA_DIR"], "kernels", kernelspecs.spec_name(env.name), "kernel.json")
    said = json.loads(spec.read_text("utf-8"))
    said["metadata"]["kernel_provisioner"]["config"] = {"transport": "tcp", "record": False}
    spec.write_text(json.dumps(said), "utf-8")
    policy.parent.mkdir(parents=True, exist_ok=True)
    server = serve()
    try:
        policy.write_text("prefixes: [/nowhere]\n", "utf-8")
        refused = _begun(server, env, "refused.ipynb")
        policy.write_text("transport: ipc\nrecord: true\n", "utf-8")
        status, session = _begun(server, env, "allowed.ipynb")
        connection = Path(os.environ["JUPYTER_RUNTIME_DIR"], f"kernel-{session['kernel']['id']}.json")
        transport = json.loads(connection.read_text("utf-8"))["transport"]
    finally:
        policy.unlink()

    assert refused[0] == 500
    assert "may not run here" in refused[1]["message"]
    assert status == 201
    assert transport == "ipc"


def test_nothing_outlives_a_server_that_is_killed(serve, env, settings):
    server = serve()
    session = _begun(server, env)[1]
    cells = server.channels(session["kernel"]["id"])
    pids = cells.run(
        "import os, signal, subprocess\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(os.getpid(), subprocess.Popen(['sleep', '600']).pid)"
    ).split()
    cells.send("while True: pass")

    server.process.send_signal(signal.SIGKILL)
    server.process.wait()

    _eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    _eventually(lambda: not os.listdir(settings.runtime))
