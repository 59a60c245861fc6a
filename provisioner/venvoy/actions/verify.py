"""Say in levels how far an environment is what its lock, or an archive, says.

| level | what holds |
|---|---|
| L0 | every byte that the manifest, the record and the list of kept wheels name is as it was |
| L1 | the same names, versions, builds and sources, on the same interpreter |
| L2 | every installed file for which a hash was recorded has it, and nothing else lies there |
| L3 | an environment made anew from what is kept alone, without network, reaches L1 and L2 |
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from .. import cancelling, files, inventory
from ..errors import InvalidInput, VenvoyError
from ..formats.conda_lock import CondaLock
from ..formats.locks import LOCKS
from ..formats.pylock import PylockToml
from ..formats.renv import RenvLock
from ..history import History
from ..inventory import conda_files, r_files, recorded
from ..inventory.r_files import Build
from ..model import OF_R, Actor, BaseChange, Environment, OnProgress, Package, Progress, Snapshot
from ..process import OnLine
from ..settings import Policy
from ..store import Store, generation_folder
from . import image_uses
from .carried_images import Hears
from .contain import Wanted
from .diff import diff, normal
from .direct import told_apart
from .facts import FACTS, facts
from .freeze import development, trees_of
from .integrity import Broken, integrity, of_record
from .kept import CHANNELS, Kept, folder_of, kept
from .locks import lock_file, read_lock
from .observe import observe
from .place import EVERYTHING, IMAGE, Place, base_sentence, carried, placed
from .r_built import builds
from .r_repository import CRAN, built_files
from .record import wanted
from .restore import How, from_bundle
from .stock import Stock, WouldRun
from .unpacking import Manifest, unpack
from .vendor import beside

Level = Literal["L0", "L1", "L2", "L3"]
LEVELS: tuple[Level, ...] = get_args(Level)
CLAIMS: Mapping[Level, str] = {
    "L0": "integrity: every byte that is named is as it was",
    "L1": "specification: the same packages, versions and sources",
    "L2": "files: every file with a recorded hash has it",
    "L3": "rebuild: made anew from what is kept, without network, it reaches L1 and L2",
}
_AGAIN = "rebuilt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """One thing that is not as it should be. `file` is a path, or "" where it is not about one."""

    level: Level
    what: str
    package: str = ""
    file: str = ""
    expected: str = ""
    found: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found.

    `checked` are the levels that were looked at, with what was looked at; `skipped` the others, with the reason.
    `excluded` is what L2 leaves out, with how many files; `context` are differences of the machine, which are no
    deviations, and `notes` what else a reader should know (a signature, say). `mend` is the command that gives the
    lock's state again, "" where none does.
    """

    subject: str
    against: str
    checked: Mapping[Level, str]
    skipped: Mapping[Level, str]
    deviations: tuple[Deviation, ...] = ()
    excluded: Mapping[str, int] = field(default_factory=dict)
    context: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    mend: str = ""

    @property
    def reached(self) -> Level | None:
        """The highest level that holds, with all below it; None where not even the first does."""
        reached: Level | None = None
        for level in LEVELS:
            if level not in self.checked or any(each.level == level for each in self.deviations):
                break
            reached = level
        return reached

    def reaches(self, level: Level) -> bool:
        return self.reached is not None and LEVELS.index(self.reached) >= LEVELS.index(level)


def verify_environment(
    store: Store,
    env: Environment,
    *,
    lock: Path | None = None,
    rebuild: bool = True,
    on_progress: OnProgress | None = None,
    on_line: OnLine | None = None,
) -> Report:
    """Look at an environment against its last freeze, or against another lock.

    L3 is looked at when the wheels are kept (`freeze --vendor`). Raises InvalidInput where there is no lock.
    """
    file = lock or lock_file(store, env)
    expected = _lock(file, env)
    wheels = _of_lock(expected, kept(store, env.name)) if lock is None else ()
    broken = integrity(store, env, expected, wheels) if lock is None else tuple(_without_hash(expected))
    deviations = [Deviation(level="L0", **asdict(each)) for each in broken]
    deviations += _specification(store, env, expected)
    in_files, excluded, looked = _files(
        env, expected, builds(each.file for each in wheels if each.built == "library"), on_progress
    )
    deviations += in_files
    checked: dict[Level, str] = {
        "L0": f"the record, the lock, {len(wheels)} kept {_files_of(env)}"
        if lock is None
        else "the hashes that the lock names",
        "L1": f"{_counted(expected)}, {expected.speech}",
        "L2": looked,
    }
    skipped: dict[Level, str] = {}
    if reason := _no_rebuild(env, expected, wheels, own=lock is None, rebuild=rebuild):
        skipped["L3"] = reason
    else:
        with _beside(store, expected, wheels) as folder, store.scratch() as home:
            place = Place(runtime=env.runtime, container=env.container, scratch=home) if env.container else None
            here = str(env.base) if env.base else None
            by_r = env.language == "r"
            how = How(python=None if by_r else here, r=here if by_r else None, on_line=on_line)
            again = _rebuilt(store, folder, place, how)
        deviations += [replace(each, level="L3", what=f"made anew, {each.what}") for each in again.deviations]
        checked["L3"] = again.said
    return Report(
        subject=env.name,
        against=str(file),
        checked=checked,
        skipped=skipped,
        deviations=tuple(deviations),
        excluded=excluded,
        context=_context(store, env, expected.state),
        notes=tuple(_base_now(store, env)),
        mend="" if env.adopted else f"venvoy restore {file} {env.name} --force",
    )


def verify_archive(
    store: Store,
    archive: Path,
    *,
    allowed_signers: Path | None = None,
    python: str | None = None,
    r: str | None = None,
    wanted: Wanted | None = None,
    policy: Policy = EVERYTHING,
    rebuild: bool = True,
    trust: bool = False,
    on_progress: OnProgress | None = None,
    on_line: OnLine | None = None,
) -> Report:
    """Check an archive, and make its environment anew, aside and without network, to see what it gives.

    `wanted` is the container runtime to make it in, as for an import; what had to be brought for it goes again. On this
    machine itself nothing of it is run, unless it is said to `trust` it: what cannot be made so is skipped. Without
    `rebuild` nothing is made, and L0 alone is looked at. Raises RuntimeUnavailable where there is no interpreter or
    runtime for it, NotPermitted.
    """
    with store.scratch() as scratch:
        folder = scratch / "archive"
        try:
            manifest = unpack(archive, folder, allowed_signers=allowed_signers, on_progress=on_progress)
            image = carried(manifest, folder)
        except InvalidInput as error:
            return _refused(archive, error)
        record = _record(folder)
        if not rebuild or manifest.said.get("tier") == "spec":
            return _of_archive(archive, manifest, record, None, _unmade(manifest))
        hears = Hears(on_line=on_line, on_progress=on_progress)
        with placed(store, manifest, image, wanted, policy, archive=archive, hears=hears, keep=lambda: False) as place:
            how = How(python=python, r=r, stock=Stock(trusted=trust or place is not None), on_line=on_line)
            return _of_archive(archive, manifest, record, place, _rebuilt(store, folder, place, how))


def _unmade(manifest: Manifest) -> _Again:
    spec = manifest.said.get("tier") == "spec"
    only_named = "it has no packages in it, only what they are: import it, then verify the environment"
    return _Again(said="", skipped=only_named if spec else "not asked for")


def _record(folder: Path) -> tuple[Deviation, ...]:
    """What of the record in an unpacked archive is not as it was written, by the names that it has there."""
    found = (Deviation(level="L0", **asdict(each)) for each in of_record(History(folder, "history")))
    inside = f"{folder}{os.sep}"
    return tuple(
        replace(each, what=each.what.replace(inside, ""), file=each.file.removeprefix(inside)) for each in found
    )


def _of_archive(
    archive: Path, manifest: Manifest, record: tuple[Deviation, ...], place: Place | None, again: _Again
) -> Report:
    checked: dict[Level, str] = {"L0": _whole(manifest)}
    skipped: Mapping[Level, str] = {}
    if again.skipped:
        skipped = dict.fromkeys(LEVELS[1:], again.skipped)
    elif again.made:
        checked |= {"L1": "what it gives, against its lock", "L2": "every file of what it gives", "L3": again.said}
    else:
        checked["L3"] = again.said
        skipped = dict.fromkeys(LEVELS[1:3], "it cannot be made")
    return Report(
        subject=str(archive),
        against="its own manifest and lock",
        checked=checked,
        skipped=skipped,
        deviations=(*record, *again.deviations),
        excluded=again.excluded,
        notes=(manifest.signature.sentence, *(_base_of(manifest, place) if again.made else ())),
    )


def _whole(manifest: Manifest) -> str:
    text = f"{len(manifest.members)} members, {manifest.size} bytes, and how the lines of its record are chained"
    return f"{text}; every layer of its image has its digest" if IMAGE in manifest.members else text


def _base_of(manifest: Manifest, place: Place | None) -> Iterator[str]:
    """What no level says: whether what the environment stands on is the same, too."""
    said = manifest.said.get("image")
    if place is not None:
        yield base_sentence(said if isinstance(said, dict) else {}, place.container.image)
    elif isinstance(said, dict):
        speaks = "R" if manifest.said.get("language") == "r" else "Python"
        yield f"base: this machine's {speaks}, and not the image that was packed; its system packages were not compared"


def _refused(archive: Path, error: InvalidInput) -> Report:
    return Report(
        subject=str(archive),
        against="its own manifest",
        checked={"L0": "the archive"},
        skipped=dict.fromkeys(LEVELS[1:], "nothing is made of an archive that is not whole"),
        deviations=(Deviation(level="L0", what=error.message),),
    )


def _counted(expected: Snapshot) -> str:
    count = len(expected.packages)
    return f"{count} package" if count == 1 else f"{count} packages"


def _lock(file: Path, env: Environment) -> Snapshot:
    try:
        return _read(file, env)
    except (OSError, UnicodeDecodeError) as error:
        if not file.exists():
            raise InvalidInput(f"{env.name!r} was never frozen", hint=f"lock it: venvoy freeze {env.name}") from None
        raise InvalidInput(f"cannot read {file}: {error}") from error


def _read(file: Path, env: Environment) -> Snapshot:
    return read_lock(file, environment=env.name, platform=env.platform)


def _files_of(env: Environment) -> str:
    return "wheels" if env.kind == "venv" and not env.also else "packages"


def _without_hash(expected: Snapshot) -> Iterator[Broken]:
    for each in expected.packages:
        if not each.sha256 and each.origin in ("index", "archive"):
            yield Broken(what=f"the lock has no hash for {each.name}", package=each.name)


def _specification(store: Store, env: Environment, expected: Snapshot) -> list[Deviation]:
    """L1: the environment as it is against what the lock says."""
    found = observe(store, env)
    distributions = inventory.distributions(env.prefix)
    known = told_apart(found, wanted(store.history(env.name).entries()), distributions)
    dev = development(env, known, distributions) - {each.name for each in expected.packages}
    for_use = (each for each in found.packages if each.ecosystem in OF_R or each.name not in dev)
    there = replace(found, packages=tuple(map(normal, for_use)))
    difference = diff(replace(expected, packages=tuple(map(normal, expected.packages))), there)
    deviations = [
        Deviation(level="L1", what=f"{each.name} is missing", package=each.name, expected=each.version)
        for each in difference.removed
    ]
    deviations += [
        Deviation(level="L1", what=f"{each.name} is not in the lock", package=each.name, found=each.version)
        for each in difference.added
    ]
    deviations += [
        Deviation(
            level="L1",
            what=f"{each.name} is another",
            package=each.name,
            expected=_called(each.before),
            found=_called(each.after),
        )
        for each in difference.changed
    ]
    if difference.interpreter and difference.interpreter[0]:
        said, has = difference.interpreter
        deviations.append(Deviation(level="L1", what="the interpreter is another", expected=said, found=has))
    return deviations + list(_of_base(difference.base))


def _of_base(change: BaseChange | None) -> Iterator[Deviation]:
    """What the image that it stands on has otherwise than the lock's."""
    if change is None:
        return
    for name, was, now in change.facts:
        yield Deviation(level="L1", what=f"the image has another {name}", expected=was, found=now)
    for each in change.removed:
        said = f"{each.ecosystem} package {each.name}"
        yield Deviation(level="L1", what=f"the image lacks the {said}", package=each.name, expected=each.version)
    for each in change.added:
        said = f"{each.ecosystem} package {each.name}"
        yield Deviation(level="L1", what=f"the image also has the {said}", package=each.name, found=each.version)
    for pair in change.changed:
        said = f"{pair.after.ecosystem} package {pair.name}"
        yield Deviation(
            level="L1",
            what=f"the image has another {said}",
            package=pair.name,
            expected=pair.before.version,
            found=pair.after.version,
        )


def _files(
    env: Environment, expected: Snapshot, by_r: Mapping[str, Build], on_progress: OnProgress | None
) -> tuple[list[Deviation], Mapping[str, int], str]:
    """L2: what RECORD names against the disk, and RECORD itself against the lock.

    R records nothing: there it is the very build, where that is kept, and what all builds of a source have in common.
    """
    distributions = inventory.distributions(env.prefix)
    done = 0

    def more(count: int) -> None:
        nonlocal done
        done += count
        if on_progress is not None:
            on_progress(Progress(phase="Hashing files", done=done))

    aside = generation_folder(env.prefix, env.generation) if env.generation else env.prefix
    by_conda = inventory.from_conda(env.prefix)
    own = recorded.audit(
        inventory.site_folders(env.prefix),
        [each for each in distributions if each.name not in by_conda],
        written_for={str(env.prefix): str(aside)},
        owned=conda_files.owned(env.prefix),
        on_file=more,
    )
    audit = own if env.runtime != "conda" else conda_files.audit(env.prefix, on_file=more).with_also(own)
    if env.speaks("r"):
        packages = inventory.r_packages(env.prefix)
        audit = audit.with_also(r_files.audit(env.library, packages, by_r, on_file=more))
    deviations = [
        Deviation(
            level="L2",
            what=_SAID[each.kind].format(name=each.path.name),
            package=each.distribution,
            file=str(each.path),
            expected=each.expected,
            found=each.found,
        )
        for each in audit.deviations
    ]
    trees = trees_of(env, distributions)
    told = {each.package for each in deviations} & set(by_r)
    deviations += [
        Deviation(
            level="L2",
            what=f"the files {_whose(each)} are not those of the lock",
            package=each.name,
            expected=each.tree,
            found=trees[each.ecosystem, each.name],
        )
        for each in expected.packages
        if each.name not in told and each.tree and trees.get((each.ecosystem, each.name), each.tree) != each.tree
    ]
    return deviations, audit.excluded, f"{audit.files} files, {audit.size} bytes"


_SAID: Mapping[str, str] = {
    "changed": "{name} was changed",
    "missing": "{name} is missing",
    "extra": "{name} was put there by nobody who recorded it",
}


def _whose(package: Package) -> str:
    return f"of {package.name}" if package.ecosystem in OF_R else f"that {package.name} recorded"


def _of_lock(expected: Snapshot, wheels: Sequence[Kept]) -> tuple[Kept, ...]:
    """The kept wheels of the versions that the lock names; others are of an earlier one."""
    versions = {(each.ecosystem, each.name): normal(each).version for each in expected.packages}
    said = {
        each: normal(Package(ecosystem=each.ecosystem, name=each.name, version=each.version)).version for each in wheels
    }
    return tuple(each for each in wheels if versions.get((each.ecosystem, each.name)) == said[each])


def _no_rebuild(env: Environment, expected: Snapshot, wheels: Sequence[Kept], *, own: bool, rebuild: bool) -> str:
    """Why the environment is not made anew, "" where it can be."""
    if not own:
        return "a lock alone keeps no wheels"
    if not rebuild:
        return "not asked for"
    there = {(one.ecosystem, one.name) for one in wheels}
    missing = [each.name for each in expected.packages if (each.ecosystem, each.name) not in there]
    some = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    return f"nothing is kept of {some} (venvoy freeze {env.name} --vendor)" if missing else ""


@contextmanager
def _beside(store: Store, expected: Snapshot, wheels: Sequence[Kept]) -> Iterator[Path]:
    """A folder with the lock and its wheels, as an archive has them."""
    with store.scratch() as folder:
        files.private(folder / "wheels")
        for each in (one for one in wheels if one.ecosystem == "pypi"):
            files.also(folder / "wheels" / each.file.name, each.file)
        if expected.of("pypi") or expected.kind == "venv":
            files.replace(folder / "pylock.toml", PylockToml().dump_beside(expected, beside(wheels), folder="wheels"))
        if expected.kind == "conda":
            files.replace(folder / CondaLock().filename, CondaLock().dump(expected))
            files.link(folder / CHANNELS, str(folder_of(store, expected.environment) / CHANNELS))
        if by_r := next((each for each in expected.halves if each.language == "r"), None):
            files.replace(folder / RenvLock().filename, RenvLock().dump(by_r))
            for each in (one for one in wheels if one.ecosystem in OF_R):
                _also(folder / each.file.relative_to(folder_of(store, expected.environment)), each.file)
        yield folder


def _also(path: Path, file: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    files.also(path, file)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Again:
    """What came of making an environment anew; its deviations have the level that they would have in it.

    `skipped` is why nobody tried, or went on.
    """

    made: bool = False
    said: str
    skipped: str = ""
    deviations: tuple[Deviation, ...] = ()
    excluded: Mapping[str, int] = field(default_factory=dict)


def _rebuilt(store: Store, bundle: Path, place: Place | None, how: How) -> _Again:
    """Make an environment from what lies in the folder alone, in a store of its own that is removed at the end."""
    actor = Actor(kind="command", command="venvoy verify")
    with store.scratch() as folder:
        aside = Store(replace(store.settings, home=folder / "home", projects=folder / "projects"))
        try:
            # What other environments have left in the cache would hide that something is not kept.
            how = replace(
                how, stock=replace(how.stock, cache=folder / "packages"), place=place.apart if place else None
            )
            made = from_bundle(aside, bundle, name=_AGAIN, actor=actor, how=how).environment
            cancelling.not_yet_late()  # it is only for being looked at
            expected = _read(bundle / LOCKS[made.kind].filename, made)
            in_files, excluded, looked = _files(made, expected, builds(built_files(bundle / CRAN)), None)
        except WouldRun as error:
            return _Again(said="", skipped=f"{error.message}; {error.hint}")
        except VenvoyError as error:
            failed = Deviation(level="L3", what=f"it cannot be made: {error.message}", found=error.hint)
            return _Again(said="making it anew", deviations=(failed,))
        finally:
            if place:
                image_uses.forget(aside, place.runtime)
        return _Again(
            made=True,
            said=f"made anew with {made.speech} from what is kept, {_by(made)} offline: {looked}",
            deviations=(*_specification(aside, made, expected), *in_files),
            excluded=excluded,
        )


def _by(env: Environment) -> str:
    whom = {"venv": "uv", "conda": "the conda engine and uv", "r": "R itself"}
    by = " and ".join(whom[each.kind] for each in env.halves)
    return f"{by} in {env.runtime} with no network and none of the user's files in sight," if env.container else by


def _context(store: Store, env: Environment, state: str) -> tuple[str, ...]:
    """How this machine differs from the one on which the state was archived first; nothing where that is not known."""
    then = _then(store, env)
    if not then:
        return ()
    now = facts(env)
    # Other packages bring other libraries: these say something of the machine only in the same state.
    same = then.get("state") == state
    keys = ("processor", "system", *(("libraries",) if same else ()), "locale", "variables")
    return tuple(
        f"{key}: {_short(then.get(key))} then, {_short(now.get(key))} now"
        for key in keys
        if now and then.get(key) != now.get(key)
    )


def _then(store: Store, env: Environment) -> Mapping[str, Any]:
    """What was known of the machine when the state was first archived."""
    try:
        said = json.loads((store.history(env.name).log.parent / FACTS).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _base_now(store: Store, env: Environment) -> Iterator[str]:
    """Whether the image is that on which the state was archived first; nothing where that is not known."""
    then = _then(store, env).get("image")
    if env.container and isinstance(then, dict):
        yield base_sentence(then, env.container.image)
    elif env.container:
        yield f"base: the image {env.container.image.digest}; no level says anything of what is in it"


def _short(said: object) -> str:
    if isinstance(said, dict):
        text = ", ".join(f"{key} {value}" for key, value in said.items() if key != "flags" and value) or "none"
    elif isinstance(said, list):
        text = "; ".join(_short(each) if isinstance(each, dict) else str(each) for each in said) or "none"
    else:
        text = str(said)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _called(package: Package) -> str:
    return package.version if package.origin == "index" else f"{package.version} ({package.origin} {package.url})"
