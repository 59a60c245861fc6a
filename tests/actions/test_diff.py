"""What makes one snapshot out of another."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venvoy.actions.diff import base_lines, diff
from venvoy.model import Change, Diff, Package

SIX = Package(name="six", version="1.0")


def test_the_same_state_differs_in_nothing(snapshot):
    assert diff(snapshot("a==1", "b==2"), snapshot("b==2", "a==1")) == Diff()


def test_what_came_went_and_moved_is_told_in_order_of_name(snapshot):
    found = diff(snapshot("a==1", "b==1", "c==1", "d==1"), snapshot("b==2", "d==2", "e==1", "f==1"))

    assert [each.name for each in found.added] == ["e", "f"]
    assert [each.name for each in found.removed] == ["a", "c"]
    assert found.changed == (
        Change(name="b", before=Package(name="b", version="1"), after=Package(name="b", version="2")),
        Change(name="d", before=Package(name="d", version="1"), after=Package(name="d", version="2")),
    )


def test_another_interpreter_is_told(snapshot):
    assert diff(snapshot(python="3.11.1"), snapshot(python="3.12.1")) == Diff(interpreter=("3.11.1", "3.12.1"))


def test_a_lock_of_the_same_state_differs_in_nothing(snapshot):
    locked = replace(SIX, url="https://files.pythonhosted.org/six-1.0.tar.gz", sha256="a" * 64)

    assert not diff(snapshot(SIX), snapshot(locked))


@pytest.mark.parametrize("origin", ["local", "editable"])
def test_a_folder_elsewhere_is_no_difference(snapshot, origin):
    here, there = (replace(SIX, origin=origin, url=f"file:///{place}") for place in ("here", "there"))

    assert not diff(snapshot(here), snapshot(there))


@pytest.mark.parametrize(
    "other",
    [
        replace(SIX, version="1.0.1"),
        replace(SIX, build="py312_0"),
        replace(SIX, origin="editable", url="file:///six"),
        replace(SIX, origin="archive", url="https://h/six.zip"),
        replace(SIX, origin="vcs", url="git+https://h/six@abc"),
    ],
    ids=lambda package: f"{package.origin} {package.version} {package.build}",
)
def test_another_version_build_or_source_is_a_change(snapshot, other):
    assert [each.name for each in diff(snapshot(SIX), snapshot(other)).changed] == ["six"]


def test_another_commit_is_a_change(snapshot):
    one, two = (replace(SIX, origin="vcs", url=f"git+https://h/six@{commit}") for commit in ("abc", "def"))

    assert len(diff(snapshot(one), snapshot(two))) == 1


def test_the_same_name_in_another_ecosystem_is_another_package(snapshot):
    conda = replace(SIX, ecosystem="conda")

    found = diff(snapshot(SIX), snapshot(conda))

    assert (found.added, found.removed, found.changed) == ((conda,), (SIX,), ())


states = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["1", "2"]), max_size=6)


@given(older=states, newer=states)
def test_a_difference_turned_round_is_the_difference_back(older, newer):
    from datetime import UTC, datetime

    from venvoy.model import Snapshot

    one, two = (
        Snapshot(
            environment="", taken=datetime.now(UTC), base="", language_version="3.12.1", platform="",
            packages=tuple(Package(name=name, version=version) for name, version in state.items()),
        )
        for state in (older, newer)
    )  # fmt: skip

    there, back = diff(one, two), diff(two, one)

    assert (there.added, there.removed) == (back.removed, back.added)
    assert [(each.before, each.after) for each in there.changed] == [(each.after, each.before) for each in back.changed]
    assert bool(there) == (older != newer)


# --- images


def test_what_differs_between_two_images_is_told_apart_from_what_was_installed(in_image):
    then = in_image("six==1.0", own=("deb libssl3 3.0.9", "deb zip 3", "pypi pip 23.0"))
    now = in_image("six==2.0", own=("deb libssl3 3.0.11", "deb jq 1.6", "pypi pip 23.0"), system="Debian 13")

    found = diff(then, now)

    assert [each.name for each in found.changed] == ["six"]
    assert len(found) == 1
    assert found.base is not None
    assert found.base.facts == (("system", "Debian GNU/Linux 12 (bookworm)", "Debian 13"),)
    assert [each.name for each in found.base.added] == ["jq"]
    assert [each.name for each in found.base.removed] == ["zip"]
    assert [(each.before.version, each.after.version) for each in found.base.changed] == [("3.0.9", "3.0.11")]
    assert base_lines(found.base) == [
        "~ system of the image: Debian GNU/Linux 12 (bookworm) -> Debian 13",
        "+ deb jq 1.6 in the image",
        "- deb zip 3 in the image",
        "~ deb libssl3 3.0.9 -> 3.0.11 in the image",
    ]


def test_the_same_image_by_another_digest_is_no_difference(in_image):
    assert diff(in_image(digest=f"sha256:{'2' * 64}"), in_image(digest=f"sha256:{'3' * 64}")) == Diff()


def test_a_changed_image_alone_is_a_difference(in_image):
    found = diff(in_image(own=("deb libssl3 3.0.9",)), in_image(own=("deb libssl3 3.0.11",)))

    assert found
    assert len(found) == 0


def test_a_state_of_which_no_image_is_known_says_nothing_of_it(in_image, snapshot):
    assert diff(snapshot("six==1.0"), in_image("six==1.0")).base is None
    assert diff(in_image("six==1.0"), snapshot("six==1.0")).base is None


def test_one_package_for_two_processors_is_two(in_image):
    one = Package(ecosystem="deb", name="libc6", version="2.36", build="amd64")
    both = (one, replace(one, build="i386"))

    def on(*packages):
        seen = in_image()
        return replace(seen, contents=replace(seen.contents, packages=packages))

    found = diff(on(*both), on(one, replace(one, build="i386", version="2.37"))).base
    assert [(each.before.build, each.after.version) for each in found.changed] == [("i386", "2.37")]
