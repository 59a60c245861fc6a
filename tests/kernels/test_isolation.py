"""Nothing of ours gets into the user's environment, nothing of the server's into the kernel, nothing of it elsewhere."""

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import uv

from venvoy import inventory
from venvoy.actions import payload
from venvoy.actions.adopt import adopt
from venvoy.actions.bases import base_of
from venvoy.actions.launch import kernel_of
from venvoy.actions.observe import observe
from venvoy.errors import KernelUnusable
from venvoy.frontends import kernelspecs
from venvoy.model import Actor, Environment
from venvoy.settings import Settings
from venvoy.store import Store

pytestmark = pytest.mark.xdist_group("isolation")
Start = Callable[..., Any]
Make = Callable[..., Environment]
SECRET = "swordfish-7781"  # noqa: S105  # what must be found nowhere
COMM = """\
comm==0.2.3 --hash=sha256:c615d91d75f7f04f095b30d1c1711babd43bdc6419c1be9886a85f2f4e489417
"""
DECORATOR = """\
traitlets==5.14.3 --hash=sha256:b74e89e397b1ed28cc831db7aea759ba6640cb3de13090ca145426688ff1ac4f
"""


def _install(env: Environment, *words: str) -> None:
    subprocess.run([uv.find_uv_bin(), "pip", "install", "--quiet", "--python", env.python, *words], check=True)


def _installed(env: Environment) -> set[str]:
    return set(inventory.names(env.prefix))


_METADATA = """
import importlib.metadata, json
print(json.dumps([{"name": each.metadata["Name"]} for each in importlib.metadata.distributions()]))
"""

# --- what the user sees of us ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "look",
    [
        "%pip list --format=json",
        "!pip list --format=json",
        "!uv pip list --format=json 2>/dev/null",
        "%uv pip list --format=json",
        f"import subprocess, sys; print(subprocess.check_output([sys.executable, '-c', {_METADATA!r}], text=True))",
    ],
    ids=["%pip", "!pip", "!uv", "%uv", "metadata"],
)
def test_only_what_the_user_installed_is_listed(live: Any, look: str) -> None:
    printed = live.run(look).stdout

    listed = json.loads(printed[printed.index("[{") : printed.rindex("]") + 1])
    assert [each["name"] for each in listed] == ["pip"]


def test_a_freeze_by_pip_and_our_own_record_have_nothing_of_ours(environment: Make, live: Any, store: Store) -> None:
    frozen = live.run("%pip freeze").stdout

    assert "==" not in frozen
    assert [each.name for each in observe(store, environment()).packages] == ["pip"]


def test_an_ipykernel_of_the_environments_own_is_the_one_that_runs(
    environment: Make, start: Start, store: Store
) -> None:
    env = environment("own-kernel", adjust=lambda env: _install(env, "ipykernel<7.4"))
    live = start(env)

    ran = live.run("import ipykernel, sys; print(ipykernel.__version__, ipykernel.__file__, *sys.path)")

    version, file, *folders = ran.stdout.split()
    assert version.startswith("7.3")
    assert kernel_of(store, env).version == version
    assert file.startswith(str(env.prefix))
    assert not [each for each in folders if each.startswith(str(store.payloads))]


@pytest.fixture
def adopted(store: Store, actor: Actor) -> Callable[..., Environment]:
    """Take a venv as an environment, with its kernelspec."""

    def taken(prefix: Path, name: str) -> Environment:
        env = adopt(store, prefix, name=name, actor=actor)
        kernelspecs.write(kernelspecs.spec(store, env, encrypts=kernel_of(store, env).encrypts))
        return env

    return taken


def test_an_ipykernel_of_the_system_is_known_where_the_environment_sees_it(
    pythons: Mapping[str, Path], adopted: Make, start: Start, store: Store, tmp_path: Path
) -> None:
    """The system is itself a venv here: what matters is that it comes before what is lent."""
    base, prefix = tmp_path / "base", tmp_path / "prefix"
    for folder in (base, prefix):
        subprocess.run([uv.find_uv_bin(), "venv", "--quiet", "--python", pythons["3.12"], folder], check=True)
    subprocess.run([uv.find_uv_bin(), "pip", "install", "--quiet", "--python", base, "ipykernel<7.3"], check=True)
    config = prefix / "pyvenv.cfg"
    config.write_text(config.read_text().replace("= false", "= true"))
    site = next(prefix.glob("lib/python*/site-packages"))
    (site / "system.pth").write_text(f"{next(base.glob('lib/python*/site-packages'))}\n")

    env = adopted(prefix, "sees-system")
    live = start(env, transport_encryption="auto")

    assert kernel_of(store, env).payload is None
    assert live.manager.curve_publickey is None
    assert str(base) in live.run("import ipykernel; print(ipykernel.__file__)").stdout


def test_pip_is_uvs_where_the_environment_has_none(
    pythons: Mapping[str, Path], adopted: Make, start: Start, wheels: Any, tmp_path: Path
) -> None:
    subprocess.run([uv.find_uv_bin(), "venv", "--quiet", "--python", pythons["3.12"], tmp_path / "bare"], check=True)
    wheels.add("by-uv")
    env = adopted(tmp_path / "bare", "bare")
    live = start(env)

    ran = live.run(f"%pip install --no-index --find-links {wheels.folder} by-uv")

    assert ran.status == "ok", ran.text
    assert _installed(env) == {"by-uv"}


@pytest.mark.everywhere
def test_the_users_packages_come_before_the_kernels(live: Any, store: Store) -> None:
    folders = live.run("import sys; print(*sys.path, sep='\\n')").stdout.splitlines()

    assert folders[-1].startswith(str(store.payloads))
    assert not [each for each in folders if "venvoy/guest" in each]


# --- on what installers act ------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The variables of a server that runs in an active venv, inside an active conda environment, with a PYTHONPATH."""
    folder = tmp_path_factory.mktemp("elsewhere")
    venv, conda = folder / "venv", folder / "conda"
    subprocess.run([uv.find_uv_bin(), "venv", "--quiet", venv], check=True)
    subprocess.run([uv.find_uv_bin(), "pip", "install", "--quiet", "--python", venv, "pip"], check=True)
    (conda / "conda-meta").mkdir(parents=True)
    (conda / "conda-meta" / "history").write_text("")
    (folder / "path").mkdir()
    (folder / "path" / "leaked.py").write_text("")
    return {
        "PATH": f"{venv / 'bin'}:{conda / 'bin'}:{os.environ['PATH']}",
        "VIRTUAL_ENV": str(venv),
        "VIRTUAL_ENV_PROMPT": "venv",
        "CONDA_PREFIX": str(conda),
        "CONDA_DEFAULT_ENV": "base",
        "CONDA_SHLVL": "1",
        "PIXI_IN_SHELL": "1",
        "PYTHONPATH": str(folder / "path"),
        "PYTHONHOME": "/nonexistent",
        "PYTHONUSERBASE": str(folder / "user"),
        "PIP_TARGET": str(folder / "target"),
        "PIP_USER": "1",
        "UV_PROJECT_ENVIRONMENT": str(venv),
        "UV_PYTHON": str(venv / "bin/python"),
        "R_LIBS_USER": str(folder / "r"),
    }


WAYS = {
    "%pip": "%pip install --no-index --find-links {0} {1}",
    "!pip": "!pip install --no-index --find-links {0} {1}",
    "!python -m pip": "!python -m pip install --no-index --find-links {0} {1}",
    "!uv pip": "!uv pip install --no-index --find-links {0} {1}",
    "%uv": "%uv pip install --no-index --find-links {0} {1}",
    "subprocess": "import subprocess, sys\n"
    "subprocess.check_call([sys.executable, '-m', 'pip', 'install', '--no-index', '--find-links', '{0}', '{1}'])",
    "subprocess by name": "import subprocess\n"
    "subprocess.check_call(['pip', 'install', '--no-index', '--find-links', '{0}', '{1}'])",
}


@pytest.mark.everywhere
@pytest.mark.parametrize("way", WAYS)
def test_every_installer_acts_on_this_environment_wherever_the_server_runs(
    environment: Make, start: Start, wheels: Any, elsewhere: Mapping[str, str], way: str
) -> None:
    env = environment("acted-on")
    name = f"tiny-{list(WAYS).index(way)}"
    wheels.add(name)
    live = start(env, env_vars=elsewhere)

    ran = live.run(WAYS[way].format(wheels.folder, name))

    assert ran.status == "ok", ran.text
    assert name in _installed(env), ran.text
    assert live.run(f"import {name.replace('-', '_')}").status == "ok"
    assert name not in set(inventory.names(Path(elsewhere["VIRTUAL_ENV"])))
    assert not Path(elsewhere["PIP_TARGET"]).exists()


@pytest.mark.everywhere
def test_nothing_leaks_in_from_where_the_server_runs(
    environment: Make, start: Start, inside: Callable[[Environment], str], elsewhere: Mapping[str, str]
) -> None:
    env = environment()
    live = start(env, env_vars=elsewhere)

    ran = live.run("import os, json; print(json.dumps(dict(os.environ)))")

    seen = json.loads(ran.stdout)
    ours = ("PATH", "VIRTUAL_ENV", "UV_PYTHON", *(["R_LIBS_USER"] if env.container else []))
    assert {seen.get(name) for name in elsewhere if name not in ours} == {None}
    assert not [name for name in ours if seen.get(name) == elsewhere.get(name, "")]
    assert seen["VIRTUAL_ENV"] == inside(env)
    assert seen["UV_PYTHON"] == seen["PIP_PYTHON"] == f"{inside(env)}/bin/python"
    assert seen["PATH"].startswith(f"{inside(env)}/bin:")
    assert live.run("import leaked").error.startswith("ModuleNotFoundError")


@pytest.mark.everywhere
def test_uv_is_there_where_the_user_has_none(environment: Make, start: Start) -> None:
    env = environment()
    # Podman needs iptables, and others may lie elsewhere.
    engines = () if not env.container else ("/usr/sbin", "/sbin", str(Path(shutil.which(env.runtime) or "/").parent))
    live = start(env, env_vars={"PATH": ":".join(("/usr/bin", "/bin", *engines))})

    ran = live.run("import shutil; print(shutil.which('uv'), shutil.which('jupyter'))")

    program, jupyter = ran.stdout.split()
    assert Path(program).resolve() == Path(uv.find_uv_bin()).resolve()
    assert jupyter == "None"


# --- what the kernel must not know -----------------------------------------------------------------------------------


@pytest.mark.everywhere
def test_the_servers_secrets_do_not_reach_the_kernel(environment: Make, start: Start) -> None:
    names = (
        "JUPYTERHUB_API_TOKEN",
        "JUPYTERHUB_SERVICE_PREFIX",
        "JUPYTER_TOKEN",
        "JPY_API_TOKEN",
        "CONFIGPROXY_AUTH_TOKEN",
    )
    live = start(environment(), env_vars=dict.fromkeys(names, SECRET))

    ran = live.run("import os; print(dict(os.environ), open('/proc/self/environ').read())")
    shim = psutil.Process(live.shim)

    assert SECRET not in ran.stdout
    assert not [name for name in names if name in ran.stdout]
    assert SECRET not in str(shim.environ())
    assert SECRET not in str(shim.cmdline())


@pytest.mark.everywhere
@pytest.mark.parametrize("shell", ["/bin/no-such-shell", ""])
def test_commands_run_also_where_the_servers_shell_is_not_there(environment: Make, start: Start, shell: str) -> None:
    live = start(environment(), env_vars={"SHELL": shell})

    ran = live.run("!echo from $SHELL")

    assert ran.stdout.strip() in ("from /bin/bash", "from /bin/sh")


def test_a_shell_that_is_there_stays(environment: Make, start: Start) -> None:
    live = start(environment(), env_vars={"SHELL": "/bin/sh"})

    assert live.run("import os; os.environ['SHELL']").result == "'/bin/sh'"


def test_variables_from_a_file_reach_the_kernel_and_nothing_else(
    environment: Make,
    start: Start,
    store: Store,
    settings: Settings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    file = tmp_path / ".env"
    file.write_text(f"API_KEY={SECRET}\nPLACE='a b'\n")
    env = environment("with-variables")
    config = store.folder(env.name) / "config.yaml"
    config.write_text(f"{config.read_text()}env_file:\n  - {file}\n")
    live = start(env)

    ran = live.run("import os; print(os.environ['API_KEY'], os.environ['PLACE'])")
    live.run("%env-status")
    live.run("%env-history")
    shim = psutil.Process(live.shim)
    live.manager.shutdown_kernel()

    assert ran.stdout == f"{SECRET} a b\n"
    assert SECRET not in str(shim.cmdline() if shim.is_running() else "")
    assert SECRET not in caplog.text
    assert SECRET not in "".join(capfd.readouterr())
    places = (
        settings.home,
        settings.projects,
        Path(os.environ["JUPYTER_DATA_DIR"]),
        Path(os.environ["JUPYTER_RUNTIME_DIR"]),
    )
    written = [each for place in places for each in place.rglob("*") if each.is_file() and each.suffix in _TEXTS]
    assert written
    assert not [each for each in written if SECRET in each.read_text(errors="replace")]


_TEXTS = {"", ".json", ".yaml", ".yml", ".jsonl", ".txt", ".toml", ".cfg", ".svg", ".log"}


def test_a_broken_file_of_variables_is_named_before_the_launch(
    environment: Make, start: Start, store: Store, tmp_path: Path, sessions: Callable[[], list[str]]
) -> None:
    env = environment("without-variables")
    config = store.folder(env.name) / "config.yaml"
    config.write_text(f"{config.read_text()}env_file:\n  - {tmp_path / 'gone.env'}\n")

    with pytest.raises(Exception, match=r"there is no .*/gone\.env"):
        start(env)

    assert not sessions()


# --- the payload -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("requirement", "named"), [("traitlets<5", "traitlets 4"), ("tornado<6", "tornado 5")])
def test_what_does_not_fit_the_kernel_is_named_before_the_launch(
    environment: Make, start: Start, store: Store, requirement: str, named: str
) -> None:
    env = environment(f"old-{requirement.partition('<')[0]}", python="3.9")
    _install(env, "--no-deps", requirement)

    with pytest.raises(KernelUnusable) as raised:
        start(env)

    assert f"{named}" in raised.value.message
    assert "needs" in raised.value.message
    assert f"venvoy run {env.name} -- pip install --upgrade" in raised.value.hint
    assert f"venvoy install {env.name} ipykernel" in raised.value.hint


def test_the_command_that_it_names_mends_it(environment: Make, start: Start) -> None:
    env = environment("mended", python="3.9")
    _install(env, "--no-deps", "traitlets<5")
    with pytest.raises(KernelUnusable) as raised:
        start(env)

    subprocess.run(
        [env.python, "-m", "pip", *raised.value.hint.splitlines()[0].split(" -- pip ")[1].split()], check=True
    )

    assert start(env).run("6 * 7").result == "42"


@pytest.fixture
def own_home(settings: Settings, tmp_path: Path) -> Store:
    """A home without payloads."""
    return Store(type(settings)(home=tmp_path / "h", projects=tmp_path / "p", runtime=tmp_path, user_home=tmp_path))


_BUILD = """
import sys
from pathlib import Path
from venvoy import settings
from venvoy.actions.bases import base_of
from venvoy.actions.payload import payload_for
from venvoy.store import Store
store, heard = Store(settings.current()), []
lent = payload_for(store, base_of(store, Path(sys.argv[1])), lock=sys.argv[2], on_line=heard.append)
print(len(heard), lent.folder)
"""


def test_two_processes_that_need_a_payload_at_once_build_it_once(environment: Make, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", _BUILD, str(environment().python), COMM]
    variables = {**os.environ, "VENVOY_HOME": str(tmp_path / "home")}

    both = [subprocess.Popen(argv, env=variables, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(each.communicate()[0].split() for each in both)

    assert said[0][0] == "0"
    assert int(said[1][0]) > 0
    assert said[0][1] == said[1][1]
    folder = Path(said[0][1])
    assert {each.name for each in folder.parent.iterdir()} <= {folder.name, ".lock"}


def test_a_payload_is_built_anew_when_its_lock_changes_and_only_then(environment: Make, own_home: Store) -> None:
    base = base_of(own_home, environment().python)

    first = payload.payload_for(own_home, base, lock=COMM)
    again = payload.payload_for(own_home, base, lock=COMM)
    other = payload.payload_for(own_home, base, lock=DECORATOR)

    assert again == first
    assert other.folder != first.folder
    assert dict(first.versions) == {"comm": "0.2.3"}
    assert dict(other.versions) == {"traitlets": "5.14.3"}
    assert list(first.folder.rglob("*.pyc"))


def test_a_payload_that_cannot_be_fetched_leaves_nothing_and_says_why(environment: Make, own_home: Store) -> None:
    base = base_of(own_home, environment().python)

    with pytest.raises(KernelUnusable) as raised:
        payload.payload_for(own_home, base, lock=COMM.replace("c615", "0000"))

    assert "could not be fetched" in raised.value.message
    assert "ash" in raised.value.hint  # uv's own words of the hash that does not fit
    assert not [each for each in own_home.payloads.rglob("*") if each.is_dir() and each.parent != own_home.payloads]


def test_an_interpreter_that_no_kernel_runs_on_is_refused(own_home: Store, pythons: Mapping[str, Path]) -> None:
    if "3.8" not in pythons:
        pytest.skip("not obtainable: no Python 3.8 on this machine")

    with pytest.raises(KernelUnusable, match=r"no kernel runs on Python 3\.8"):
        payload.payload_for(own_home, base_of(own_home, pythons["3.8"]))
