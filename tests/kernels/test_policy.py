"""What an administrator demands in a file of root's cannot be relaxed by a kernel.json, nor by who starts its argv."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uv
from jupyter_client.connect import write_connection_file

from venvoy.frontends import kernelspecs
from venvoy.model import Environment
from venvoy.store import Store

pytestmark = [
    pytest.mark.xdist_group("policy"),
    pytest.mark.skipif(os.geteuid() != 0, reason="not obtainable: root, who alone may write a policy"),
]
Make = Callable[..., Environment]
_SERVER = """
import json, sys
from jupyter_client.manager import KernelManager
manager = KernelManager(kernel_name=sys.argv[1])
said = {}
try:
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    printed = []
    client.execute_interactive(sys.argv[2], output_hook=lambda each: printed.append(each["content"].get("text", "")))
    said = {"transport": manager.transport, "encrypted": bool(manager.curve_publickey), "printed": "".join(printed)}
    client.stop_channels()
    manager.shutdown_kernel()
except Exception as error:
    said = {"error": type(error).__name__, "message": str(error)}
print(json.dumps(said))
"""


@pytest.fixture(scope="session")
def administered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A venv for the server, in which a policy can be laid: it sees what we see."""
    prefix = tmp_path_factory.mktemp("administered") / "venv"
    python = getattr(sys, "_base_executable", sys.executable)
    subprocess.run([uv.find_uv_bin(), "venv", "--quiet", "--python", python, prefix], check=True)
    ours = sysconfig.get_path("purelib")
    site = next(prefix.glob("lib/python*/site-packages"))
    (site / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    return prefix


@pytest.fixture
def under(administered: Path, kernelspec: Callable[[Environment], Path]) -> Callable[..., Any]:
    """Start an environment's kernel from a server under a policy, and run a cell; returns what came of it."""

    def ran(policy: str, env: Environment, cell: str = "1", *, mode: int = 0o644, **variables: str) -> Any:
        _lay(administered, policy, mode=mode)
        argv = [administered / "bin/python", "-c", _SERVER, kernelspecs.spec_name(env.name), cell]
        said = subprocess.run(
            argv, env=os.environ | variables, stdout=subprocess.PIPE, text=True, check=True, timeout=120
        )
        return json.loads(said.stdout.splitlines()[-1])

    return ran


def _lay(prefix: Path, policy: str, *, mode: int = 0o644) -> None:
    file = prefix / "etc/venvoy/policy.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(policy)
    file.chmod(mode)


def test_without_demands_kernel_json_decides(environment: Make, under: Any, configure: Any) -> None:
    env = environment("free")
    configure(env, transport="tcp")

    assert under("", env)["transport"] == "tcp"


@pytest.mark.parametrize(("demanded", "chosen"), [("ipc", "tcp"), ("tcp", "ipc")])
def test_the_transport_demanded_is_the_one_used(
    environment: Make, under: Any, configure: Any, demanded: str, chosen: str
) -> None:
    env = environment("free")
    configure(env, transport=chosen)

    assert under(f"transport: {demanded}", env)["transport"] == demanded


def test_encryption_that_is_demanded_is_used_though_nobody_asked(environment: Make, under: Any, configure: Any) -> None:
    env = environment("free")
    configure(env)

    assert under("encryption: required", env)["encrypted"] is True


def test_a_kernel_without_encryption_does_not_run_where_it_is_demanded(environment: Make, under: Any) -> None:
    install = [uv.find_uv_bin(), "pip", "install", "--quiet", "ipykernel<7.3", "--python"]
    env = environment("plain-spoken", adjust=lambda env: subprocess.run([*install, env.python], check=True))

    said = under("encryption: required", env)

    assert said["error"] == "NotPermitted"
    assert "venvoy install plain-spoken 'ipykernel>=7.3'" in said["message"]


def test_environments_run_only_in_the_folders_allowed(
    environment: Make, under: Any, store: Store, configure: Any
) -> None:
    env = environment("free")
    configure(env, environment="free")

    outside = under("prefixes: [/opt/environments]", env)
    inside = under(f"prefixes: [{store.environments_folder}]", env, "print('runs')")

    assert outside["error"] == "NotPermitted"
    assert "environments outside /opt/environments may not run here" in outside["message"]
    assert inside["printed"] == "runs\n"


def test_variables_that_are_dropped_reach_no_kernel(
    environment: Make, under: Any, kernelspec: Any, configure: Any
) -> None:
    env = environment("free")
    configure(env)
    said = json.loads(kernelspec(env).read_text())
    kernelspec(env).write_text(json.dumps(said | {"env": said["env"] | {"CLUSTER_KEY": "from kernel.json"}}))

    ran = under(
        "dropped_variables: [CLUSTER_*]",
        env,
        "import os; print([name for name in os.environ if name.startswith('CLUSTER')])",
        CLUSTER_TOKEN="t",  # noqa: S106  # what must not arrive
    )

    assert ran["printed"] == "[]\n"
    kernelspec(env).write_text(json.dumps(said))


def test_files_of_variables_that_are_forbidden_are_not_read(
    environment: Make, under: Any, store: Store, tmp_path: Path
) -> None:
    env = environment("with-file")
    (tmp_path / ".env").write_text("FROM_FILE=1\n")
    config = store.folder(env.name) / "config.yaml"
    config.write_text(f"{config.read_text()}env_file:\n  - {tmp_path / '.env'}\n")
    look = "import os; print(os.environ.get('FROM_FILE'))"

    assert under("", env, look)["printed"] == "1\n"
    assert under("env_files: false", env, look)["printed"] == "None\n"


def test_recording_that_is_demanded_cannot_be_turned_off(
    environment: Make, under: Any, store: Store, configure: Any, wheels: Any
) -> None:
    env = environment("on-record")
    configure(env, record=False)
    wheels.add("on-record-too")

    under("record: true", env, f"%uv pip install --no-index --find-links {wheels.folder} on-record-too")

    assert store.history(env.name).entries()[-1].asked[0].names == ("on-record-too",)


@pytest.mark.parametrize(
    ("policy", "mode", "said"),
    [
        ("transport: ipc", 0o666, "must belong to root"),
        ("colour: red", 0o644, "unknown key 'colour'"),
        ("transport: [", 0o644, "is not YAML"),
    ],
)
def test_a_policy_that_cannot_be_trusted_or_understood_starts_nothing(
    environment: Make, under: Any, policy: str, mode: int, said: str
) -> None:
    ran = under(policy, environment("free"), mode=mode)

    assert ran["error"] == "InvalidInput"
    assert said in ran["message"]


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("transport: ipc", "kernels must speak over ipc here, and the client chose tcp"),
        ("encryption: required", "kernels must speak encrypted here, and the client brought no keys"),
        ("prefixes: [/opt/environments]", "environments outside /opt/environments may not run here"),
    ],
)
def test_who_starts_the_argv_alone_is_held_to_it_too(
    environment: Make, administered: Path, kernelspec: Any, tmp_path: Path, policy: str, said: str
) -> None:
    _lay(administered, policy)
    _, *words = json.loads(kernelspec(environment("free")).read_text())["argv"]
    write_connection_file(str(tmp_path / "c.json"))

    ran = subprocess.run(
        [administered / "bin/python", *(word.replace("{connection_file}", str(tmp_path / "c.json")) for word in words)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert ran.returncode == 9
    assert said in ran.stderr
