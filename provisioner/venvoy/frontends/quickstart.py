"""`venvoy quickstart`: the main job once from end to end, for real, on a notebook that is shipped."""

from __future__ import annotations

import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable
from importlib.resources import files as package_files
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from .. import files, settings
from ..actions.create import Plan, create
from ..actions.delete import delete
from ..actions.diff import diff
from ..actions.freeze import freeze
from ..actions.launch import kernel_of
from ..actions.observe import observe
from ..actions.restore import How, described, restore
from ..errors import CommandFailed
from ..model import Actor, Environment, Kind
from ..process import OnLine
from ..store import Store
from . import kernelspecs

NAME = "quickstart"
COPY = "quickstart-copy"
_ACTOR = Actor(kind="command", command="venvoy quickstart")

Say = Callable[[str], None]


def quickstart(*, keep: bool, say: Say, runtime: Kind = "venv", on_line: OnLine | None = None) -> int:
    """Make an environment, run the notebook in it, freeze, restore, compare; returns the exit code.

    `say` is given every line for the user, `on_line` what the tools below report meanwhile. Without `keep` both
    environments are removed at the end. Raises VenvoyError as the steps do.
    """
    store = Store(settings.current())
    for name in (NAME, COPY):
        kernelspecs.refuse_another(store, kernelspecs.spec_name(name))
    say(f"[1/6] Making the environment {NAME!r} …")
    env = create(store, Plan(name=NAME, runtime=runtime, force=True), actor=_ACTOR, on_line=on_line)
    say(f"      {env.language_name} {env.language_version} in {env.prefix}")
    kernel = kernel_of(store, env)
    kernelspecs.write(kernelspecs.spec(store, env, encrypts=kernel.encrypts))
    say(f"      its kernel in Jupyter: {env.name} (venvoy)")
    say("[2/6] Running a notebook in it; one cell installs a package …")
    notebook = _executed(store, env, on_line)
    say(f"      {notebook}")
    say("[3/6] What was installed is on record:")
    say(textwrap.indent(store.history(NAME).latest.read_text("utf-8").rstrip(), "      "))
    say("[4/6] Locking every package with its url and hash …")
    frozen = freeze(store, env, actor=_ACTOR, on_line=on_line)
    say(f"      {frozen.path}")
    say(f"[5/6] Restoring that lock into a second environment, {COPY!r} …")
    restored = restore(store, frozen.path, name=COPY, actor=_ACTOR, force=True, how=How(on_line=on_line))
    kernelspecs.write(kernelspecs.spec(store, restored.environment, encrypts=kernel.encrypts))
    say(f"      {restored.environment.prefix}")
    say("[6/6] Comparing the two …")
    _compare(store, env, restored.environment, say)
    if not keep:
        for each in (env, restored.environment):
            kernelspecs.remove(store, each.name)
            delete(store, each, record=True)
        return 0
    say(_next_steps(notebook, frozen.path, runtime))
    return 0


def _executed(store: Store, env: Environment, on_line: OnLine | None) -> Path:
    """Run the shipped notebook through the provisioner and keep it, with its outputs, in the project folder."""
    folder = store.project(env.name)
    target = folder / "demo.ipynb"
    notebook = nbformat.reads(_shipped(), as_version=4)
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    done = iter(range(1, cells + 1))

    def executed(**_: object) -> None:
        if on_line is not None:
            on_line(f"cell {next(done)} of {cells}")

    client = NotebookClient(
        notebook,
        kernel_name=kernelspecs.spec_name(env.name),
        timeout=600,
        resources={"metadata": {"path": str(folder)}},
        on_cell_executed=executed,
    )
    try:
        client.execute()
    except CellExecutionError as error:
        raise CommandFailed("a cell of the notebook failed", hint=str(error)) from error
    finally:
        files.replace(target, nbformat.writes(notebook))
    return target


def _shipped() -> str:
    inside = package_files("venvoy").joinpath("notebooks", "demo.ipynb")
    if inside.is_file():
        return inside.read_text("utf-8")
    made_in = Path(__file__).parents[3] / "binder"  # an editable install
    return (made_in / "demo.ipynb").read_text("utf-8")


def _compare(store: Store, env: Environment, copy: Environment, say: Say) -> None:
    one, other = observe(store, env), observe(store, copy)
    difference = diff(one, other)
    if difference:
        raise CommandFailed("the restored environment differs", hint=described(difference))
    say(f"      {len(one.packages)} packages, Python {one.language_version}: same names, same versions,")
    say("      and every file that was fetched had the hash in the lock.")
    say("      Not compared: the installed files themselves.")


def _next_steps(notebook: Path, lock: Path, runtime: Kind) -> str:
    kind = " --runtime conda" if runtime == "conda" else ""
    steps = (
        (f"venvoy init {NAME}{kind}", "an environment with a Jupyter kernel"),
        (f"venvoy run {NAME} -- python -m pip list", "anything in it"),
        (f"venvoy history {NAME}", "what changed, when, and who did it"),
        (f"venvoy freeze {NAME}", "the lock"),
        (f"venvoy restore {shlex.quote(str(lock))} {COPY}", "the same again, elsewhere too"),
        (f"venvoy delete {COPY} --yes", "and away"),
    )
    width = max(len(command) for command, _ in steps)
    lines = [f"  {command.ljust(width)}  # {what}" for command, what in steps]
    opened = ("", "Next, the notebook itself:", f"  {_lab(notebook)}")
    return "\n".join(["", "Done. The same, step by step:", *lines, *opened])


def _lab(notebook: Path) -> str:
    """The command that opens JupyterLab with venvoy in it: by its plain name where that is the one on PATH."""
    ours = Path(sys.executable).with_name("jupyter")
    found = shutil.which("jupyter")
    plain = found is not None and Path(found).resolve() == ours.resolve()
    return f"{'jupyter' if plain else shlex.quote(str(ours))} lab {shlex.quote(str(notebook))}"
