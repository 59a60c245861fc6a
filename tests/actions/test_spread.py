"""Wheels in a prefix that no interpreter has made: where their files go, and what is refused."""

import zipfile
from pathlib import Path

import pytest

from venvoy import inventory
from venvoy.actions.spread import Interpreter, spread
from venvoy.errors import InvalidInput
from venvoy.inventory import recorded

PYTHON = Interpreter(path="/usr/bin/python3", version="3.11.2", prefix="/venvoy/env")
INFO = "demo-1.0.dist-info"
HEAD = {f"{INFO}/METADATA": "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n", f"{INFO}/RECORD": ""}


def wheel(folder: Path, **content: str | bytes) -> Path:
    file = folder / "demo-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {**HEAD, **content}.items():
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
    return file


def test_every_file_goes_where_the_format_says(tmp_path):
    data = "demo-1.0.data"
    content = {
        "demo/__init__.py": "def main(): pass\n",
        f"{data}/purelib/pure.py": "",
        f"{data}/platlib/plat.py": "",
        f"{data}/scripts/said": "#!python\nprint(1)\n",
        f"{data}/scripts/shell": "#!/bin/sh\n",
        f"{data}/data/share/doc.txt": "doc",
        f"{data}/headers/demo.h": "",
        f"{INFO}/entry_points.txt": "[console_scripts]\ndemo = demo:main\nDeep = demo.sub:one.two [extra]\n",
    }

    spread([wheel(tmp_path, **content)], tmp_path / "prefix", PYTHON)

    prefix, site = tmp_path / "prefix", tmp_path / "prefix/lib/python3.11/site-packages"
    assert {each.name for each in site.iterdir()} == {"demo", INFO, "plat.py", "pure.py"}
    assert (prefix / "bin/said").read_text() == "#!/venvoy/env/bin/python\nprint(1)\n"
    assert (prefix / "bin/shell").read_text() == "#!/bin/sh\n"
    assert (prefix / "share/doc.txt").read_text() == "doc"
    assert (prefix / "include/site/python3.11/demo/demo.h").exists()
    assert "from demo.sub import one\n" in (prefix / "bin/Deep").read_text()
    assert (prefix / "bin/demo").stat().st_mode & 0o111 == 0o111
    audit = recorded.audit(inventory.site_folders(prefix), inventory.distributions(prefix), written_for={})
    assert audit.deviations == ()
    assert audit.files == 11
    assert [(each.name, each.version) for each in inventory.packages(prefix)] == [("demo", "1.0")]


def test_it_is_the_venv_that_uv_would_have_made(make, wheels, tmp_path):
    wheels.add("alpha", files={"alpha/data.txt": "data"}, scripts={"alpha": "alpha:main"})
    made = make("demo", "alpha")

    spread([next(wheels.folder.glob("alpha-*"))], tmp_path / "prefix", PYTHON)

    ours, theirs = (
        {each.name: recorded.tree(each) for each in inventory.distributions(one)}
        for one in (tmp_path / "prefix", made.prefix)
    )
    assert ours["alpha"] == theirs["alpha"]


HOSTILE = {
    "climbs out": ({"../../../../evil": "x"}, "leads out"),
    "absolute": ({"/tmp/evil": "x"}, "leads out"),
    "backslash": ({"..\\evil": "x"}, "leads out"),
    "data that climbs out": ({"demo-1.0.data/scripts/../../evil": "x"}, "leads out"),
    "data of no kind": ({"demo-1.0.data/etc/passwd": "x"}, "of no kind"),
    "data alone": ({"demo-1.0.data/scripts": "x"}, "of no kind"),
    "program that climbs out": ({f"{INFO}/entry_points.txt": "[console_scripts]\n../../evil = demo:main\n"}, "leads out"),
    "program of no module": ({f"{INFO}/entry_points.txt": "[console_scripts]\nx = import os; os.abort()\n"}, "leads nowhere"),
    "two distributions": ({"other-1.dist-info/METADATA": ""}, "no wheel|values to unpack"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_wheel_is_refused_with_the_reason(tmp_path, kind):
    content, reason = HOSTILE[kind]

    with pytest.raises(InvalidInput, match=reason):
        spread([wheel(tmp_path, **content)], tmp_path / "a/b/c/d/prefix", PYTHON)

    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "demo-1.0-py3-none-any.whl"]


@pytest.mark.parametrize(("size", "reason"), [(1 << 60, "are free"), (3, "not what it announces")])
def test_a_wheel_that_announces_other_than_it_has_is_refused(tmp_path, size, reason):
    file = tmp_path / "demo-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {**HEAD, "big": "x"}.items():
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
        archive.filelist[-1].file_size = size

    with pytest.raises(InvalidInput, match=reason):
        spread([file], tmp_path / "prefix", PYTHON)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04"])
def test_what_is_no_wheel_is_refused(tmp_path, content):
    (tmp_path / "x.whl").write_bytes(content)

    with pytest.raises(InvalidInput, match="no wheel"):
        spread([tmp_path / "x.whl"], tmp_path / "prefix", PYTHON)
