"""Look an environment over and name what is wrong with it; nothing is changed.

| code | what was found |
|---|---|
| `prefix-gone` | the folder of the environment, or the link to it, is not there |
| `pyvenv-cfg-gone` | the folder has no pyvenv.cfg, so its python is no longer the environment's |
| `interpreter-gone` | `bin/python` is missing or leads nowhere |
| `interpreter-broken` | `bin/python` is there and does not run |
| `interpreter-changed` | `bin/python` is of another minor version than the packages are installed for |
| `home-gone` | `home` in pyvenv.cfg names a folder that is not there |
| `platform-other` | the environment was made on another system or for another processor |
| `moved` | scripts, or what activates it, were written for another folder: it was moved or copied |
| `distribution-husk` | a distribution without its metadata |
| `distribution-incomplete` | files that a distribution's RECORD names are missing |
| `distribution-duplicate` | one distribution with the metadata of several |
| `distribution-unfit` | a distribution was built for another interpreter or machine |
| `distribution-unrecorded` | (warning) a distribution has no RECORD, so nobody knows its files |
| `distribution-half-removed` | (warning) pip was interrupted and left folders named `~...` |
| `requirement-missing` | something that an installed distribution needs is not installed |
| `requirement-unmet` | something that an installed distribution needs is installed in another version |
| `package-missing` | what config.yaml lists is not installed |
| `package-unmet` | what config.yaml lists is installed in another version |
| `kernel-conflict` | a package of the environment breaks the kernel that is lent to it |
| `runtime-unusable` | the container runtime is not installed, or does not work |
| `runtime-other` | the container runtime is another one by now than the environment was made for |
| `image-gone` | the runtime does not have the image any more |
| `image-changed` | the image's file is not the one that the environment stands on |
| `image-other` | the prefix was made for another image: its python is not where the image's is |
| `mount-gone` | a file or folder that is to be seen inside is not there |
| `env-file-missing` | a file of variables that config.yaml names is not there |
| `system-site-packages` | (warning) packages of the system are seen, and not recorded |
| `library-unseen` | the R library of an environment, or the file by which R finds it, is not there |
| `install-interrupted` | an installation into a conda prefix was cut short |
| `record-broken` | a file among the records of conda packages is none |
| `package-shadowed` | (warning) pip has replaced or removed what conda installed, and conda does not know |
| `activation-failed` | (warning) the scripts that activate a conda environment fail |
| `image-writable` | (warning) the image's own files can be changed, and what is changed is lost |
| `resources-impossible` | what the container is to get (GPUs, limits) cannot be given here |
| `not-permitted` | the administrator's policy forbids the container |
| `leftovers` | (warning) what an interrupted build left behind |
| `installing` | (warning) an R installer is at work, or was cut short on another machine within an hour |

What cannot be judged while something before it is broken is left out: an environment without a folder has no packages.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from .. import inventory, process
from ..errors import RuntimeUnavailable, VenvoyError
from ..inventory import Distribution, conda_meta, dist_info, fit, venv
from ..inventory.damage import Damage, Kind, damages
from ..inventory.dist_info import canonical
from ..model import Base, Command, Environment, Finding, Job
from ..runtimes.host import FOREIGN
from ..settings import this_platform
from ..store import Store, generation_folder
from . import payload
from .activation import activation
from .bases import base_in, base_of, within
from .check_conda import of_conda, some
from .check_container import of_container, python_of
from .check_r import of_r
from .contents_of import own_names


def check(store: Store, env: Environment) -> tuple[Finding, ...]:
    """Everything that is wrong with the environment, what matters most first; nothing where all is well."""
    found = (*_of_prefix(store, env), *_of_files(env), *_of_build(store, env))
    return tuple(sorted(found, key=lambda each: each.severity == "warning"))


def usable(store: Store, env: Environment) -> Base:
    """The interpreter of the environment, which was just seen running. Raises RuntimeUnavailable."""
    if env.container:
        return _running(store, env)
    base = base_of(store, env.python)
    try:
        # What `base_of` remembers was true when it was asked; libraries and pyvenv.cfg may have gone since.
        process.run(Command(argv=(str(env.python), "-I", "-S", "-c", ""), dropped=FOREIGN), timeout=30)
    except VenvoyError as error:
        raise RuntimeUnavailable(f"the interpreter {env.python} does not run", hint=str(error)) from error
    return base


def _running(store: Store, env: Environment) -> Base:
    base = base_in(store, env)
    job = Job(argv=(str(env.python), "-I", "-S", "-c", "import sys; print(sys.version.split()[0])"), cwd=Path("/"))
    try:
        said = process.run(within(env, job), timeout=60).strip()
    except VenvoyError as error:
        raise RuntimeUnavailable(f"the interpreter {env.python} does not run", hint=str(error)) from error
    if said != base.version:
        raise RuntimeUnavailable(f"the interpreter {env.python} is Python {said}, and not the image's {base.version}")
    return base


def serves(env: Environment, base: Base) -> bool:
    """Whether the packages of the environment lie where that interpreter looks for them."""
    folders = [folder.parent.name for folder in inventory.site_folders(env.prefix)]
    return not folders or any(name.removesuffix("t") == f"python{base.minor}" for name in folders)


def visible(store: Store, env: Environment) -> tuple[Distribution, ...]:
    """What can be imported in the environment: its own distributions, and the system's where it sees them.

    Of an image's own no more is known than names and versions: what these need is the image's affair.
    """
    own = inventory.distributions(env.prefix)
    if env.container:
        image = {
            name: Distribution(name=name, version=version, path="", head=b"")
            for name, version in own_names(store, env).items()
        }
        return tuple({**image, **{each.name: each for each in own}}.values())
    if not venv.sees_system(env.prefix):
        return own
    printed = process.run(
        Command(argv=(str(env.python), "-I", "-c", "import json, sys; print(json.dumps(sys.path))"), dropped=FOREIGN),
        timeout=30,
    )
    folders = [Path(each) for each in json.loads(printed) if os.path.isdir(each)]  # noqa: PTH112  # strings from outside
    found = {each.name: each for folder in reversed(folders) for each in dist_info.read(folder)}
    return tuple({**found, **{each.name: each for each in own}}.values())


def lacking(env: Environment, base: Base, there: Iterable[Distribution]) -> tuple[fit.Need, ...]:
    """What the environment's distributions and its config.yaml need and do not have.

    What conda has installed is not judged by Python's metadata: conda itself knows what that needs.
    """
    found = fit.unmet(there, (*env.packages, *env.dev_packages), fit.markers(base.version, base.platform))
    own = inventory.from_conda(env.prefix)
    return tuple(each for each in found if re.split(r"[\s\[]", each.owner)[0] not in own)


def damaged(env: Environment) -> tuple[Damage, ...]:
    """The distributions that are not whole; of conda's own the records tell (`check_conda`)."""
    own = inventory.from_conda(env.prefix)
    shadowed = {canonical(each.name) for each in conda_meta.shadowed(env.prefix, conda_meta.records(env.prefix))}
    found = damages(inventory.site_folders(env.prefix))
    # pip leaves of conda's what no RECORD of it names; that goes with the shadow.
    spent = ("husk", "duplicate")
    return tuple(each for each in found if each.name not in own and not (each.kind in spent and each.name in shadowed))


def unfit(env: Environment, base: Base) -> tuple[Distribution, ...]:
    """Distributions that were built for another interpreter or machine, told by the tags of their wheels."""
    here = "-".join(platform.libc_ver())
    ours = (this_platform(), platform.libc_ver()[0])
    if (base.platform, base.libc.partition("-")[0]) != ours or (env.container and base.libc != here):
        return ()  # an interpreter that runs in emulation, or with another C library, takes other wheels than we know
    supported = fit.supported(base.version, base.abi)
    own = inventory.from_conda(env.prefix)
    return tuple(
        each
        for each in inventory.distributions(env.prefix)
        if each.name not in own
        and each.tags
        and not any(part in supported for tag in each.tags for part in fit.expanded(tag))
    )


def _of_prefix(store: Store, env: Environment) -> Iterator[Finding]:
    if not env.prefix.is_dir():
        yield _prefix_gone(store, env)
        return
    yield from _look(env)(store, env)


def _look(env: Environment) -> Callable[[Store, Environment], Iterator[Finding]]:
    """How an environment of that kind is looked over."""
    if env.also:
        return _of_both
    if env.language == "r":
        return of_r
    if env.runtime == "conda":
        return _of_conda
    return _of_container if env.container else _of_venv


def _of_both(store: Store, env: Environment) -> Iterator[Finding]:
    """What is wrong with its Python and with its R; what is of its image is said once."""
    found = [each for half in env.halves for each in _look(replace(half, also=()))(store, half)]
    yield from dict.fromkeys(found)


def _of_conda(store: Store, env: Environment) -> Iterator[Finding]:
    yield from of_conda(store, env)
    if problem := activation(store, env).problem:
        mend = "see what they do: " + shlex.join(("ls", str(env.prefix / "etc/conda/activate.d")))
        yield Finding(code="activation-failed", message=problem, mend=mend, severity="warning")
    if env.python.exists():
        yield from _of_index(store, env)


def _of_venv(store: Store, env: Environment) -> Iterator[Finding]:
    repair = _repair(env)
    for place, count in venv.written_for(env.prefix).items():
        yield Finding(code="moved", message=_moved(env, place, count), mend=repair)
    said = venv.settings(env.prefix)
    if not said:
        message = f"{env.prefix} has no pyvenv.cfg any more, so its python does not see its packages"
        yield Finding(code="pyvenv-cfg-gone", message=message, mend=repair)
    elif not Path(said.get("home", "/nonexistent")).is_dir():
        message = f"pyvenv.cfg says that its Python lies in {said.get('home', '?')}, which is not there"
        yield Finding(code="home-gone", message=message, mend=repair)
    if venv.sees_system(env.prefix):
        yield Finding(
            code="system-site-packages",
            message=f"{env.name!r} also sees the packages of {said.get('home')}, and they are not recorded",
            mend=f"venvoy restore {_record(store, env)} {env.name}-alone",
            severity="warning",
        )
    broken = damaged(env)
    yield from _of_damage(env, broken)
    yield from _of_interpreter(store, env, broken)


def _of_container(store: Store, env: Environment) -> Iterator[Finding]:
    """What is wrong with its container, and with what is installed in its prefix."""
    found = tuple(of_container(store, env))
    yield from found
    broken = damaged(env)
    yield from _of_damage(env, broken)
    if env.language != "python" or any(each.code in _UNJUDGED for each in found):
        return  # what fits can be told only where the interpreter is known
    if any(each.code in _NOT_RUN for each in found):
        base = python_of(store, env)
    else:
        try:
            base = usable(store, env)
        except RuntimeUnavailable as error:
            yield _not_running(env, error)
            return
    if base:
        yield from _of_fit(env, base)
        yield from _of_needs(store, env, base, doubled={each.name for each in broken if each.kind == "duplicate"})
        yield from _of_kernel(store, env, base)


_NOT_RUN = ("runtime-unusable", "runtime-other", "image-gone", "image-changed", "mount-gone", "not-permitted")
_UNJUDGED = ("pyvenv-cfg-gone", "interpreter-gone", "interpreter-changed", "platform-other", "image-other")


def _of_index(store: Store, env: Environment) -> Iterator[Finding]:
    """What pip and uv have put into a conda prefix: conda's own packages are not judged by Python's metadata."""
    try:
        base = usable(store, env)
    except RuntimeUnavailable:
        return  # told already
    yield from _of_damage(env, damaged(env))
    yield from _of_needs(store, env, base, doubled=frozenset())
    yield from _of_kernel(store, env, base)


def _prefix_gone(store: Store, env: Environment) -> Finding:
    message = f"the folder of {env.name!r} is gone: {env.prefix}"
    if env.adopted:
        mend = f"venvoy adopt NEW_PLACE --name {env.name}"
    elif env.container and not generation_folder(env.prefix, env.generation or "").is_dir():
        mend = f"venvoy init {env.name} --force"  # in the same image, of its requirements files
    elif generation_folder(env.prefix, env.generation or "").is_dir():
        mend = _repair(env)
    else:
        mend = f"venvoy restore {_record(store, env)} {env.name} --force"
    return Finding(code="prefix-gone", message=message, mend=mend)


def _moved(env: Environment, place: str, count: int) -> str:
    files = "1 of its files was" if count == 1 else f"{count} of its files were"
    if Path(place, "pyvenv.cfg").exists():
        return f"{env.name!r} is a copy: {files} written for {place}, and act there instead of in {env.prefix}"
    return f"{env.name!r} was moved: {files} written for {place}, and it lies in {env.prefix}"


def _of_interpreter(store: Store, env: Environment, damaged: Iterable[Damage]) -> Iterator[Finding]:
    here = (platform.system(), platform.machine())
    try:
        base = usable(store, env)
    except RuntimeUnavailable as error:
        if env.system and (env.system, env.architecture) != here:
            yield _other_platform(store, env, " ".join(here))
        else:
            yield _not_running(env, error)
        return
    if env.system and env.platform != base.platform:
        yield _other_platform(store, env, base.platform.replace("-", " "))
        return
    if not serves(env, base):
        lie = ", ".join(folder.parent.name for folder in inventory.site_folders(env.prefix))
        message = f"bin/python is Python {base.version} now, and the packages of {env.name!r} are installed for {lie}"
        yield Finding(code="interpreter-changed", message=message, mend=_repair(env))
        return
    yield from _of_fit(env, base)
    yield from _of_needs(store, env, base, doubled={each.name for each in damaged if each.kind == "duplicate"})
    yield from _of_kernel(store, env, base)


def _not_running(env: Environment, error: RuntimeUnavailable) -> Finding:
    if env.container or env.python.exists():
        last = error.hint.strip().splitlines()[-1:] or [error.message]
        message = f"the interpreter of {env.name!r} does not run ({env.python}): {last[0]}"
        return Finding(code="interpreter-broken", message=message, mend=_repair(env))
    why = f"there is no {env.python}"
    if env.python.is_symlink():
        why = f"bin/python leads to {_leads_to(env.python)}, which is not there"
    return Finding(
        code="interpreter-gone", message=f"the interpreter of {env.name!r} is gone: {why}", mend=_repair(env)
    )


def _leads_to(link: Path) -> Path:
    """The first thing on the way of a link that is not there."""
    seen = 0
    while link.is_symlink() and seen < 40:
        link, seen = link.parent / os.readlink(link), seen + 1
    return link


def _other_platform(store: Store, env: Environment, here: str) -> Finding:
    return Finding(
        code="platform-other",
        message=f"{env.name!r} was made on {env.system} {env.architecture}, and this is {here}",
        mend=f"venvoy restore {_record(store, env)} {env.name}-{platform.machine()}",
    )


def _of_damage(env: Environment, damaged: Iterable[Damage]) -> Iterator[Finding]:
    sentences: Mapping[Kind, str] = {
        "husk": "{name} has lost its metadata ({where})",
        "incomplete": "{name} is not whole: {missing} not there",
        "unrecorded": "{name} has no RECORD: nobody can tell which files are its own",
        "duplicate": "{plain} is there more than once ({where})",
        "half-removed": "an interrupted pip left {where} behind",
    }
    for each in damaged:
        words = {
            "plain": each.name,
            "name": f"{each.name} {each.version}".strip(),
            "where": some([folder.name for folder in sorted(each.folders)]),
            "missing": f"{some(each.missing)} {'is' if len(each.missing) == 1 else 'are'}",
        }
        yield Finding(
            code=f"distribution-{each.kind}",
            message=sentences[each.kind].format(**words),
            mend=_mend_of(env, each),
            severity="warning" if each.kind in ("unrecorded", "half-removed") else "error",
        )


def _mend_of(env: Environment, damage: Damage) -> str:
    if env.adopted and damage.spare:
        return shlex.join(("rm", "-r", *map(str, damage.spare)))  # we remove nothing from what we have not made
    return _repair(env)


def _of_fit(env: Environment, base: Base) -> Iterator[Finding]:
    if found := unfit(env, base):
        named = some([f"{each.name} {each.version} ({each.tags[0]})" for each in found])
        message = f"built for something else than Python {base.minor} on {base.platform}: {named}"
        yield Finding(code="distribution-unfit", message=message, mend=_repair(env))


def _of_needs(store: Store, env: Environment, base: Base, *, doubled: Container[str]) -> Iterator[Finding]:
    for need in lacking(env, base, visible(store, env)):
        if need.name in doubled:
            continue  # which of its versions counts is nobody's knowledge
        there = f"and {need.name} {need.installed} is installed" if need.installed else "which is not installed"
        kind = "unmet" if need.installed else "missing"
        if need.owner:
            yield Finding(
                code=f"requirement-{kind}", message=f"{need.owner} needs {need.text}, {there}", mend=_repair(env)
            )
        else:
            yield Finding(code=f"package-{kind}", message=f"config.yaml lists {need.text}, {there}", mend=_repair(env))


def _of_kernel(store: Store, env: Environment, base: Base) -> Iterator[Finding]:
    lent, image = payload.built(store, base), own_names(store, env)
    if lent is None or "ipykernel" in inventory.names(env.prefix) or payload.usable_kernel(image):
        return
    for conflict in payload.conflicts(lent, env, image=image):
        yield Finding(code="kernel-conflict", message=conflict, mend=payload.upgrade(env, (conflict,)))


def _of_files(env: Environment) -> Iterator[Finding]:
    for file in env.env_file:
        if not file.is_file():
            yield Finding(
                code="env-file-missing",
                message=f"config.yaml names the file of variables {file}, which is not there",
                mend=f"venvoy configure {env.name} --set env_file=FILE",
            )


def _of_build(store: Store, env: Environment) -> Iterator[Finding]:
    if store.busy(env.name):
        return  # what a build at work has beside the environment is no leftover
    if found := store.leftovers(env.name):
        yield Finding(
            code="leftovers",
            message=f"an interrupted build left {some([str(each) for each in found])}",
            mend=_repair(env),
            severity="warning",
        )


def _repair(env: Environment) -> str:
    return f"venvoy repair {env.name}"


def _record(store: Store, env: Environment) -> str:
    return shlex.quote(str(store.history(env.name).latest))
