"""Lists of requirements, brought in step with what is there."""

import pytest

from venvoy.actions.lists import entries, fitted, names, pin
from venvoy.model import Package


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("numpy>=1\n", "numpy>=1\n"),
        ("numpy>=2\n", "numpy==1.26.4\n"),
        ("numpy==2.1\n", "numpy==1.26.4\n"),
        ("gone\nnumpy\n", "numpy\n"),
        ("# mine\n--index-url https://x/simple\nnumpy\n", "# mine\n--index-url https://x/simple\nnumpy\n"),
        ("-e ./src\n./here\n", "-e ./src\n./here\n"),
        ("gone; sys_platform == 'win32'\n", "gone; sys_platform == 'win32'\n"),
        ("numpy==2.1 \\\n    --hash=sha256:aa\n", "numpy==1.26.4\n"),
        ("numpy==1.26.4 \\\n    --hash=sha256:aa\n", "numpy==1.26.4 \\\n    --hash=sha256:aa\n"),
        ("numpy @ https://x/n.whl\n", "numpy @ https://x/n.whl\n"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_list_fits_a_state(snapshot, text, fits):
    assert fitted(text, snapshot("numpy==1.26.4")) == fits


def test_names_are_canonical_and_options_have_none():
    assert names("Py_YAML>=5\n-r other.txt\n# six\nsix [x]\n") == {"py-yaml", "six"}


def test_an_entry_may_take_several_lines():
    assert entries("a \\\n  --hash=x\n\nb\n") == ("a \\\n  --hash=x", "b")


@pytest.mark.parametrize(
    ("package", "line"),
    [
        (Package(name="a", version="1.0"), "a==1.0"),
        (Package(name="a", version="2004d"), "a===2004d"),
        (Package(name="a", version="1", origin="editable", url="file:///x"), "-e file:///x"),
        (Package(name="a", version="1", origin="vcs", url="git+https://h/p@c"), "a @ git+https://h/p@c"),
    ],
)
def test_a_pin_leaves_nothing_to_choose(package, line):
    assert pin(package) == line
