"""What a notebook in a container says of what it would lose, and when it says nothing."""

import errno

import pytest

from venvoy.guest.hints import Hints

FIXED = {"VENVOY_CONTAINER": "fixed", "VENVOY_ENVIRONMENT": "demo"}
REFUSED = OSError(errno.EROFS, "Read-only file system", "/usr/x")


@pytest.mark.parametrize(
    "cell",
    [
        "!apt-get install -y graphviz",
        "!apt install graphviz",
        "!sudo apt-get -qq -y install graphviz",
        "%%bash\nset -e\ndnf install graphviz",
        "! apk add graphviz",
        "import subprocess; subprocess.run(['apt-get', 'install', 'graphviz'])",
    ],
)
def test_system_packages_are_said_to_be_lost(cell, capsys):
    Hints(FIXED).after(cell, None, 0, False)

    assert "have it in the image: venvoy add demo --system PACKAGE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("cell", "error"),
    [
        ("print('apt')", None),
        ("adapt install = 1", None),
        ("open('x')", FileNotFoundError(errno.ENOENT, "no", "/usr/x")),
        ("open('/home/ada/x', 'w')", PermissionError(errno.EACCES, "no", "/home/ada/x")),
        ("open('x', 'w')", PermissionError(errno.EACCES, "no", "x")),
        ("1 / 0", ZeroDivisionError()),
    ],
)
def test_other_cells_are_left_alone(cell, error, capsys):
    Hints(FIXED).after(cell, error, 0, False)

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("error", [REFUSED, PermissionError(errno.EACCES, "no", "/usr/share/x")])
def test_a_write_into_the_image_is_explained_once(error, capsys):
    hints = Hints(FIXED)

    hints.after("x", error, 0, False)
    hints.after("x", error, 0, False)

    assert capsys.readouterr().err.count("the image's own files cannot be changed") == 1


def test_only_an_installation_that_failed_is_told_of_the_network(capsys):
    hints = Hints(FIXED | {"VENVOY_CONTAINER": "fixed offline"})

    hints.after("%pip install x", None, 0, True)
    hints.after("!curl x", None, 1, False)
    assert capsys.readouterr().err == ""
    hints.after("%pip install x", None, 1, True)
    assert "venvoy install demo PACKAGE" in capsys.readouterr().err


def test_outside_of_containers_nothing_is_said(capsys):
    Hints({}).after("!apt-get install x", REFUSED, 1, True)

    assert capsys.readouterr().err == ""
