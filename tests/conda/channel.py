"""Build a real conda channel from interpreters of this machine, wheels, and packages made by hand.

    python tests/conda/channel.py CHANNEL --python PYTHON... [--wheels DIR]

DIR has one folder of wheels for each subdir (linux-64, osx-arm64, ...), for CPython 3.12. patchelf must be on PATH.
"""

from __future__ import annotations

import argparse
import configparser
import email.parser
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

TIME = 1760000000
PLACEHOLDER = "/opt/a-long-prefix-to-be-replaced".ljust(255, "_")
FOR = "3.12"
"""The Python that compiled wheels are repacked for."""
OTHERS = ("linux-aarch64", "osx-64", "osx-arm64", "win-64")
MARKERS: Mapping[str, Mapping[str, str]] = {
    "linux-64": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    "linux-aarch64": {
        "sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "aarch64",
    },
    "osx-64": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "x86_64"},
    "osx-arm64": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
    "win-64": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
}  # fmt: skip
_SKIPPED = shutil.ignore_patterns(
    "__pycache__", "test", "tests", "idlelib", "lib2to3", "turtledemo", "*.a", "ensurepip", "tkinter"
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What stands in a package's index.json and beside it."""

    name: str
    version: str
    build: str = "0"
    subdir: str = "noarch"
    noarch: str = ""
    number: int = 0
    time: int = TIME
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)
    prefixed: Mapping[str, str] = field(default_factory=dict)
    """Files in which the placeholder stands, each with "text" or "binary"."""


@contextmanager
def stage() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def pack(tree: Path, channel: Path, recipe: Recipe) -> Path:
    """Turn the files of a folder into a .conda file; the same files give the same bytes."""
    index = {
        "name": recipe.name,
        "version": recipe.version,
        "build": recipe.build,
        "build_number": recipe.number,
        "depends": sorted(recipe.depends),
        "subdir": recipe.subdir,
        "timestamp": recipe.time * 1000,
        "license": "see upstream",
        **({"constrains": sorted(recipe.constrains)} if recipe.constrains else {}),
        **({"noarch": recipe.noarch} if recipe.noarch else {}),
    }
    paths = [_path(each, tree, recipe) for each in sorted(tree.rglob("*")) if each.is_symlink() or each.is_file()]
    documents = {
        "index.json": index,
        "paths.json": {"paths": paths, "paths_version": 1},
        "about.json": {"summary": recipe.name},
        **recipe.info,
    }
    stem = f"{recipe.name}-{recipe.version}-{recipe.build}"
    target = channel / recipe.subdir / f"{stem}.conda"
    target.parent.mkdir(parents=True, exist_ok=True)
    with stage() as info:
        (info / "info").mkdir()
        for name, document in documents.items():
            (info / "info" / name).write_text(json.dumps(document, indent=1))
        (info / "info/files").write_text("".join(f"{each['_path']}\n" for each in paths))
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(zipfile.ZipInfo("metadata.json"), json.dumps({"conda_pkg_format_version": 2}))
            archive.writestr(zipfile.ZipInfo(f"pkg-{stem}.tar.zst"), _tar(tree))
            archive.writestr(zipfile.ZipInfo(f"info-{stem}.tar.zst"), _tar(info))
    return target


def _path(file: Path, tree: Path, recipe: Recipe) -> dict[str, Any]:
    relative = file.relative_to(tree).as_posix()
    said: dict[str, Any] = {"_path": relative, "path_type": "softlink" if file.is_symlink() else "hardlink"}
    if file.exists():
        data = file.read_bytes()
        said |= {"sha256": hashlib.sha256(data).hexdigest(), "size_in_bytes": len(data)}
    if relative in recipe.prefixed:
        said |= {"file_mode": recipe.prefixed[relative], "prefix_placeholder": PLACEHOLDER}
    return said


def _tar(tree: Path) -> bytes:
    def clean(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mtime = TIME
        return member

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for each in sorted(tree.iterdir()):
            tar.add(each, each.name, filter=clean)
    return zstandard.ZstdCompressor(level=1, threads=-1).compress(out.getvalue())


def python(program: Path, channel: Path) -> None:
    """Repack an interpreter that was built with --prefix: no tests, no packages, found libraries made relative."""
    asked = [program, "-c", "import sys, platform; print(sys.prefix, platform.python_version())"]
    prefix, version = subprocess.check_output(asked, text=True).split()
    source, minor = Path(prefix), ".".join(version.split(".")[:2])
    with stage() as tree:
        _copy_python(source, tree, minor)
        recipe = Recipe(
            name="python",
            version=version,
            build="0_cpython",
            subdir="linux-64",
            depends=(f"python_abi {minor}.* *_cp{minor.replace('.', '')}", "__glibc >=2.17", "tzdata"),
            constrains=("python-not-here >=1",),
            prefixed=_placeholders(tree, str(source)),
        )
        pack(tree, channel, recipe)
    made(channel, Recipe(name="python_abi", version=minor, build=f"0_cp{minor.replace('.', '')}", noarch="generic"))
    for subdir in OTHERS:  # enough to solve for them; nothing of it runs here
        made(channel, Recipe(
            name="python", version=version, build="0_cpython", subdir=subdir,
            depends=(f"python_abi {minor}.* *_cp{minor.replace('.', '')}", "tzdata"),
        ))  # fmt: skip


def _copy_python(source: Path, tree: Path, minor: str) -> None:
    def ignored(folder: str, names: list[str]) -> set[str]:
        return set(names) if Path(folder).name == "site-packages" else set(_SKIPPED(folder, names))

    library = tree / "lib" / f"python{minor}"
    shutil.copytree(source / "lib" / f"python{minor}", library, symlinks=True, ignore=ignored)
    (library / "site-packages/README.txt").write_text("packages go here\n")
    for file in (source / "lib").glob("libpython*"):
        shutil.copy2(file, tree / "lib" / file.name, follow_symlinks=False)
    (tree / "bin").mkdir()
    shutil.copy2(source / f"bin/python{minor}", tree / f"bin/python{minor}")
    for alias in ("python", "python3"):
        (tree / "bin" / alias).symlink_to(f"python{minor}")
    shutil.copytree(source / "include", tree / "include", symlinks=True)
    programs = [tree / f"bin/python{minor}", *(tree / "lib").glob("libpython*.so*"), *library.glob("lib-dynload/*.so")]
    strip = shutil.which("strip")
    for file in (each for each in programs if not each.is_symlink()):
        file.chmod(0o755)
        if strip:
            subprocess.run([strip, "--strip-unneeded", file], check=False)
        # Else it would load the library of the interpreter that it is a copy of.
        relative = os.path.relpath(tree / "lib", file.parent)
        subprocess.run(["patchelf", "--set-rpath", f"$ORIGIN/{relative}", file], check=True)


def _placeholders(tree: Path, old: str) -> dict[str, str]:
    found = {}
    for file in (each for each in tree.rglob("*") if each.is_file() and not each.is_symlink()):
        if file.suffix in ("", ".py", ".pc", ".h", ".json"):
            data = file.read_bytes()
            if old.encode() in data and b"\0" not in data:
                file.write_bytes(data.replace(old.encode(), PLACEHOLDER.encode()))
                found[file.relative_to(tree).as_posix()] = "text"
    return found


def made(channel: Path, recipe: Recipe, files: Mapping[str, str] | None = None) -> Path:
    """A package made by hand; one file says its name where no `files` are given."""
    with stage() as tree:
        for name, text in (files or {f"share/{recipe.name}/README": f"{recipe.name} {recipe.version}\n"}).items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text)
            if name.startswith(("bin/", "extra/")):
                (tree / name).chmod(0o755)
        return pack(tree, channel, recipe)


def module(
    channel: Path,
    name: str,
    version: str,
    *,
    build: str = "py_0",
    depends: tuple[str, ...] = (),
    text: str = "",
    script: str = "",
) -> Path:
    """A pure Python package made by hand, as noarch; `script` is the name of a console script that calls `main`."""
    distribution = f"site-packages/{name.replace('-', '_')}-{version}.dist-info"
    content = {
        f"site-packages/{name}/__init__.py": text or f"__version__ = {version!r}\n",
        f"{distribution}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nMade by hand.\n",
        f"{distribution}/INSTALLER": "conda",
        f"{distribution}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path.removeprefix('site-packages/')},,\n" for path in content)
    content[f"{distribution}/RECORD"] = f"{record}{distribution.removeprefix('site-packages/')}/RECORD,,\n"
    points = [f"{script} = {name}:main"] if script else []
    link = {"noarch": {"type": "python", "entry_points": points}, "package_metadata_version": 1}
    return made(
        channel,
        Recipe(name=name, version=version, build=build, noarch="python", depends=("python >=3.9", *depends),
               info={"link.json": link}),
        content,
    )  # fmt: skip


def by_hand(channel: Path) -> None:
    """Small packages for small questions: versions to go between, scripts to be run or not, files to be replaced."""
    made(channel, Recipe(name="tzdata", version="2026b", noarch="generic"))
    for name in ("one", "two", "three", "four", "five", "six"):
        made(channel, Recipe(name=f"generic-{name}", version="1.0", noarch="generic"))
    for version in ("1.0", "2.0"):
        module(channel, "marker", version)
    module(channel, "tool", "1.0", depends=("marker >=1",), text="def main(): print('a tool')\n", script="tool")
    module(channel, "old-friend", "1.0", depends=("marker <2",), text="")
    made(channel, Recipe(name="activating", version="1.0", noarch="generic"), {
        "etc/conda/activate.d/activating.sh": 'export ACTIVATING_DATA="$CONDA_PREFIX/share/data"\nexport PATH="$CONDA_PREFIX/extra:$PATH"\n',
        "etc/conda/deactivate.d/activating.sh": "unset ACTIVATING_DATA\n",
        "etc/conda/env_vars.d/activating.json": '{"ACTIVATING_FLAG": "yes"}\n',
        "extra/from-extra": "#!/bin/sh\necho found\n",
    })  # fmt: skip
    made(channel, Recipe(name="linking", version="1.0", noarch="generic"), {
        "bin/.linking-post-link.sh": '#!/bin/sh\ntouch "$PREFIX/ran-at-install"\n',
        "share/linking/README": "has a script\n",
    })  # fmt: skip
    made(
        channel,
        Recipe(name="placed", version="1.0", subdir="linux-64", prefixed={"etc/placed.conf": "text"}),
        {"etc/placed.conf": f"prefix={PLACEHOLDER}\n"},
    )


def wheel(file: Path, channel: Path, subdir: str) -> None:
    """Repack a wheel: pure ones as noarch, in a variant for each system where their markers name one."""
    name, version, _, tags = parse_wheel_filename(file.name)
    pure = all(each.abi == "none" and each.platform == "any" for each in tags)
    with stage() as tree:
        site = tree / _site(subdir, pure=pure)
        with zipfile.ZipFile(file) as archive:
            archive.extractall(site)  # noqa: S202  # from the index of the tests
        _spread(site, tree)
        info = next(site.glob("*.dist-info"))
        (info / "INSTALLER").write_text("conda")
        metadata = email.parser.Parser().parsestr((info / "METADATA").read_text("utf-8"))
        requires = [Requirement(each) for each in metadata.get_all("Requires-Dist") or []]
        said = {**default_environment(), **MARKERS[subdir], "python_version": FOR, "python_full_version": f"{FOR}.0",
                "implementation_name": "cpython", "extra": ""}  # fmt: skip
        depends = [_spec(each) for each in requires if not each.marker or each.marker.evaluate(said)]
        scripts = _scripts(info)
        if pure:
            varied = any(re.search("platform|os_name", str(each.marker)) for each in requires if each.marker)
            system = subdir.partition("-")[0]
            needs = (metadata.get("Requires-Python") or "").replace(" ", "")
            recipe = Recipe(
                name=canonicalize_name(name), version=str(version), build=f"py{system}_0" if varied else "py_0",
                noarch="python",
                depends=(*depends, f"python {needs}".strip(), *((f"__{system}",) if varied else ())),
                info={"link.json": {"noarch": {"type": "python", "entry_points": scripts}, "package_metadata_version": 1}},
            )  # fmt: skip
        else:
            abi = f"cp{FOR.replace('.', '')}"
            following = f"3.{int(FOR.partition('.')[2]) + 1}"
            recipe = Recipe(
                name=canonicalize_name(name), version=str(version), build=f"{abi}_0", subdir=subdir,
                depends=(*depends, f"python >={FOR},<{following}.0a0", f"python_abi {FOR}.* *_{abi}"),
                prefixed=_programs(tree, scripts) if not subdir.startswith("win") else {},
            )  # fmt: skip
        pack(tree, channel, recipe)


def _site(subdir: str, *, pure: bool) -> str:
    if pure:
        return "site-packages"
    return "Lib/site-packages" if subdir.startswith("win") else f"lib/python{FOR}/site-packages"


def _spread(site: Path, tree: Path) -> None:
    """Put what a wheel has for other places than site-packages where it belongs."""
    for data in site.glob("*.data"):
        for scheme, target in (("purelib", site), ("platlib", site), ("data", tree), ("scripts", tree / "bin")):
            if (data / scheme).is_dir():
                shutil.copytree(data / scheme, target, dirs_exist_ok=True)
        shutil.rmtree(data)


def _scripts(info: Path) -> list[str]:
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    if (info / "entry_points.txt").exists():
        parser.read_string((info / "entry_points.txt").read_text())
    if not parser.has_section("console_scripts"):
        return []
    return [f"{name} = {target}" for name, target in parser["console_scripts"].items()]


def _programs(tree: Path, scripts: Iterable[str]) -> dict[str, str]:
    found = {}
    for each in scripts:
        name, target = (part.strip() for part in each.split("="))
        place, _, function = target.partition(":")
        file = tree / "bin" / name
        file.parent.mkdir(exist_ok=True)
        start = function.partition(".")[0]
        file.write_text(
            f"#!{PLACEHOLDER}/bin/python\nimport sys\nfrom {place} import {start}\nsys.exit({function}())\n"
        )
        file.chmod(0o755)
        found[f"bin/{name}"] = "text"
    return found


def _spec(requirement: Requirement) -> str:
    """The requirement as a match spec: only `~=` and `===` are written otherwise."""
    parts = []
    for each in requirement.specifier:
        if each.operator == "~=":
            parts += [f">={each.version}", "==" + ".".join(each.version.split(".")[:-1]) + ".*"]
        else:
            parts.append({"===": "=="}.get(each.operator, each.operator) + each.version)
    return f"{canonicalize_name(requirement.name)} {','.join(parts)}".strip()


def index(channel: Path) -> None:
    """Write the channel's repodata.json, as conda-index does, from what every file says of itself."""
    (channel / "noarch").mkdir(exist_ok=True)
    for folder in sorted(each for each in channel.iterdir() if each.is_dir()):
        entries = {each.name: _entry(each) for each in sorted(folder.glob("*.conda"))}
        said = {"info": {"subdir": folder.name}, "packages": {}, "packages.conda": entries, "repodata_version": 1}
        (folder / "repodata.json").write_text(json.dumps(said, sort_keys=True))


def _entry(file: Path) -> dict[str, Any]:
    data = file.read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        [name] = [each for each in archive.namelist() if each.startswith("info-")]
        unpacked = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(archive.read(name))).read()
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
        member = tar.extractfile("info/index.json")
        assert member is not None
        said: dict[str, Any] = json.load(member)
    hashes = {"sha256": hashlib.sha256(data).hexdigest(), "md5": hashlib.md5(data, usedforsecurity=False).hexdigest()}
    return {**said, **hashes, "size": len(data)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("channel", type=Path)
    parser.add_argument("--python", type=Path, action="append", default=[])
    parser.add_argument("--wheels", type=Path)
    said = parser.parse_args()
    said.channel.mkdir(parents=True, exist_ok=True)
    for each in said.python:
        python(each, said.channel)
    by_hand(said.channel)
    for folder in sorted(said.wheels.iterdir()) if said.wheels else ():
        for each in sorted(folder.glob("*.whl")):
            if not each.name.startswith("tzdata-"):  # conda's is another thing of the same name
                wheel(each, said.channel, folder.name)
    index(said.channel)


if __name__ == "__main__":
    main()
