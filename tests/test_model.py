"""What counts when two snapshots or packages are compared."""

from dataclasses import replace
from datetime import UTC, datetime

from venvoy.model import Change, Diff, Package


def test_two_looks_at_the_same_state_are_equal_whenever_and_wherever_they_were_taken(snapshot):
    one = snapshot("six==1.0", name="one")
    later = replace(one, environment="two", taken=datetime(2030, 1, 1, tzinfo=UTC), base="another build")

    assert one == later


def test_whether_a_package_was_asked_for_does_not_make_it_another(snapshot):
    asked = Package(name="six", version="1.0", direct=True)
    came_along = Package(name="six", version="1.0", direct=False)

    assert snapshot(asked) == snapshot(came_along)


def test_a_package_is_found_by_its_name(snapshot):
    assert snapshot("six==1.0", "idna==3").package("idna") == Package(name="idna", version="3")
    assert snapshot("six==1.0").package("idna") is None


def test_a_difference_is_true_and_as_long_as_the_packages_that_differ():
    six, idna = Package(name="six", version="1"), Package(name="idna", version="3")
    change = Change(name="six", before=six, after=replace(six, version="2"))

    assert not Diff()
    assert len(Diff(added=(idna,), changed=(change,))) == 2
    assert Diff(interpreter=("3.11.1", "3.12.1"))
