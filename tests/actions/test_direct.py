"""What was asked for, and what only came along."""

import pytest

from venvoy import inventory
from venvoy.actions.direct import told_apart


@pytest.fixture
def direct(tmp_path, distribution, snapshot):
    """The names that are direct where `installed` maps each name to what it requires."""

    def told(installed: dict[str, tuple[str, ...]], *wanted: str) -> set[str]:
        for name, requires in installed.items():
            distribution(tmp_path, name, requires=requires)
        seen = snapshot(*(f"{name}==1.0" for name in installed))
        known = told_apart(seen, wanted, inventory.distributions(tmp_path))
        assert known == seen
        assert all(each.direct is not None for each in known.packages)
        return {each.name for each in known.packages if each.direct}

    return told


def test_what_nothing_requires_was_asked_for(direct):
    assert direct({"pandas": ("numpy>=1", "six"), "numpy": (), "six": (), "idna": ()}) == {"pandas", "idna"}


def test_what_somebody_asked_for_is_direct_although_it_is_required_too(direct):
    assert direct({"pandas": ("numpy",), "numpy": ()}, "numpy") == {"pandas", "numpy"}


def test_names_are_compared_as_pep_503_has_them(direct):
    assert direct({"a": ("Zope.Interface",), "zope-interface": ()}) == {"a"}


def test_what_only_an_extra_requires_counts_as_asked_for(direct):
    assert direct({"numpy": ("pytest; extra == 'test'",), "pytest": ()}) == {"numpy", "pytest"}


@pytest.mark.parametrize(
    ("marker", "names"),
    [
        ("python_version < '3.11'", {"a", "b"}),
        ("python_version >= '3.12'", {"a"}),
        ("sys_platform == 'win32'", {"a", "b"}),
    ],
)
def test_a_requirement_for_another_machine_does_not_count(direct, marker, names):
    assert direct({"a": (f"b; {marker}",), "b": ()}) == names


def test_two_that_require_each_other_do_not_lose_each_other(direct):
    assert direct({"a": ("b",), "b": ("a", "c"), "c": (), "d": ("c",)}) == {"a", "b", "d"}


def test_a_circle_that_somebody_asked_into_came_along_for_the_rest(direct):
    assert direct({"a": ("b",), "b": ("a",)}, "a") == {"a"}


def test_what_requires_itself_by_an_extra_is_not_its_own_companion(direct):
    assert direct({"a": ("a[x]", "b"), "b": ()}) == {"a"}


def test_pip_which_every_environment_gets_counts_only_when_somebody_asked_for_it(direct):
    assert direct({"a": (), "pip": ()}) == {"a"}


def test_pip_that_somebody_asked_for_counts(direct):
    assert direct({"a": (), "pip": ()}, "pip") == {"a", "pip"}


def test_a_requirement_that_cannot_be_read_is_passed_over(direct):
    assert direct({"a": ("not a requirement!!", "b"), "b": ()}) == {"a"}


def test_what_was_asked_for_and_is_gone_is_not_missed(direct):
    assert direct({"a": ()}, "gone") == {"a"}


def test_an_empty_environment_has_nothing_to_tell(direct):
    assert direct({}) == set()
