"""The walls that import-linter cannot see: who writes files, who reads the process's variables, who swallows errors."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "provisioner" / "venvoy"
MODULES = sorted(SOURCE.rglob("*.py"))

WRITERS = {
    "files.py", "store.py", "session.py", "guest/shim.py", "guest/startup.py",
    # streams that are too large to be held: downloads and archives
    "fetch.py", "actions/packing.py", "actions/r_built.py", "actions/rootfs.py", "actions/spread.py", "actions/unpacking.py", "guest/restore.py",
}  # fmt: skip
READERS_OF_ENVIRON = {"condarc.py", "settings.py", "process.py"}
STARTERS = {"start_of.py", "permission.py"}
"""The door, and who asks on paper what a runtime can give."""
WRITING = {"write_text", "write_bytes", "symlink_to", "unlink", "rmtree", "chmod", "touch"}


def _room(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def _calls(tree: ast.AST) -> set[str]:
    return {
        node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }


@pytest.mark.parametrize("path", MODULES, ids=_room)
def test_files_are_written_by_one_room(path):
    if _room(path) in WRITERS or _room(path).startswith("frontends/cli/"):
        return

    assert not _calls(ast.parse(path.read_text("utf-8"))) & WRITING


@pytest.mark.parametrize("path", MODULES, ids=_room)
def test_variables_of_the_process_are_read_at_the_edges(path):
    room = _room(path)
    if room in READERS_OF_ENVIRON or room.startswith(("frontends/", "guest/", "engine/")):
        return

    names = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    assert not names & {"os.environ", "os.getenv"}


@pytest.mark.parametrize("path", MODULES, ids=_room)
def test_only_the_guest_catches_everything(path):
    # process raises it again, in the thread of whoever asked; the errors of rattler have no class in common.
    if _room(path).startswith(("guest/", "engine/")) or _room(path) == "process.py":
        return

    caught = [
        handler.type.id
        for handler in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(handler, ast.ExceptHandler) and isinstance(handler.type, ast.Name)
    ]
    assert "Exception" not in caught


@pytest.mark.parametrize("path", MODULES, ids=_room)
def test_what_runs_in_an_environment_goes_through_one_door(path):
    room = _room(path)
    if not room.startswith(("actions/", "frontends/")) or path.name in STARTERS:
        return

    # A runtime is asked for the command of (env, job); click's and our own `command` take other arguments.
    asked = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "command"
        and (len(node.args) == 2 or "get" in ast.unparse(node.func.value))
    ]
    assert not asked
