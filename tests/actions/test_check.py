"""What is broken is found, named in a sentence, and comes with the command that mends it; nothing is changed."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from venvoy.actions import payload
from venvoy.actions.adopt import adopt
from venvoy.actions.bases import base_of
from venvoy.actions.check import check
from venvoy.model import Environment, Finding
from venvoy.store import Store


@pytest.fixture
def env(tooled) -> Environment:
    return tooled


@pytest.fixture
def site(env) -> Path:
    return next(env.prefix.glob("lib/python*/site-packages"))


@pytest.fixture
def lay(site) -> Callable[..., Path]:
    """Lay a distribution's metadata into the environment, as an installer would."""

    def laid(name: str, version: str = "1.0", *requires: str, tag: str = "py3-none-any", metadata: bool = True) -> Path:
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
        if metadata:
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nTag: {tag}\n")
        (info / "RECORD").write_text(f"{info.name}/RECORD,,\n{info.name}/WHEEL,,\n")
        return info

    return laid


@pytest.fixture
def only(store) -> Callable[[Environment], Finding]:
    """The one finding of an environment."""

    def found(env: Environment) -> Finding:
        findings = check(store, env)
        assert len(findings) == 1, findings
        assert findings[0].message
        assert findings[0].mend
        return findings[0]

    return found


def codes(store: Store, env: Environment) -> list[str]:
    return [each.code for each in check(store, env)]


def test_where_all_is_well_nothing_is_found_and_nothing_is_changed(store, env):
    def everything() -> dict[str, tuple[int, str]]:
        folders = (store.folder("demo"), store.project("demo"))
        return {
            str(each): (each.lstat().st_mtime_ns, os.readlink(each) if each.is_symlink() else "")
            for folder in folders
            for each in sorted((folder, *folder.rglob("*")))
        }

    before = everything()

    assert check(store, env) == ()
    assert everything() == before


def test_errors_come_before_warnings(store, env, site):
    (site / "~ool").mkdir()
    shutil.rmtree(site / "marker")

    assert [each.severity for each in check(store, env)] == ["error", "warning"]


# --- the folder


def test_a_folder_that_is_gone_is_found_and_the_record_is_the_way_back(store, env, only):
    shutil.rmtree(env.prefix.resolve())

    finding = only(env)

    assert (finding.code, str(env.prefix) in finding.message) == ("prefix-gone", True)
    assert finding.mend == f"venvoy restore {store.project('demo')}/environment.yml demo --force"


def test_where_only_the_link_is_lost_it_can_be_repaired(env, only):
    env.prefix.unlink()

    assert (only(env).code, only(env).mend) == ("prefix-gone", "venvoy repair demo")


def test_an_adopted_folder_that_is_gone_can_be_adopted_at_its_new_place(store, actor, python, tmp_path, only):
    subprocess.run([python, "-m", "venv", "--without-pip", tmp_path / "mine"], check=True)
    env = adopt(store, tmp_path / "mine", name=None, actor=actor)
    shutil.move(env.prefix, tmp_path / "moved")

    assert (only(env).code, only(env).mend) == ("prefix-gone", "venvoy adopt NEW_PLACE --name mine")


def test_a_venv_without_its_pyvenv_cfg_is_found(store, env):
    (env.prefix / "pyvenv.cfg").unlink()

    assert codes(store, env)[0] == "pyvenv-cfg-gone"


# --- the interpreter


@pytest.mark.parametrize("how", ["removed", "dangling", "base removed"])
def test_an_interpreter_that_is_gone_is_found(env, only, tmp_path, how):
    if how == "base removed":
        base = tmp_path / "base"
        base.symlink_to(env.python.resolve().parent)
        (env.prefix / "bin/python3").unlink()
        env.python.unlink()
        env.python.symlink_to("python3")
        (env.prefix / "bin/python3").symlink_to(base / "python3")
        base.unlink()
    else:
        env.python.unlink()
    if how == "dangling":
        env.python.symlink_to("/nowhere/bin/python3")

    finding = only(env)

    assert (finding.code, finding.mend) == ("interpreter-gone", "venvoy repair demo")
    where = {"removed": env.python, "dangling": "/nowhere/bin/python3", "base removed": tmp_path / "base/python3"}
    assert str(where[how]) in finding.message


def test_an_interpreter_that_does_not_run_is_found_with_its_last_words(env, only):
    env.python.unlink()
    env.python.write_text("#!/bin/sh\necho first >&2\necho boom >&2\nexit 3\n")
    env.python.chmod(0o755)

    assert only(env).code == "interpreter-broken"
    assert only(env).message.endswith("boom")


def test_an_interpreter_that_ran_before_and_lost_a_library_since_is_found(store, env, only, tmp_path):
    real = env.python.resolve()
    (tmp_path / "library").touch()
    env.python.unlink()
    env.python.write_text(f'#!/bin/sh\n. {tmp_path}/library\nexec {real} "$@"\n')
    env.python.chmod(0o755)
    base_of(store, env.python)
    (tmp_path / "library").unlink()

    assert only(env).code == "interpreter-broken"


def test_an_interpreter_of_another_minor_version_is_found(env, only, pythons):
    other = next(path for minor, path in pythons.items() if minor in ("3.13", "3.10", "3.9"))
    env.python.unlink()
    env.python.symlink_to(other)

    finding = only(env)

    assert finding.code == "interpreter-changed"
    assert base_minor(env) in finding.message


def base_minor(env: Environment) -> str:
    return env.python_version.rpartition(".")[0]


def test_a_home_in_pyvenv_cfg_that_is_not_there_is_found(store, env):
    config = env.prefix / "pyvenv.cfg"
    config.write_text(config.read_text().replace("home = ", "home = /gone"))

    assert "home-gone" in codes(store, env)


# --- the machine


@pytest.mark.parametrize("change", [{"system": "Darwin"}, {"architecture": "riscv64"}])
def test_an_environment_of_another_machine_is_found(store, env, only, change):
    finding = only(replace(env, **change))

    assert finding.code == "platform-other"
    assert next(iter(change.values())) in finding.message
    assert finding.mend.startswith(f"venvoy restore {store.project('demo')}/environment.yml demo-")


def test_that_it_is_of_another_machine_explains_an_interpreter_that_does_not_run(env, only):
    env.python.unlink()
    env.python.write_bytes(b"\x7fELF\2\1\1" + b"\0" * 100)
    env.python.chmod(0o755)

    assert only(replace(env, architecture="riscv64")).code == "platform-other"


def test_a_wheel_for_another_interpreter_or_machine_is_found(env, only, lay):
    lay("fast", "2.0", tag="cp27-cp27mu-linux_s390x")

    assert only(env).code == "distribution-unfit"
    assert "fast 2.0 (cp27-cp27mu-linux_s390x)" in only(env).message


def test_wheels_that_fit_are_not_complained_of(store, env, lay, python):
    asked = "import sysconfig; print(sysconfig.get_platform().replace('-', '_').replace('.', '_'))"
    machine = subprocess.check_output([python, "-c", asked], text=True).strip()
    tag = f"cp{base_minor(env).replace('.', '')}"
    fitting = (
        f"{tag}-{tag}-{machine}", f"cp39-abi3-{machine}", "py2.py3-none-any", f"py3-none-{machine}", f"{tag}-none-any",
    )  # fmt: skip
    for number, each in enumerate(fitting):
        lay(f"fits{number}", tag=each)

    assert check(store, env) == ()


# --- where it lies


def test_a_home_that_was_moved_is_found(env, store, settings, only, tmp_path):
    shutil.move(settings.home, tmp_path / "moved")
    moved = Store(replace(settings, home=tmp_path / "moved"))
    there = moved.environment("demo")

    findings = check(moved, there)

    assert [each.code for each in findings] == ["moved"]
    assert f"written for {env.prefix}, and it lies in {there.prefix}" in findings[0].message
    assert "was moved" in findings[0].message


def test_a_copy_is_told_from_what_was_moved(env, settings, tmp_path):
    shutil.copytree(settings.home / "environments", tmp_path / "copy/environments", symlinks=True)
    copy = Store(replace(settings, home=tmp_path / "copy"))

    findings = check(copy, copy.environment("demo"))

    assert [each.code for each in findings] == ["moved"]
    assert f"'demo' is a copy: 4 of its files were written for {env.prefix}" in findings[0].message


@pytest.mark.parametrize("minor", ["3.9", "3.12", "3.13"])
def test_a_venv_of_pythons_own_that_was_moved_is_found_also_without_any_script(store, actor, pythons, minor, tmp_path):
    if minor not in pythons:
        pytest.skip(f"not obtainable: no Python {minor} on this machine")
    subprocess.run([pythons[minor], "-m", "venv", "--without-pip", tmp_path / "old"], check=True)
    shutil.move(tmp_path / "old", tmp_path / "new")

    findings = check(store, adopt(store, tmp_path / "new", name=None, actor=actor))

    assert [each.code for each in findings] == ["moved"]
    assert f"written for {tmp_path}/old, and it lies in {tmp_path}/new" in findings[0].message


@pytest.mark.parametrize("quote", ["", '"', "'"])
def test_the_long_form_of_a_scripts_first_lines_is_read(store, env, quote):
    script = env.prefix / "bin/long"
    script.write_text(f"#!/bin/sh\n'''exec' {quote}/gone/my/venv/bin/python3{quote} \"$0\" \"$@\"\n' '''\nprint()\n")

    assert codes(store, env) == ["moved"]


def test_scripts_for_other_programs_say_nothing_of_a_move(store, env, tmp_path):
    (tmp_path / "theirs/bin").mkdir(parents=True)
    (tmp_path / "theirs/bin/tool").write_text("#!/gone/bin/python\n")
    firsts = {
        "base": f"#!{env.python.resolve()}\n",
        "env": "#!/usr/bin/env python3\n",
        "shell": "#!/bin/sh\nexec /elsewhere/bin/python\n",
        "relative": "#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python' \"$0\" \"$@\"\n' '''\n",
        "options": f"#!{env.prefix}/bin/python -E\n",
    }
    for name, text in firsts.items():
        (env.prefix / "bin" / name).write_text(text)
    (env.prefix / "bin/linked").symlink_to(tmp_path / "theirs/bin/tool")
    (env.prefix / "bin/program").write_bytes(b"\x7fELF\0\0#!/gone/bin/python\n")

    assert check(store, env) == ()


def test_another_way_to_the_same_place_is_no_move(env, settings, tmp_path):
    (tmp_path / "alias").symlink_to(settings.home)
    alias = Store(replace(settings, home=tmp_path / "alias"))

    assert check(alias, alias.environment("demo")) == ()


# --- distributions


def test_metadata_that_is_lost_is_found(env, only, lay):
    lay("shell", "1.5", metadata=False)

    assert only(env).code == "distribution-husk"
    assert "shell 1.5 has lost its metadata (shell-1.5.dist-info)" in only(env).message


def test_files_that_are_missing_are_found_and_named(env, only, site):
    (site / "tool/deep/part.py").unlink()
    (env.prefix / "bin/tool").unlink()

    assert only(env).code == "distribution-incomplete"
    assert "tool 1.0 is not whole: ../../../bin/tool, tool/deep/part.py are not there" in only(env).message


def test_compiled_files_may_come_and_go(store, env, site):
    record = site / "tool-1.0.dist-info/RECORD"
    record.write_text(f"{record.read_text()}tool/__pycache__/__init__.cpython-312.pyc,,\n")

    assert check(store, env) == ()


def test_names_with_commas_and_quotes_are_read_as_record_writes_them(store, env, site):
    (site / 'odd, "name".txt').touch()
    record = site / "tool-1.0.dist-info/RECORD"
    record.write_text(record.read_text() + '"odd, ""name"".txt",,\n')

    assert check(store, env) == ()


def test_a_missing_record_is_a_warning(env, only, site):
    (site / "tool-1.0.dist-info/RECORD").unlink()

    assert (only(env).code, only(env).severity) == ("distribution-unrecorded", "warning")


def test_one_distribution_with_the_metadata_of_two_is_found(env, only, lay):
    lay("Marker", "0.5")

    assert only(env).code == "distribution-duplicate"
    assert only(env).message == "marker is there more than once (Marker-0.5.dist-info, marker-2.0.dist-info)"


def test_what_an_interrupted_pip_left_is_a_warning(env, only, site):
    (site / "~arker-2.0.dist-info").mkdir()

    assert (only(env).code, only(env).severity) == ("distribution-half-removed", "warning")


# --- requirements


def test_a_requirement_that_is_not_there_is_found(env, only, lay):
    lay("needy", "1.0", "absent>=3", "marker>=1")

    assert only(env).code == "requirement-missing"
    assert only(env).message == "needy 1.0 needs absent>=3, which is not installed"


def test_a_requirement_in_another_version_is_found(env, only, lay):
    lay("needy", "1.0", "marker<2")

    assert only(env).code == "requirement-unmet"
    assert only(env).message == "needy 1.0 needs marker<2, and marker 2.0 is installed"


def test_a_prerelease_meets_a_requirement(store, env, lay):
    lay("early", "2.0rc1")
    lay("needy", "1.0", "early>=1")

    assert check(store, env) == ()


def test_markers_are_read_for_the_environments_python_and_not_for_ours(store, init, light, pythons, lay_into):
    oldest = min(pythons.keys() & {"3.9", "3.10", "3.11", "3.12", "3.13"}, key=lambda each: int(each[2:]))
    newest = max(pythons.keys() & {"3.12", "3.13"}, key=lambda each: int(each[2:]))
    needs = (f'old; python_version == "{oldest}"', f'new; python_full_version >= "{newest}"', 'win; os_name == "nt"')
    found = {}

    for minor in (oldest, newest):
        env = init(python=str(pythons[minor]), force=store.exists("demo"))
        lay_into(env, "needy", *needs)
        found[minor] = [each.message for each in check(store, env)]

    assert found == {
        oldest: ["needy 1.0 needs old, which is not installed"],
        newest: ["needy 1.0 needs new, which is not installed"],
    }


@pytest.fixture
def lay_into() -> Callable[..., None]:
    def laid(env: Environment, name: str, *requires: str) -> None:
        info = next(env.prefix.glob("lib/python*/site-packages")) / f"{name}-1.0.dist-info"
        info.mkdir()
        needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}")
        (info / "RECORD").write_text("")

    return laid


def test_extras_count_where_somebody_asks_for_them(store, env, lay):
    lay("big", "1.0", 'first; extra == "one"', 'second; extra == "two"', 'big[two]; extra == "all"')
    lay("asking", "1.0", "big[one]")

    found = [each.message for each in check(store, replace(env, packages=("big[all]",)))]

    assert found == [
        "big[one] 1.0 needs first, which is not installed",
        "big[two] 1.0 needs second, which is not installed",
    ]
    assert [each.message for each in check(store, env)] == found[:1]


def test_what_config_lists_must_be_there_and_fit(store, env):
    found = check(store, replace(env, packages=("marker<2", "absent"), dev_packages=("also-absent",)))

    assert [(each.code, each.message) for each in found] == [
        ("package-missing", "config.yaml lists absent, which is not installed"),
        ("package-missing", "config.yaml lists also-absent, which is not installed"),
        ("package-unmet", "config.yaml lists marker<2, and marker 2.0 is installed"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "marker==2.0 --hash=sha256:abc",
        "absent; python_version < '3'",
        "/somewhere/absent-1.0-py3-none-any.whl",
        "git+https://example.org/absent",
        "marker @ https://example.org/marker.zip",
    ],
)
def test_lines_of_config_that_ask_for_nothing_by_name_here_are_passed_over(store, env, line):
    assert check(store, replace(env, packages=(line,))) == ()


def test_packages_of_the_system_count_where_they_are_seen_and_that_is_a_warning(store, actor, tmp_path, python):
    asked = "import importlib.metadata as m; print(*sorted(d.name for d in m.distributions())[:1])"
    system = subprocess.check_output([python, "-I", "-c", asked], text=True).strip()
    if not system:
        pytest.skip("not obtainable: the interpreter has no packages of its own")
    subprocess.run([python, "-m", "venv", "--without-pip", "--system-site-packages", tmp_path / "open"], check=True)
    env = adopt(store, tmp_path / "open", name=None, actor=actor)

    findings = check(store, replace(env, packages=(system, "absent")))

    assert [(each.code, each.severity) for each in findings] == [
        ("package-missing", "error"),
        ("system-site-packages", "warning"),
    ]


# --- the kernel, the files, the builds


@pytest.fixture
def lent(store, env) -> None:
    """A kernel that was built already: an ipykernel that needs traitlets 5."""
    store.payloads.unlink()
    folder = payload._folder(store, base_of(store, env.python), payload.own_lock())
    folder.mkdir(parents=True)
    content = {
        "ipykernel": {"version": "7.0", "requires": ["traitlets>=5"]},
        "traitlets": {"version": "5.14", "requires": []},
    }
    (folder / "venvoy-payload.json").write_text(json.dumps(content))


def test_a_package_that_breaks_the_kernel_is_found(env, only, lay, lent):
    lay("traitlets", "4.0")

    assert only(env).code == "kernel-conflict"
    assert only(env).message == "traitlets 4.0 is installed, but the kernel's ipykernel 7.0 needs traitlets>=5"
    assert only(env).mend == "venvoy run demo -- pip install --upgrade traitlets"


def test_an_environment_with_a_kernel_of_its_own_does_not_care_for_ours(store, env, lay, lent):
    lay("traitlets", "4.0")
    lay("ipykernel", "6.0")

    assert check(store, env) == ()


def test_no_kernel_is_built_for_a_check(store, env):
    store.payloads.unlink()

    check(store, env)

    assert not store.payloads.exists()


def test_a_file_of_variables_that_is_not_there_is_found(store, env, only, tmp_path):
    (tmp_path / "there.env").touch()

    finding = only(replace(env, env_file=(tmp_path / "there.env", tmp_path / "gone.env")))

    assert (finding.code, str(tmp_path / "gone.env") in finding.message) == ("env-file-missing", True)


def test_leftovers_are_a_warning_but_not_while_somebody_is_building(store, env, only):
    (store.folder("demo") / ".prefix-20260102T030405-abcdef").mkdir()

    finding = only(env)
    with store.held("demo"):
        during = check(store, env)

    assert (finding.code, finding.severity, during) == ("leftovers", "warning", ())


def test_what_is_broken_at_once_is_found_at_once(store, env, site, lay, tmp_path):
    lay("shell", metadata=False)
    lay("needy", "1.0", "absent")
    shutil.rmtree(site / "tool")
    (store.folder("demo") / "requirements.txt.20260102T030405-abcdef.next").touch()

    found = codes(store, replace(env, env_file=(tmp_path / "gone",)))

    assert sorted(found) == [
        "distribution-husk", "distribution-incomplete", "env-file-missing", "leftovers", "requirement-missing",
    ]  # fmt: skip
