"""Sources of R packages from elsewhere than a repository, which say of themselves from where, as installers note it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from .. import files, process
from ..errors import CommandFailed, InvalidInput
from ..formats import renv
from ..inventory import Description, r_tarball
from ..inventory.description import parsed
from ..managers import git
from ..model import Package
from .bases import without_environment
from .packing import Member, pack


def checked_out(package: Package, target: Path) -> None:
    """Write the source of a package at its commit into `target`, the same to the byte at any time.

    git itself checks that what it got is the commit. Raises InvalidInput for what is no such source, or is more than
    plain files; CommandFailed where it cannot be had, RuntimeUnavailable without git.
    """
    found = renv.checkout_of(package)
    if found is None:
        raise InvalidInput(f"{package.name} {package.version}: its commit is not known")
    with tempfile.TemporaryDirectory(prefix="venvoy-") as aside:
        repository, file = Path(aside) / "git", Path(aside) / target.name
        process.run(without_environment(git.begin(repository)))
        try:
            process.run(without_environment(git.fetch(repository, found.url, found.commit)))
        except CommandFailed:
            process.run(without_environment(git.fetch_all(repository, found.url)))
        job = git.archive(repository, found.commit, found.folder, file, called=package.name)
        process.run(without_environment(job))
        marked(file, package, target)


def marked(source: Path, package: Package, target: Path) -> None:
    """Write the source again with the fields by which its DESCRIPTION says where it comes from.

    Raises InvalidInput for what is not the source of that package, and for more than plain files in it.
    """
    said = r_tarball.described(source)
    if said["Version"] != package.version or "Built" in said:
        raise InvalidInput(f"{source.name} is not the source of {package.name} {package.version}")
    fields = renv.marks(package)
    with r_tarball.opened(source) as tar:
        found = {path: (stream.read(), runs) for path, stream, runs in r_tarball.plain(tar, source)}
    if ".gitmodules" in found:
        raise InvalidInput(f"{package.name} {package.version} has files in other repositories (.gitmodules)")
    text, runs = found["DESCRIPTION"]
    found["DESCRIPTION"] = (_with(text, fields), runs)
    found.pop("MD5", None)  # it has the digest of the other DESCRIPTION, and need not be there
    target.parent.mkdir(parents=True, exist_ok=True)
    members = [
        Member(name=f"{package.name}/{path}", data=data, executable=program)
        for path, (data, program) in sorted(found.items())
    ]
    pack(members, target, compression="gz")
    if not comes_from(target, package):
        files.remove(target)
        raise InvalidInput(f"{package.name} {package.version}: {package.url} cannot be noted in a DESCRIPTION")


def comes_from(file: Path, package: Package) -> bool:
    """Whether the file, a source or a built one, says that it comes from where the package does.

    What is from a repository need not say it. Raises InvalidInput for what is no package.
    """
    if package.origin not in ("vcs", "archive"):
        return True
    said = r_tarball.described(file)
    found = Description(name=package.name, version=said["Version"], folder=file, fields=said).package()
    return (found.origin, found.url) == (package.origin, package.url)


def _with(text: bytes, fields: Mapping[str, str]) -> bytes:
    """A DESCRIPTION with these fields, instead of those that it had by their names."""
    kept: list[bytes] = []
    dropped = False
    for line in text.splitlines():
        if line[:1] not in (b" ", b"\t"):
            dropped = bool(parsed(line.decode("utf-8", "replace")).keys() & fields.keys())
        if line.strip() and not dropped:
            kept.append(line)
    return b"".join(each + b"\n" for each in (*kept, *(f"{key}: {value}".encode() for key, value in fields.items())))
