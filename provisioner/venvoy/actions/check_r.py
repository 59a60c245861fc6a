"""What is wrong with an R environment: its library, the R that it is for, and what its packages need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .. import process
from ..errors import CommandFailed, RuntimeUnavailable
from ..inventory import Description, description, r_packages
from ..managers import cran
from ..model import Base, Environment, Finding
from ..store import Store
from .check_conda import some
from .check_container import of_container
from .r_bases import numbers, r_in
from .r_library import at_work, leftovers
from .r_prefix import PROFILE
from .start_of import start_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Something that a package, or config.yaml (`owner` ""), asks for and does not have."""

    owner: str
    name: str
    text: str
    installed: str = ""


def of_r(store: Store, env: Environment) -> Iterator[Finding]:
    """Everything, what matters most first; what cannot be judged while something before it is broken is left out."""
    repair = f"venvoy repair {env.name}"
    if env.container:
        found = tuple(of_container(store, env))
        yield from found
        if any(each.code != "mount-gone" for each in found):
            return
    if not (env.prefix / PROFILE).is_file() or not env.library.is_dir():
        message = f"{env.prefix} has no {PROFILE if env.library.is_dir() else 'R'}, so R does not find its packages"
        yield Finding(code="library-unseen", message=message, mend=repair)
    if env.container is None and not (env.prefix / "bin" / "R").exists():
        yield Finding(code="interpreter-gone", message=f"the R of {env.name!r} is gone: no bin/R", mend=repair)
        return
    try:
        base = r_in(store, env).base
        there = seen(env)
    except RuntimeUnavailable as error:
        yield Finding(code="interpreter-gone", message=f"the R of {env.name!r} is gone: {error.message}", mend=repair)
        return
    except CommandFailed as error:
        last = (error.hint.strip().splitlines() or [error.message])[-1]
        yield Finding(code="interpreter-broken", message=f"the R of {env.name!r} does not run: {last}", mend=repair)
        return
    yield from _of_library(store, env, base, repair)
    for need in lacking(env, there):
        kind = "unmet" if need.installed else "missing"
        what = f"and {need.name} {need.installed} is installed" if need.installed else "which is not installed"
        who = f"{need.owner} needs" if need.owner else "config.yaml lists"
        code = f"{'requirement' if need.owner else 'package'}-{kind}"
        yield Finding(code=code, message=f"{who} {need.text}, {what}", mend=repair)


def unfit(env: Environment, base: Base) -> tuple[Description, ...]:
    """What was installed by another minor version of R, whose compiled code this one may not load."""
    minor = numbers(base.version)[:2]
    return tuple(each for each in r_packages(env.prefix) if each.built and numbers(each.built)[:2] != minor)


def seen(env: Environment) -> Mapping[str, str]:
    """Name to version of all that can be loaded in the environment, R's own packages and its image's among them.

    Raises CommandFailed, RuntimeUnavailable.
    """
    printed = process.run(start_of(env, cran.script("seen.R")), timeout=120)
    return dict(line.split("\t") for line in reversed(printed.splitlines()) if line.count("\t") == 1)


def lacking(env: Environment, there: Mapping[str, str]) -> tuple[Need, ...]:
    """What the environment's packages and its config.yaml need and do not have."""
    found = []
    for each in r_packages(env.prefix):
        for name, operator, version in each.requires:
            text = f"{name} ({operator} {version})" if operator else name
            if not _met(there.get(name), operator, version):
                found.append(
                    Need(owner=f"{each.name} {each.version}", name=name, text=text, installed=there.get(name, ""))
                )
    for listed in env.packages:
        name, version = cran.spec(listed)
        if not _met(there.get(name), "==" if version else "", version):
            found.append(Need(owner="", name=name, text=listed, installed=there.get(name, "")))
    return tuple(found)


def _met(there: str | None, operator: str, version: str) -> bool:
    if there is None or not operator:
        return there is not None
    one, other = _parts(there), _parts(version)
    return {">=": one >= other, ">": one > other, "<=": one <= other, "<": one < other, "==": one == other}[operator]


def _parts(version: str) -> tuple[int, ...]:
    """As R compares them: 1.0 is older than 1.0.0, and "-" is as good as "."."""
    return tuple(int(each) for each in version.replace("-", ".").split(".") if each.isdigit())


def _of_library(store: Store, env: Environment, base: Base, repair: str) -> Iterator[Finding]:
    if found := description.broken(env.library):
        message = f"not whole: {some(list(found))}"
        yield Finding(code="distribution-incomplete", message=message, mend=repair)
    if others := unfit(env, base):
        named = some([f"{each.name} {each.version} (R {each.built})" for each in others])
        yield Finding(
            code="distribution-unfit", message=f"installed for another R than {base.version}: {named}", mend=repair
        )
    if (left := leftovers(env)) and not store.busy(env.name):
        yield Finding(
            code="leftovers",
            message=f"an installation into the library was cut short and left {some([each.name for each in left])}",
            mend=repair,
            severity="warning",
        )
    if busy := at_work(env):
        named = some([each.name for each in busy])
        message = f"something is being installed, or was cut short on another machine within an hour: {named}"
        yield Finding(code="installing", message=message, severity="warning")
