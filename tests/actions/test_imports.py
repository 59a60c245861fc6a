"""Which packages a notebook imports: by its cells, and by what its kernel has loaded since it started."""

import pytest

from venvoy.actions.create import Plan, create
from venvoy.actions.imports import imported, names_in
from venvoy.actions.install import install
from venvoy.actions.loaded import Module


@pytest.fixture
def env(store, actor, wheelhouse, mirror_index):
    wheelhouse.add("alpha", files={"first/__init__.py": "", "second.py": ""})
    wheelhouse.add("beta")
    env = create(store, Plan(name="demo"), actor=actor)
    install(store, env, ("alpha", "beta"), actor=actor)
    return store.environment("demo")


def _module(name: str, by: float, *, lent: bool = False) -> Module:
    return Module(name=name, version=None, file=f"{name}/__init__.py", lent=lent, after=by - 1, by=by)


def test_what_cells_import_is_named_by_its_package(env):
    assert imported(env, ("import os, first.part as f", "from beta import x\n!ls")) == {"alpha", "beta"}
    assert imported(env, ("import second",)) == {"alpha"}
    assert imported(env, ("x = (", "import nothing_of_that_name", "'import beta'")) == frozenset()


@pytest.mark.parametrize("lent", [True, False])
def test_what_a_kernel_loads_to_start_is_no_import_of_the_notebook(env, lent):
    started, later = _module("beta", 10.0, lent=lent), _module("first", 11.0)

    assert imported(env, (), (started, later)) == {"alpha"}
    assert imported(env, (), (started,)) == frozenset()


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("import a as b, c.d", {"a", "c"}),
        ("from . import x", set()),
        ("  from e.f import g  # h", {"e"}),
        ("%pip install six\nimport six", {"six"}),
        ("import", set()),
    ],
)
def test_names_are_found_in_any_cell(cell, names):
    assert names_in(cell) == names
