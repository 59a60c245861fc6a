"""What an installer of R was called with, as the names of packages."""

import pytest

from venvoy.actions.asked_of_r import asked_of_r, named
from venvoy.model import Asked


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("ggplot2", "ggplot2"),
        (" data.table ", "data.table"),
        ("dplyr@1.1.0", "dplyr"),
        ("dplyr==1.1.0", "dplyr"),
        ("bioc::limma", "limma"),
        ("any::cli", "cli"),
        ("r-lib/cli", "cli"),
        ("r-lib/cli@v3.0", "cli"),
        ("r-lib/cli#12", "cli"),
        ("github::r-lib/cli@*release", "cli"),
        ("user/project/sub/folder", "folder"),
        ("mine=user/project", "mine"),
        ("https://github.com/r-lib/cli.git", "cli"),
        ("git::https://token@git.example.org/ada/cli.git@main", "cli"),
        ("/home/ada/glue_1.6.2.tar.gz", "glue"),
        ("https://cran.example.org/src/contrib/glue_1.6.2-1.tar.gz", "glue"),
        ("C:/ada/glue_1.6.2.zip", "glue"),
        ("local::.", ""),
        ("", ""),
        ("-o", ""),
        ("a b", ""),
        ("$(reboot)", ""),
    ],
)
def test_every_way_to_write_a_package_names_it(spec, name):
    assert named(spec) == name


def called(*packages, verb="install", command="install.packages(x)"):
    return [{"tool": "install.packages", "verb": verb, "packages": list(packages), "command": command}]


def test_only_what_came_was_asked_for_and_only_what_went():
    assert asked_of_r(called("a", "b", "c"), {"a", "b"}) == (
        Asked(tool="install.packages", verb="install", names=("a", "b"), command="install.packages(x)"),
    )
    assert asked_of_r(called("a", "b", verb="remove"), {"a"})[0].names == ("b",)
    assert asked_of_r(called("a"), set()) == ()


def test_secrets_in_a_call_are_not_kept():
    said = "remotes::install_github('ada/a', auth_token = 'ghp_0123456789abcdef')"

    (asked,) = asked_of_r(called("ada/a", command=said), {"a"})

    assert "ghp_" not in asked.command


@pytest.mark.parametrize("said", [None, 1, "x", [1], [{}], [{"verb": []}], [{"verb": "install", "packages": {"a": 1}}]])
def test_what_a_guest_says_otherwise_is_none(said):
    assert asked_of_r(said, {"a"}) == ()
