"""What can be mended is mended and told; what cannot is left, with the reason; nothing is taken from the user."""

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import uv

from venvoy import inventory
from venvoy.actions.adopt import adopt
from venvoy.actions.check import check
from venvoy.actions.record import recorded
from venvoy.actions.relocate import relocate
from venvoy.actions.repair import Repair, repair
from venvoy.model import Environment
from venvoy.store import Store


@pytest.fixture
def env(tooled) -> Environment:
    return tooled


@pytest.fixture
def site(env) -> Path:
    return next(env.prefix.glob("lib/python*/site-packages"))


@pytest.fixture
def mended(store, actor) -> Callable[[Environment], Repair]:
    """Repair it, and see that nothing is left to do."""

    def mend(env: Environment) -> Repair:
        assert check(store, env) != ()
        result = repair(store, env, actor=actor)
        assert result.left == ()
        assert check(store, store.environment(env.name)) == ()
        assert repair(store, env, actor=actor) == Repair(done=(), left=())
        return result

    return mend


@pytest.fixture
def theirs(store, actor, python, tmp_path, light) -> Environment:
    """An adopted venv with a package and its script in it."""
    light.add("tool", scripts={"tool": "tool:main"}, files={"tool/__init__.py": "def main(): print('a tool')\n"})
    folder = tmp_path / "theirs"
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
    install = [uv.find_uv_bin(), "pip", "install", "--quiet", "--python", folder / "bin/python", "tool", "marker==1.0"]
    subprocess.run(install, check=True)
    return adopt(store, folder, name=None, actor=actor)


def works(env: Environment) -> None:
    """Import, console script and activation act on this environment and no other."""
    look = "import sys, tool; print(sys.prefix, tool.__file__, sep='\\n')"
    prefix, place = subprocess.check_output([env.python, "-I", "-c", look], text=True).splitlines()
    assert Path(prefix) == env.prefix
    assert Path(place).is_relative_to(env.prefix)
    assert subprocess.check_output([env.prefix / "bin/tool"], text=True) == "a tool\n"
    shell = '. "$0/bin/activate"; printf "%s\\n" "$VIRTUAL_ENV"; command -v python; tool'
    shown = subprocess.check_output(["bash", "-c", shell, str(env.prefix)], text=True).splitlines()
    assert shown == [str(env.prefix), f"{env.prefix}/bin/python", "a tool"]


def test_where_all_is_well_nothing_is_done_and_nothing_is_written(store, env, actor):
    entries = store.history("demo").entries()

    assert repair(store, env, actor=actor) == Repair(done=(), left=())
    assert store.history("demo").entries() == entries


# --- moved and copied


def test_a_home_that_was_moved_works_again(env, settings, actor, tmp_path):
    shutil.move(settings.home, tmp_path / "moved")
    store = Store(replace(settings, home=tmp_path / "moved"))
    moved = store.environment("demo")

    result = repair(store, moved, actor=actor)

    assert result.left == check(store, moved) == ()
    assert [f"wrote {moved.prefix} instead of {env.prefix} into" in each for each in result.done] == [True]
    works(moved)
    written = [each.read_bytes() for each in (moved.prefix / "bin").iterdir() if not each.is_symlink()]
    assert not any(os.fsencode(env.prefix) in each for each in written)


def test_pip_in_a_moved_environment_acts_on_it(init, wheelhouse, settings, actor, tmp_path):
    wheelhouse.add("marker")
    init()
    shutil.move(settings.home, tmp_path / "moved")
    store = Store(replace(settings, home=tmp_path / "moved"))
    moved = store.environment("demo")
    with pytest.raises(FileNotFoundError):
        subprocess.run([moved.prefix / "bin/pip", "--version"], check=False)

    repair(store, moved, actor=actor)
    subprocess.run([moved.prefix / "bin/pip", "install", "--quiet", "marker"], check=True)

    assert "marker" in inventory.names(moved.prefix)


def test_a_copy_is_made_its_own_and_the_original_stays(env, store, settings, actor, tmp_path):
    shutil.copytree(settings.home / "environments", tmp_path / "copy/environments", symlinks=True)
    copied = Store(replace(settings, home=tmp_path / "copy"))

    assert repair(copied, copied.environment("demo"), actor=actor).left == ()

    works(copied.environment("demo"))
    works(env)
    assert check(store, env) == ()


@pytest.mark.parametrize("place", ["new", "with a space", "o'neil", 'the "best" $HOME', "deep/" + "d" * 120])
def test_an_adopted_venv_that_was_moved_works_again_wherever_it_went(store, theirs, actor, tmp_path, place, mended):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    shutil.move(theirs.prefix, tmp_path / place)
    moved = adopt(store, tmp_path / place, name=theirs.name, actor=actor)

    result = mended(moved)

    assert f"instead of {theirs.prefix}" in result.done[0]
    works(moved)


def test_a_venv_goes_there_and_back_again(store, theirs, actor, tmp_path, mended):
    """From the one-line form of a script's head to the long one, and back."""
    before = {each.name: each.read_bytes() for each in inventory.venv.scripts(theirs.prefix)}
    for place in ("deep/" + "d" * 120, "theirs"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        shutil.move(theirs.prefix, tmp_path / place)
        theirs = adopt(store, tmp_path / place, name=theirs.name, actor=actor)
        mended(theirs)
        works(theirs)

    assert {each.name: each.read_bytes() for each in inventory.venv.scripts(theirs.prefix)} == before


def test_modes_links_and_other_files_stay_as_they_are(env, tmp_path):
    programs = env.prefix / "bin"
    old, new = str(env.prefix), tmp_path / "new"
    files = {
        "neighbour": f"#!/bin/sh\nexec {old}-2/bin/x {old}.bak /mnt{old}/y\n",
        "named": f"#!/bin/sh\nexec {old}/bin/x '{old}' --at={old}:{old}/lib\n",
    }
    for name, text in files.items():
        (programs / name).write_text(text)
    (programs / "named").chmod(0o750)
    (programs / "binary").write_bytes(b"\x7fELF\0" + os.fsencode(old) + b"/lib\0")
    (programs / "link").symlink_to(f"{old}/bin/python")

    changed = relocate(env.prefix, (old,), new)

    assert (programs / "neighbour").read_text() == files["neighbour"]
    assert (programs / "named").read_text() == files["named"].replace(old, str(new))
    assert stat.S_IMODE((programs / "named").stat().st_mode) == 0o750
    assert (programs / "binary").read_bytes().endswith(os.fsencode(old) + b"/lib\0")
    assert os.readlink(programs / "link") == f"{new}/bin/python"
    assert {"named", "link", "tool", "activate"} <= {each.name for each in changed}
    assert not {"neighbour", "binary", "python"} & {each.name for each in changed}


# --- the interpreter


@pytest.mark.parametrize("how", ["dangling", "missing", "broken", "no bin", "no pyvenv.cfg", "home gone"])
def test_it_stands_on_an_interpreter_of_the_same_version_again(env, mended, how):
    config = env.prefix / "pyvenv.cfg"
    match how:
        case "no bin":
            shutil.rmtree(env.prefix / "bin")
        case "no pyvenv.cfg":
            config.unlink()
        case "home gone":
            config.write_text(config.read_text().replace("home = ", "home = /gone"))
        case _:
            env.python.unlink()
    if how == "dangling":
        env.python.symlink_to("/gone/python3")
    if how == "broken":
        env.python.write_text("#!/bin/sh\nexit 1\n")
        env.python.chmod(0o755)

    result = mended(env)

    assert result.done[0].startswith(f"turned its interpreter to Python {env.python_version}, ")
    look = "import sys, tool; print(sys.prefix)"
    for name in ("python", "python3", f"python{env.python_version.rpartition('.')[0]}"):
        shown = subprocess.check_output([env.prefix / "bin" / name, "-I", "-c", look], text=True)
        assert shown.strip() == str(env.prefix)


def test_an_interpreter_that_was_exchanged_for_another_version_is_set_right(store, env, pythons, mended):
    other = next(path for minor, path in pythons.items() if minor in ("3.13", "3.10", "3.9"))
    env.python.unlink()
    env.python.symlink_to(other)

    mended(env)

    works(env)


def test_what_pyvenv_cfg_says_beside_the_interpreter_stays(theirs, mended, tmp_path):
    config = theirs.prefix / "pyvenv.cfg"
    config.write_text(f"{config.read_text()}prompt = mine\n".replace("home = ", "home = /gone"))

    mended(theirs)

    said = inventory.venv.settings(theirs.prefix)
    assert (said["prompt"], said["include-system-site-packages"]) == ("mine", "false")
    assert Path(said["home"]).is_dir()


def test_config_learns_of_the_new_interpreter(store, env, pythons, actor):
    store.save(replace(env, base=Path("/gone/python3"), python_version=f"{env.python_version.rpartition('.')[0]}.99"))
    env.python.unlink()

    repair(store, env, actor=actor)

    assert store.environment("demo").python_version == env.python_version
    assert store.environment("demo").base.exists()


def test_without_an_interpreter_of_that_version_it_is_left_with_the_list_of_those_there_are(store, env, actor, site):
    site.parent.rename(site.parent.with_name("python3.2"))
    env.python.unlink()

    result = repair(store, env, actor=actor)

    assert result.done == ()
    assert [each.code for each in result.left] == ["interpreter-gone"]
    assert "are for Python 3.2: there is no Python 3.2 on this machine" in result.left[0].message
    assert env.python_version in result.left[0].message
    assert "python install 3.2" in result.left[0].mend


def test_a_lost_link_is_made_again(env, mended):
    env.prefix.unlink()

    assert mended(env).done[0].startswith(f"linked {env.prefix} to ")
    works(env)


# --- distributions


@pytest.mark.parametrize("lost", ["METADATA", "METADATA RECORD", "RECORD", "WHEEL", "../tool/deep/part.py"])
def test_a_distribution_that_is_not_whole_is_installed_anew(env, mended, site, lost):
    for name in lost.split():
        (site / "tool-1.0.dist-info" / name).unlink()

    assert mended(env).done == ("installed tool 1.0 anew",)
    works(env)
    assert (site / "tool/deep/part.py").exists()


def test_it_is_the_same_version_that_is_installed_anew(init, light, mended):
    env = init("marker==1.0")
    site = next(env.prefix.glob("lib/python*/site-packages"))
    (site / "marker/__init__.py").unlink()

    mended(env)

    assert inventory.names(env.prefix)["marker"] == "1.0"


@pytest.mark.parametrize("record", [True, False])
def test_of_two_metadata_folders_the_credible_one_stays(env, mended, site, record):
    older = site / "marker-0.5.dist-info"
    older.mkdir()
    (older / "METADATA").write_text("Metadata-Version: 2.1\nName: marker\nVersion: 0.5\n")
    if record:
        (older / "RECORD").write_text(
            "marker-0.5.dist-info/METADATA,,\nmarker-0.5.dist-info/RECORD,,\nmarker/old.py,,\n"
        )
    os.utime(older, (1, 1))

    mended(env)

    assert inventory.names(env.prefix)["marker"] == "2.0"
    assert not older.exists()


def test_an_empty_husk_and_what_pip_left_are_removed(env, mended, site):
    (site / "gone-1.0.dist-info").mkdir()
    (site / "~arker-1.0.dist-info").mkdir()

    result = mended(env)

    assert sorted(result.done) == sorted(f"removed {site}/{name}-1.0.dist-info" for name in ("gone", "~arker"))


def test_a_wheel_for_another_machine_is_exchanged(env, mended, site, light):
    wheel = site / "tool-1.0.dist-info/WHEEL"
    # uv links files to its cache, and the cache must stay as it is.
    text = wheel.read_text().replace("py3-none-any", "cp27-cp27mu-linux_s390x")
    wheel.unlink()
    wheel.write_text(text)

    assert mended(env).done == ("installed tool 1.0 anew, built for this interpreter",)


def test_an_editable_install_stays_editable(init, light, mended, tmp_path):
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "mine"\nversion = "1.0"\n'
    )
    (project / "backend.py").write_text(EDITABLE)
    (project / "src/mine.py").write_text("")
    env = init(f"-e {project}")
    next(env.prefix.glob("lib/python*/site-packages/mine.pth")).unlink()

    mended(env)

    shown = subprocess.check_output([env.python, "-I", "-c", "import mine; print(mine.__file__)"], text=True)
    assert shown.strip() == f"{project}/src/mine.py"


EDITABLE = """
import zipfile
from pathlib import Path

def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "mine-1.0-py3-none-any.whl"
    files = {
        "mine.pth": str(Path("src").absolute()),
        "mine-1.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: mine\\nVersion: 1.0\\n",
        "mine-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    record = "".join(f"{each},,\\n" for each in (*files, "mine-1.0.dist-info/RECORD"))
    with zipfile.ZipFile(Path(folder, name), "w") as wheel:
        for path, text in {**files, "mine-1.0.dist-info/RECORD": record}.items():
            wheel.writestr(path, text)
    return name
"""


def test_what_cannot_be_had_again_is_left_with_the_reason(store, env, actor, site, light):
    (light.folder / "tool-1.0-py3-none-any.whl").unlink()
    (site / "tool/deep/part.py").unlink()
    (site / "marker/__init__.py").unlink()

    result = repair(store, env, actor=actor)

    assert result.done == ("installed marker 2.0 anew",)
    assert [each.code for each in result.left] == ["distribution-incomplete"]
    assert result.left[0].message.startswith("tool==1.0 could not be installed anew: Because ")


def test_nothing_of_an_adopted_venv_is_removed(store, theirs, actor):
    site = next(theirs.prefix.glob("lib/python*/site-packages"))
    for name in ("~arker-1.0.dist-info", "gone-1.0.dist-info", "marker-0.5.dist-info"):
        (site / name).mkdir()
    (site / "marker-0.5.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: marker\nVersion: 0.5\n")
    os.utime(site / "marker-0.5.dist-info", (1, 1))
    (site / "tool/__init__.py").unlink()

    result = repair(store, theirs, actor=actor)

    assert "installed tool 1.0 anew" in result.done
    assert not any("removed" in each for each in result.done)
    assert {"~arker-1.0.dist-info", "gone-1.0.dist-info", "marker-0.5.dist-info"} <= set(os.listdir(site))
    codes = sorted(each.code for each in result.left)
    assert codes == ["distribution-duplicate", "distribution-half-removed", "distribution-husk"]
    assert all(str(site) in each.mend for each in result.left)


# --- requirements


def test_what_is_needed_is_installed(env, mended, site):
    subprocess.run([uv.find_uv_bin(), "pip", "uninstall", "--quiet", "--python", env.python, "marker"], check=True)

    assert mended(env).done == ("installed marker>=1",)


def test_another_version_is_chosen_so_that_all_who_need_it_agree(init, light, mended):
    light.add("marker", "1.5")
    light.add("modest", requires=("marker<2",))
    light.add("careful", requires=("marker>=1.2",))
    env = init("modest", "careful")
    install = [uv.find_uv_bin(), "pip", "install", "--quiet", "--python", env.python, "--no-deps"]
    subprocess.run([*install, "marker==1.0"], check=True)

    mended(env)

    assert inventory.names(env.prefix)["marker"] == "1.5"


def test_demands_that_exclude_each_other_are_left_with_the_reason(store, init, light, actor):
    light.add("old", requires=("marker<2",))
    light.add("new", requires=("marker>=2",))
    env = init("old")
    subprocess.run(
        [uv.find_uv_bin(), "pip", "install", "--quiet", "--python", env.python, "--no-deps", "new"], check=True
    )

    result = repair(store, env, actor=actor)

    assert result.done == ()
    assert [each.code for each in result.left] == ["requirement-unmet"]
    assert "new 1.0 needs marker>=2, and it could not be installed: Because " in result.left[0].message


def test_what_config_lists_is_installed(store, env, mended, light):
    light.add("wanted", "3.0")
    store.save(replace(env, packages=("tool", "wanted>=2"), dev_packages=("marker<2",)))

    mended(store.environment("demo"))

    assert {"wanted": "3.0", "marker": "1.0"}.items() <= inventory.names(env.prefix).items()


# --- the rest


def test_leftovers_are_removed(store, env, mended):
    (store.folder("demo") / ".prefix-20260102T030405-abcdef/lib").mkdir(parents=True)
    (store.folder("demo") / "config.yaml.20260102T030405-abcdef.note").write_text("")

    assert mended(env).done == ("removed what an interrupted build had left (2 items)",)
    assert not list(store.folder("demo").glob("*2026010*"))


def test_what_only_the_user_can_mend_is_left(store, env, actor, tmp_path):
    store.save(replace(env, env_file=(tmp_path / "gone.env",)))

    result = repair(store, env, actor=actor)

    assert (result.done, [each.code for each in result.left]) == ((), ["env-file-missing"])


def test_a_folder_that_is_gone_is_left(store, env, actor):
    shutil.rmtree(env.prefix.resolve())

    result = repair(store, env, actor=actor)

    assert (result.done, [each.code for each in result.left]) == ((), ["prefix-gone"])


def test_the_new_state_is_recorded_with_who_asked_for_it(store, env, actor, mended):
    subprocess.run([uv.find_uv_bin(), "pip", "uninstall", "--quiet", "--python", env.python, "pip"], check=True)
    (next(env.prefix.glob("lib/python*/site-packages")) / "tool/deep/part.py").unlink()

    mended(env)

    last = store.history("demo").last()
    assert (last.event, last.actor) == ("change", actor)
    assert {each.name for each in recorded(store.history("demo"), last).packages} == {"marker", "tool"}


def test_everything_at_once_is_mended_at_once(env, settings, actor, tmp_path, site):
    (site / "tool/deep/part.py").unlink()
    shutil.rmtree(site / "marker-2.0.dist-info")
    env.python.unlink()
    (env.prefix.parent / ".prefix-20260102T030405-abcdef").mkdir()
    env.prefix.unlink()
    shutil.move(settings.home, tmp_path / "moved")
    store = Store(replace(settings, home=tmp_path / "moved"))

    result = repair(store, store.environment("demo"), actor=actor)

    assert result.left == ()
    assert len(result.done) == 6
    works(store.environment("demo"))


def test_it_waits_for_whoever_holds_the_environment(store, env, actor, site):
    import threading

    (site / "tool/deep/part.py").unlink()
    worker = threading.Thread(target=repair, args=(store, env), kwargs={"actor": actor})

    with store.held("demo"):
        worker.start()
        worker.join(0.3)
        during = check(store, env)
    worker.join()

    assert [each.code for each in during] == ["distribution-incomplete"]
    assert check(store, env) == ()
