"""What every kind of environment can do: the same questions to a venv, a conda prefix, an R library and in images, for real."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import get_args

import pytest

from venvoy import inventory, process, runtimes
from venvoy.actions.archive import archive
from venvoy.actions.check import check
from venvoy.actions.contain import Wanted, contain
from venvoy.actions.create import Plan, create
from venvoy.actions.delete import delete
from venvoy.actions.diff import diff
from venvoy.actions.export import Order, export
from venvoy.actions.freeze import freeze
from venvoy.actions.go_back import go_back
from venvoy.actions.import_archive import import_archive
from venvoy.actions.install import install, remove
from venvoy.actions.locks import lock_file, locked
from venvoy.actions.observe import observe
from venvoy.actions.plan import plan
from venvoy.actions.points import point
from venvoy.actions.prune import prune
from venvoy.actions.relocate import relocate
from venvoy.actions.repair import repair
from venvoy.actions.restore import How, from_bundle, restore
from venvoy.actions.status import status
from venvoy.actions.stock import Stock, WouldRun
from venvoy.actions.undo import undo
from venvoy.actions.unpacking import unpack
from venvoy.actions.verify import verify_archive, verify_environment
from venvoy.containers import ENGINES
from venvoy.errors import CommandFailed, EnvironmentExists, InvalidInput
from venvoy.model import Environment, Job, Resources
from venvoy.model import Kind as KindOf
from venvoy.runtimes import RUNTIMES
from venvoy.runtimes.inside import PREFIX
from venvoy.settings import Policy
from venvoy.store import Store, generation_folder

R = Path(__file__).parents[1] / "r"


@dataclass(frozen=True)
class Kind:
    """How environments of a kind are made, and how packages get into them; each has a `marker` in two versions.

    `wanted` is what is asked of a container, None on this machine.
    """

    name: str
    store: Store
    make: Callable[..., Environment]
    add: Callable[..., object]
    wanted: Wanted | None = None

    @property
    def runtime(self) -> str:
        return "venv" if self.by_r else self.name

    @property
    def by_r(self) -> bool:
        """Whether the marker and the tool are R packages."""
        return self.name in ("r", "mixed")

    def file_of(self, env: Environment) -> Path:
        """A file of the tool's that can be changed."""
        if self.by_r:
            return env.library / "tool/NAMESPACE"
        [module] = [each for site in inventory.site_folders(env.prefix) for each in site.glob("tool/__init__.py")]
        return module

    def stands(self, env: Environment) -> bool:
        """Whether the tool is for the prefix in the place by which it is reached."""
        if self.by_r:
            job = Job(argv=("Rscript", "-e", "cat(tool::hello(), .libPaths()[[1]])"), cwd=Path("/"))
            said = process.run(runtimes.get(env.runtime).command(env, job))
            return said == f"hello {env.library}"
        return (env.prefix / "bin/tool").read_text().startswith(f"#!{self.reached(env)}/bin/python")

    @property
    def env(self) -> Environment:
        return self.store.environment("demo")

    def reached(self, env: Environment) -> Path:
        """The place of the prefix for which its programs are written."""
        return Path(PREFIX) if self.wanted else env.prefix

    def copy(self, source: Path) -> Environment:
        """Make another environment of the same kind from a file."""
        how = How() if self.wanted or self.by_r else How(runtime=self.name)
        return restore(self.store, source, name="copy", actor=ACTOR, how=how, wanted=self.wanted).environment

    def versions(self, env: Environment | None = None) -> dict[str, str]:
        packages = observe(self.store, env or self.env).packages
        return {each.name: each.version for each in packages if each.name in ("marker", "tool", "fromindex")}

    def back(self, to: str) -> Environment:
        target = point(self.store.history("demo"), to, look=lambda: observe(self.store, self.env))
        return go_back(self.store, self.env, target, actor=ACTOR).environment


def _actor():
    from venvoy.model import Actor

    return Actor(kind="command", command="venvoy test")


ACTOR = _actor()


@pytest.fixture(scope="session")
def _same_in_r(tmp_path_factory, rscript):
    """A CRAN with the same packages."""
    folder = tmp_path_factory.mktemp("same") / "cran"
    subprocess.run([rscript, "--vanilla", R / "same.R", folder], check=True, capture_output=True)
    return folder


def _cran(request, store) -> None:
    """Have R take its packages from there."""
    (store.settings.user_home / "cran").symlink_to(request.getfixturevalue("_same_in_r"))
    (store.settings.user_home / ".Rprofile").write_text("")
    request.getfixturevalue("served_repository")


def _of_r(request, store, *, beside: str | None = None) -> Kind:
    """R alone, or beside the Python at that path, which has packages of its own."""
    _cran(request, store)
    said = {"language": "python", "also": ("r",), "python": beside} if beside else {"language": "r"}

    def make(name: str = "demo", *wanted: str, force: bool = False) -> Environment:
        return create(store, Plan(name=name, specs=wanted, force=force, **said), actor=ACTOR)

    def add(*wanted: str) -> object:
        return install(store, store.environment("demo"), (), by_r=wanted, actor=ACTOR)

    return Kind("mixed" if beside else "r", store, make, add)


# Of the runtimes for images one with a daemon and one with files; `test_running.py` asks all of them.
@pytest.fixture(params=["venv", "conda", "r", "mixed", "docker", "apptainer"])
def kind(request, store, mirror_index, wheelhouse, tmp_path, pythons) -> Kind:
    """The wheelhouse is the index; for conda the marker and the tool come from the channel, for R from a CRAN.

    In R all is from there, in an environment that speaks Python as well the rest is of Python.
    """
    for version in ("1.0", "2.0"):
        wheelhouse.add("marker", version)
    wheelhouse.add("fromindex", files={"fromindex/data.txt": "data\n"}, scripts={"fromindex": "fromindex:main"})
    if request.param in ("r", "mixed"):
        return _of_r(request, store, beside=_here(pythons) if request.param == "mixed" else None)
    python: str | None = None
    wanted = container = None
    if request.param == "conda":
        request.getfixturevalue("channel")
        python = "3.12"
    else:
        wheelhouse.add("tool", requires=("marker>=1",), scripts={"tool": "tool:main"}, files=TOOL)
    if request.param == "venv":
        python = _here(pythons)
    if request.param in ENGINES:
        wanted = _wanted(request)
        _, container = contain(store, wanted, Policy())

    def make(name: str = "demo", *wanted: str, force: bool = False) -> Environment:
        plan = Plan(name=name, runtime=request.param, container=container, python=python, force=force)
        if request.param == "conda":
            return create(store, replace(plan, specs=wanted), actor=ACTOR)
        listed = tmp_path / f"{name}-requirements.txt"
        listed.write_text("".join(f"{each}\n" for each in wanted))
        return create(store, replace(plan, requirements=listed), actor=ACTOR)

    def add(*wanted: str, env: Environment | None = None) -> object:
        env = env or store.environment("demo")
        if request.param == "conda":
            specs = tuple(each.replace("==", "=") for each in wanted)
            return install(store, env, (), specs=specs, actor=ACTOR)
        return install(store, env, wanted, actor=ACTOR)

    return Kind(request.param, store, make, add, wanted)


def _here(pythons) -> str:
    return str(next(pythons[each] for each in ("3.12", "3.11", "3.13") if each in pythons))


def _wanted(request) -> Wanted:
    found = request.getfixturevalue("detected").named(request.param)
    if not found.usable:
        pytest.skip(f"{found.name} cannot be used here: {found.problem}")
    image = request.getfixturevalue("image")(found, "python:3.11")
    # The index of the tests is on this machine.
    return Wanted(runtime=found.name, image=image, resources=Resources(network="host"))


TOOL = {"tool/__init__.py": "def main(): print('a tool')\n"}


def test_every_runtime_of_this_machine_is_asked_these_questions():
    assert set(RUNTIMES) - set(ENGINES) == {"venv", "conda"}
    assert set(get_args(KindOf)) == {"venv", "conda", "r"}


def test_what_is_asked_for_is_there_with_what_it_needs_and_on_record(kind):
    env = kind.make("demo", "tool")

    assert kind.versions() == {"tool": "1.0", "marker": "2.0"}
    assert env.runtime == kind.runtime
    assert kind.stands(env)
    [entry] = kind.store.history("demo").entries()
    assert "tool" in {name for each in entry.asked for name in each.names}
    assert check(kind.store, env) == ()


def test_the_prefix_is_written_for_the_place_by_which_it_is_reached(kind):
    env = kind.make("demo", "tool")
    install(kind.store, env, ("fromindex",), actor=ACTOR)

    aside = str(generation_folder(env.prefix, env.generation))
    assert not relocate(env.prefix, (aside,), kind.reached(env))


def test_packages_come_and_go_and_each_change_is_an_entry(kind):
    kind.make()
    kind.add("marker==1.0")
    kind.add("marker==2.0")
    remove(kind.store, kind.env, ("marker",), actor=ACTOR)

    assert kind.versions() == {}
    assert [each.event for each in kind.store.history("demo").entries()] == ["change"] * 4
    with pytest.raises(InvalidInput, match="nonesuch is not installed"):
        remove(kind.store, kind.env, ("nonesuch",), actor=ACTOR)


def test_what_cannot_be_installed_changes_nothing(kind):
    kind.make("demo", "marker")
    before = observe(kind.store, kind.env)

    with pytest.raises(CommandFailed):
        kind.add("nonesuch")

    assert observe(kind.store, kind.env) == before
    assert len(kind.store.history("demo").entries()) == 1


def test_a_failed_environment_leaves_nothing_and_an_old_one_as_it_was(kind):
    with pytest.raises(CommandFailed):
        kind.make("demo", "nonesuch")
    assert not kind.store.exists("demo")
    assert not kind.store.folder("demo").exists()

    env = kind.make("demo", "marker")
    with pytest.raises(EnvironmentExists):
        kind.make("demo", "tool")
    with pytest.raises(CommandFailed):
        kind.make("demo", "nonesuch", force=True)
    assert kind.env == env
    assert kind.versions() == {"marker": "2.0"}


def test_force_without_a_wish_makes_what_the_environment_lists(kind):
    kind.make("demo", "marker")
    kind.add("tool")
    generation = kind.env.generation

    create(kind.store, Plan(name="demo", force=True), actor=ACTOR)

    assert kind.env.generation != generation
    assert kind.versions() == {"tool": "1.0", "marker": "2.0"}


def test_undo_takes_back_and_a_point_leads_forward_again(kind):
    kind.make("demo", "marker")
    kind.add("tool")

    undo(kind.store, kind.env, actor=ACTOR)
    assert kind.versions() == {"marker": "2.0"}
    assert check(kind.store, kind.env) == ()

    kind.back("2")
    assert kind.versions() == {"tool": "1.0", "marker": "2.0"}


def test_a_point_of_the_past_is_built_anew_where_nothing_of_it_is_kept(kind):
    kind.make("demo", "marker==1.0")
    then = observe(kind.store, kind.env)
    kind.add("marker==2.0")
    kind.add("tool")
    prune(kind.store, "demo", keep=0)

    planned = plan(kind.store, kind.env, point(kind.store.history("demo"), "1", look=lambda: then))
    env = kind.back("1")

    assert not planned.kept
    assert not diff(then, observe(kind.store, env))
    kind.add("tool")
    assert kind.versions()["tool"] == "1.0"


def test_what_an_earlier_state_asked_for_is_asked_for_again(kind):
    kind.make("demo", "tool")
    remove(kind.store, kind.env, ("tool",), actor=ACTOR)

    kind.back("1")
    create(kind.store, Plan(name="demo", force=True), actor=ACTOR)

    assert kind.versions() == {"tool": "1.0", "marker": "2.0"}


def test_a_lock_says_every_file_and_is_read_back_as_it_was(kind):
    kind.make("demo", "tool")
    install(kind.store, kind.env, ("fromindex",), actor=ACTOR)

    frozen = freeze(kind.store, kind.env, actor=ACTOR)

    assert frozen.path == lock_file(kind.store, kind.env)
    assert frozen.unpinned == ()
    assert all(each.sha256 and each.url and each.tree for each in frozen.snapshot.packages)
    back = locked(kind.store, kind.env)
    assert back == replace(frozen.snapshot, taken=back.taken)
    assert {each.name for each in back.packages if each.direct} >= {"tool", "fromindex"}
    assert "marker" not in {each.name for each in back.packages if each.direct}
    assert status(kind.store.history("demo"), observe(kind.store, kind.env)).state == "frozen"


def test_drift_is_told_against_the_last_freeze(kind):
    kind.make("demo", "marker==1.0")
    freeze(kind.store, kind.env, actor=ACTOR)
    kind.add("marker==2.0")

    found = status(kind.store.history("demo"), observe(kind.store, kind.env))

    assert found.state == "changed"
    assert [(each.name, each.before.version, each.after.version) for each in found.since.changed] == [
        ("marker", "1.0", "2.0")
    ]


@pytest.mark.parametrize("form", ["lock", "yaml", "own"])
def test_what_was_written_down_gives_the_same_again(kind, form, tmp_path, mirror_index):
    kind.make("demo", "tool", "marker==1.0")
    install(kind.store, kind.env, ("fromindex",), actor=ACTOR)
    frozen = freeze(kind.store, kind.env, actor=ACTOR)
    if kind.name == "mixed":
        shutil.copy(frozen.path.with_name("renv.lock"), tmp_path)  # the other half of the lock
        if form == "yaml":
            with pytest.raises(InvalidInput, match=r"r-marker.* can only come from conda"):
                restore(
                    kind.store, kind.store.history("demo").latest, name="copy", actor=ACTOR, how=How(runtime="venv")
                )
            return
    if (kind.name, form) == ("r", "yaml"):  # where the names of R's packages are not as R has them
        source = tmp_path / "renv.lock"
        export(kind.store, "demo", Order(form="renv", target=source), actor=ACTOR)
    elif form == "own":
        source = tmp_path / "snapshot.json"
        export(kind.store, "demo", Order(form="lock", target=source), actor=ACTOR)
    else:
        written = frozen.path if form == "lock" else kind.store.history("demo").latest
        source = tmp_path / written.name
        source.write_text(written.read_text())
    # The index of the tests has the files under its own address alone.
    source.write_text(source.read_text().replace("https://files.pythonhosted.org", mirror_index.address))

    made = kind.copy(source)

    assert not diff(observe(kind.store, kind.env), observe(kind.store, made))
    assert check(kind.store, made) == ()
    assert not [
        each for each in verify_environment(kind.store, made, lock=frozen.path).deviations if each.level != "L0"
    ]


def test_another_state_than_the_files_is_refused_and_leaves_nothing(kind, tmp_path):
    kind.make("demo", "marker")
    frozen = freeze(kind.store, kind.env, actor=ACTOR)
    changed = tmp_path / frozen.path.name
    [marker] = [each for each in frozen.snapshot.packages if each.name == "marker"]
    for each in (frozen.path, *frozen.path.parent.glob("renv.lock")):
        (tmp_path / each.name).write_text(each.read_text().replace(marker.sha256, "0" * 64))

    with pytest.raises(CommandFailed):
        kind.copy(changed)

    assert not kind.store.exists("copy")


def test_an_archive_gives_the_same_elsewhere_and_again_the_same_bytes(kind, tmp_path, actor):
    kind.make("demo", "tool")
    install(kind.store, kind.env, ("fromindex",), actor=ACTOR)
    pack = partial(archive, actor=ACTOR, tier="packages")
    first = pack(kind.store, kind.env, tmp_path / "a.venvoy.tar.zst")
    again = pack(kind.store, kind.env, tmp_path / "b.venvoy.tar.zst")

    imported = import_archive(kind.store, tmp_path / "a.venvoy.tar.zst", name="copy", actor=ACTOR, wanted=kind.wanted)

    assert first.packed.sha256 == again.packed.sha256
    assert first.vendored.missing == ()
    assert not diff(observe(kind.store, kind.env), observe(kind.store, imported.environment))
    copied = kind.store.environment("copy")
    assert pack(kind.store, copied, tmp_path / "c.venvoy.tar.zst").vendored.new == 0
    unmade = verify_archive(kind.store, tmp_path / "a.venvoy.tar.zst", wanted=kind.wanted, rebuild=False)
    looked = verify_archive(kind.store, tmp_path / "a.venvoy.tar.zst", wanted=kind.wanted)
    trusted = verify_archive(kind.store, tmp_path / "a.venvoy.tar.zst", wanted=kind.wanted, trust=True)
    own_python = kind.name == "conda"
    assert (unmade.reached, set(unmade.skipped.values())) == ("L0", {"not asked for"})
    assert (looked.reached, trusted.reached) == ("L0" if own_python else "L3", "L3")
    assert ("--trust" in looked.skipped.get("L3", "")) is own_python


@pytest.mark.parametrize("kind", ["conda"], indirect=True)
def test_whoever_leaves_a_lock_out_of_an_archive_has_nothing_run_either(kind, tmp_path):
    kind.make("demo", "tool")
    install(kind.store, kind.env, ("fromindex",), actor=ACTOR)
    archive(kind.store, kind.env, tmp_path / "a.venvoy.tar.zst", actor=ACTOR)
    unpack(tmp_path / "a.venvoy.tar.zst", tmp_path / "laid")
    (tmp_path / "laid/pylock.toml").unlink()

    with pytest.raises(WouldRun):
        from_bundle(kind.store, tmp_path / "laid", name="copy", actor=ACTOR, how=How(stock=Stock(trusted=False)))

    assert not kind.store.exists("copy")


def test_verify_reaches_the_last_level_and_falls_to_the_one_that_deviates(kind):
    from venvoy.actions.vendor import vendor

    env = kind.make("demo", "tool")
    install(kind.store, env, ("fromindex",), actor=ACTOR)
    frozen = freeze(kind.store, kind.env, actor=ACTOR)
    vendor(kind.store, kind.env, frozen.snapshot)
    assert verify_environment(kind.store, kind.env).reached == "L3"

    module = kind.file_of(env)
    text = module.read_text()
    module.unlink()  # it may be one file with that in a cache
    module.write_text(f"{text}# changed\n")
    found = verify_environment(kind.store, kind.env, rebuild=False)
    assert found.reached == "L1"
    assert [Path(each.file).name for each in found.deviations] == [module.name]

    module.unlink()
    if kind.by_r:
        (env.library / "tool/Meta/package.rds").unlink()
    unseen = ["package-missing"] if kind.by_r else []  # R takes it for none
    assert [each.code for each in check(kind.store, kind.env)] == ["distribution-incomplete", *unseen]
    repair(kind.store, kind.env, actor=ACTOR)
    assert check(kind.store, kind.env) == ()
    assert verify_environment(kind.store, kind.env, rebuild=False).reached == "L2"

    kind.add("marker==1.0")
    assert verify_environment(kind.store, kind.env, rebuild=False).reached == "L0"


def test_a_moved_environment_is_told_and_mended(kind, tmp_path):
    env = kind.make("demo", "tool")
    old = env.prefix.resolve()
    other = replace(env, prefix=tmp_path / "elsewhere" / "prefix", generation=None)
    other.prefix.parent.mkdir()
    old.rename(other.prefix)
    kind.store.save(other)

    # In a container it is reached by one path, wherever it lies, and an R library lies where its profile does.
    still = kind.wanted is not None or kind.name == "r"
    assert ("moved" in {each.code for each in check(kind.store, other)}) == (not still)
    repair(kind.store, other, actor=ACTOR)

    assert check(kind.store, kind.env) == ()
    assert kind.stands(other)


def test_deleting_leaves_the_record(kind):
    env = kind.make("demo", "marker")

    delete(kind.store, env)

    assert not kind.store.exists("demo")
    assert not env.prefix.exists()
    assert kind.store.history("demo").entries()


@pytest.mark.parametrize("kind", ["conda"], indirect=True)
def test_what_only_the_prefix_knows_was_asked_for_survives_undo_and_force(kind):
    """A notebook's `%mamba install` writes into no config.yaml; a venv keeps no such record of its own."""
    env = kind.make("demo", "marker")
    kind.add("tool")
    kind.store.save(replace(kind.env, conda_packages=env.conda_packages))  # as if a notebook had done it
    kind.add("generic-one")
    kind.store.save(replace(kind.env, conda_packages=env.conda_packages))

    undo(kind.store, kind.env, actor=ACTOR)
    kind.add("generic-two")
    assert kind.versions() == {"tool": "1.0", "marker": "2.0"}

    create(kind.store, Plan(name="demo", force=True), actor=ACTOR)
    assert kind.versions() == {"tool": "1.0", "marker": "2.0"}
