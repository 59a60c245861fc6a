"""renv.lock: the lock of R environments, in version 1 of the format as renv 1.x writes and reads it.

The format knows no digest of a source. Those, and what else it has no place for, stand under a key of our own, which
renv passes over; what somebody changes in the records is taken as it is, without what we knew of the record before.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

from ..errors import InvalidInput
from ..model import OF_R, Package, Repository, Snapshot
from ..r_words import GIT, HOSTED, MIRRORS, NAME, VERSION, project
from . import base_json, told
from .origins import once, public
from .yaml_text import mapping_in, shown, text_in

OURS = "venvoy"
CRAN = Repository(name="CRAN", url="https://cloud.r-project.org")
_ADDED = ("depends", "direct", "md5", "sha256", "size", "tree", "url")
"""What may be said of a package beside its record."""
_VCS = re.compile(r"git\+(?P<url>\w+://.+)@(?P<commit>[^@#/]+)(?:#subdirectory=(?P<folder>.+))?")
_PROJECT = re.compile(r"https://(?P<host>[^/]+)/(?P<user>[^/#?]+)/(?P<repo>[^/#?]+)(?<!\.git)")
_FETCHED = re.compile(r"https?://[^#\s]+", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_FILE = re.compile(r"(?P<contrib>.+/src/contrib)/(?:Archive/[^/]+/)?(?P<name>[^/_]+)_(?P<version>[^/_]+)\.tar\.gz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A commit of a project: the address that git takes, and the folder in it, "" for the whole."""

    url: str
    commit: str
    folder: str = ""


@dataclass(frozen=True, slots=True)
class RenvLock:
    """Every package with its version and where it comes from; packages of other languages are in our own part only."""

    name: str = "renv"
    filename: str = "renv.lock"

    def dump(self, snapshot: Snapshot) -> str:
        """Raises InvalidInput for a package that no installer can have installed."""
        records: dict[str, Mapping[str, Any]] = {}
        read: list[Package] = []
        added: dict[str, Mapping[str, Any]] = {}
        unlisted: list[Mapping[str, Any]] = []
        for package in sorted(map(_without_credentials, snapshot.packages)):
            again = _as_read(package)
            more = told.differences(package, again) if again else {}
            if again is None or not more.keys() <= set(_ADDED):
                unlisted.append(told.whole(package))
                continue
            records[package.name] = _record(package)
            read.append(again)
            if more := {key: value for key, value in more.items() if key != "depends"}:
                added[_key(package)] = more
        ours = base_json.ground(snapshot) | {
            "content": _digest(read),
            **({"added": added} if added else {}),
            **({"unlisted": unlisted} if unlisted else {}),
        }
        release = bioconductor_of(snapshot)
        said = {
            "R": {
                "Version": snapshot.language_version,
                "Repositories": [{"Name": each.name, "URL": each.url} for each in _listed(snapshot.repositories)],
            },
            **({"Bioconductor": {"Version": release}} if release else {}),
            "Packages": dict(sorted(records.items())),
            OURS: ours,
        }
        return f"{json.dumps(said, indent=2, ensure_ascii=False)}\n"

    def load(self, text: str, *, source: str, environment: str = "") -> Snapshot:
        """Read a lock of renv's or ours; `source` names the file in errors. Raises InvalidInput."""
        said = _parsed(text, source)
        r = mapping_in(said, "R", source)
        version = text_in(r, "Version", f"{source}, R")
        if not VERSION.fullmatch(version):
            raise InvalidInput(f"{source}: {shown(version)} is no version of R")
        release = _release(said, source)
        read = [_package(name, each, source) for name, each in mapping_in(said, "Packages", source).items()]
        state = Snapshot(
            environment=environment,
            taken=datetime.now(UTC),
            base="",
            language="r",
            language_version=version,
            platform="",
            repositories=_repositories(r, source),
            bioconductor=release,
            packages=once(read, source=source),
        )
        return _restored(state, said[OURS], source) if OURS in said else state


def is_pinned(package: Package) -> bool:
    """Whether an R package can be fetched again, anywhere, as exactly the same source or the same commit."""
    if package.origin == "vcs":
        found = checkout_of(package)
        return found is not None and not found.url.startswith("file:")
    if not (package.sha256 and is_web(package.url)):
        return False
    return package.origin == "archive" or (package.origin == "index" and _is_source_of(package))


def is_web(url: str) -> bool:
    """Whether it is the address of a file that others can fetch, too."""
    return _FETCHED.fullmatch(url) is not None


def checkout_of(package: Package) -> Checkout | None:
    """Where git has the package, None where its commit is not known."""
    found = _VCS.fullmatch(package.url)
    if package.origin != "vcs" or found is None or not _COMMIT.fullmatch(found["commit"]):
        return None
    return Checkout(url=found["url"], commit=found["commit"], folder=unquote(found["folder"] or ""))


def marks(package: Package) -> dict[str, str]:
    """The fields in which a package's own DESCRIPTION says where it came from, as installers write them."""
    return {key: value for key, value in _source(package).items() if key.startswith("Remote")}


def places(package: Package) -> tuple[str, ...]:
    """Where the source of a package from a repository may lie, where it was seen first.

    A repository moves a version into its archive when there is a newer one.
    """
    found = _FILE.fullmatch(package.url)
    if found is None:
        return (package.url,) if package.url else ()
    file = package.url.rpartition("/")[2]
    both = (f"{found['contrib']}/{file}", f"{found['contrib']}/Archive/{package.name}/{file}")
    return (package.url, *(each for each in both if each != package.url))


def bioconductor_of(snapshot: Snapshot) -> str:
    """The release of Bioconductor ("3.20"), as it is told or as the package that stands for it says; "" for none."""
    if snapshot.bioconductor:
        return snapshot.bioconductor
    stands = next((each for each in snapshot.of("bioconductor") if each.name == "BiocVersion"), None)
    return ".".join(stands.version.split(".")[:2]) if stands else ""


# --- writing ---------------------------------------------------------------------------------------------------------


def _without_credentials(package: Package) -> Package:
    repository = public(package.channel) if "://" in package.channel else package.channel
    return replace(package, url=public(package.url), channel=repository)


def _record(package: Package) -> dict[str, Any]:
    said: dict[str, Any] = {"Package": package.name, "Version": package.version, **_source(package)}
    return said | ({"Requirements": sorted(package.depends)} if package.depends else {})


def _source(package: Package) -> dict[str, str]:
    if package.origin == "index" and package.ecosystem == "bioconductor":
        return {"Source": "Bioconductor"}
    if package.origin == "index":
        return {"Source": "Repository", "Repository": package.channel or CRAN.name}
    if package.origin == "archive" and package.url:
        return {"Source": "URL", "RemoteType": "url", "RemoteUrl": package.url}
    if package.origin == "vcs" and (found := _VCS.fullmatch(package.url)):
        return _checkout(found)
    return {"Source": "unknown"}


def _checkout(found: re.Match[str]) -> dict[str, str]:
    commit = {"RemoteRef": found["commit"], "RemoteSha": found["commit"]}
    subdir = {"RemoteSubdir": found["folder"]} if found["folder"] else {}
    hosted = _PROJECT.fullmatch(found["url"])
    if hosted is None or hosted["host"] not in HOSTED:
        return {"Source": "Git", "RemoteType": "git", "RemoteUrl": found["url"], **commit, **subdir}
    source, kind, api = HOSTED[hosted["host"]]
    named = {"RemoteUsername": hosted["user"], "RemoteRepo": hosted["repo"]}
    return {"Source": source, "RemoteType": kind, "RemoteHost": api, **named, **commit, **subdir}


def _as_read(package: Package) -> Package | None:
    """What a reader makes of the package's record, None where it is none that R could use."""
    if package.ecosystem not in OF_R:
        return None
    try:
        return _package(package.name, _record(package), "")
    except InvalidInput:
        return None


def _listed(repositories: Iterable[Repository]) -> tuple[Repository, ...]:
    named = (replace(each, url=public(each.url).rstrip("/")) for each in repositories)
    return tuple(each for each in named if each.url) or (CRAN,)


def _key(package: Package) -> str:
    return f"{package.name} {package.version}"


def _digest(read: Iterable[Package]) -> str:
    """By which it is seen that nobody changed the records."""
    said = [[each.ecosystem, each.name, each.version, each.channel, each.origin, each.url] for each in sorted(read)]
    return hashlib.sha256(json.dumps(said, separators=(",", ":")).encode()).hexdigest()


# --- reading ---------------------------------------------------------------------------------------------------------


def _parsed(text: str, source: str) -> Mapping[str, Any]:
    try:
        said = json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{source} is no renv.lock: {error}") from error
    if not isinstance(said, dict) or not {"R", "Packages"} <= set(said):
        raise InvalidInput(f"{source} is no renv.lock: it does not say R and Packages")
    return said


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    said = dict(pairs)
    if len(said) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{shown(next(each for each in names if names.count(each) > 1))} is there twice")
    return said


def _no_number(said: str) -> Any:
    raise ValueError(f"{said} is no number")


def _release(said: Mapping[str, Any], source: str) -> str:
    if not said.get("Bioconductor"):
        return ""
    release = text_in(mapping_in(said, "Bioconductor", source), "Version", f"{source}, Bioconductor")
    if not VERSION.fullmatch(release):
        raise InvalidInput(f"{source}: {shown(release)} is no release of Bioconductor")
    return release


def _repositories(r: Mapping[str, Any], source: str) -> tuple[Repository, ...]:
    listed = r.get("Repositories") or []
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise InvalidInput(f"{source}: R.Repositories is no list of names and addresses")
    return tuple(_repository(each, source) for each in listed)


def _repository(said: Mapping[str, Any], source: str) -> Repository:
    where = f"{source}, R.Repositories"
    url = public(text_in(said, "URL", where)).rstrip("/")
    name = said.get("Name") or CRAN.name
    if not url or not isinstance(name, str) or not name.isprintable():
        raise InvalidInput(f"{where}: {shown(said.get('URL'))} is no address of a repository with a name")
    return Repository(name=name, url=url)


def _package(name: str, said: object, source: str) -> Package:
    where = f"{source}, {shown(name)}"
    if not isinstance(said, dict):
        raise InvalidInput(f"{where} is no record")
    version = text_in(said, "Version", where)
    if said.get("Package", name) != name or not NAME.fullmatch(name) or not VERSION.fullmatch(version):
        raise InvalidInput(f"{where}, {shown(version)}: that is no R package and its version")
    plain = Package(ecosystem="cran", name=name, version=version, depends=_requirements(said, where))
    return _sourced(plain, {key: value for key, value in said.items() if isinstance(value, str)}, where)


def _requirements(said: Mapping[str, Any], where: str) -> tuple[str, ...]:
    listed = said.get("Requirements") or []
    listed = [listed] if isinstance(listed, str) else listed
    if not isinstance(listed, list) or not all(isinstance(each, str) and NAME.fullmatch(each) for each in listed):
        raise InvalidInput(f"{where}: its Requirements are no list of names")
    return tuple(sorted(set(listed) - {"R"}))


def _sourced(package: Package, said: Mapping[str, str], where: str) -> Package:
    """The package with where it comes from; whoever wrote the record, a word of `remotes` may stand for the source."""
    source = said.get("Source", "unknown")
    kind = source.lower()
    if kind in ("bioconductor", "bioc"):
        return replace(package, ecosystem="bioconductor")
    if kind in ("repository", "standard", "cran", "rspm", "p3m", "ppm"):
        repository = said.get("Repository", CRAN.name)
        return replace(package, channel="" if repository in MIRRORS else _channel(repository, where))
    if kind == "url" and (url := public(said.get("RemoteUrl", ""))):
        return replace(package, origin="archive", url=url)
    if kind in (*GIT, *(its for _, its, _ in HOSTED.values())):
        return replace(package, origin="vcs", url=_address(said, kind, where))
    if kind in ("unknown", "local", "url") or "/" in source or "\\" in source:
        return replace(package, origin="local")
    raise InvalidInput(f"{where}: its Source is {shown(source)}, which none of renv's is")


def _channel(repository: str, where: str) -> str:
    found = public(repository).rstrip("/") if "://" in repository else repository
    if not found or not found.isprintable():
        raise InvalidInput(f"{where}: {shown(repository)} is no repository")
    return found


def _address(said: Mapping[str, str], kind: str, where: str) -> str:
    commit = said.get("RemoteSha", "") or said.get("RemoteRef", "")
    words = (said.get(each, "") for each in ("RemoteHost", "RemoteUsername", "RemoteRepo"))
    place = said.get("RemoteUrl", "") if kind in GIT else project(kind, *words)
    if scp := re.fullmatch(r"(?P<user>[\w.-]+)@(?P<host>[\w.-]+):(?P<path>[^/].*)", place):
        place = f"ssh://{scp['user']}@{scp['host']}/{scp['path']}"
    url = public(f"git+{place.removeprefix('git+')}@{commit}")
    if not commit or not _VCS.fullmatch(url):
        raise InvalidInput(f"{where}: it does not say which commit of which project it is")
    folder = said.get("RemoteSubdir", "")
    return f"{url}#subdirectory={quote(unquote(folder))}" if folder.isprintable() and folder else url


def _restored(state: Snapshot, ours: object, source: str) -> Snapshot:
    """The state with what we knew of it, so far as its records are still those that we wrote."""
    where = f"{source}: {OURS}"
    if not isinstance(ours, dict):
        raise InvalidInput(f"{where} is no mapping")
    untouched = ours.get("content") == _digest(state.packages)
    try:
        packages = [_filled(each, ours.get("added", {}).get(_key(each), {})) for each in state.packages]
        packages += [told.package_of(each) for each in ours.get("unlisted", ())]
        words = {key: told.text(ours.get(key, "")) for key in ("platform", "base", "snapshot")}
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise InvalidInput(f"{where} is not as we write it ({error})") from error
    return replace(
        state,
        platform=words["platform"],
        base=words["base"],
        state=words["snapshot"] if untouched else "",
        contents=base_json.contents_in(ours, where),
        stands_on=base_json.image_in(ours, where),
        packages=once(packages, source=source),
    )


def _filled(package: Package, more: Mapping[str, Any]) -> Package:
    found = replace(package, **told.checked(more, _ADDED))
    if found.url and public(found.url) != found.url:
        raise ValueError(f"{package.name} has an address that is none")
    if found.origin == "index":
        return found if not found.url or _is_source_of(found) else replace(found, url="", sha256="")
    return replace(found, url=package.url)


def _is_source_of(package: Package) -> bool:
    """Whether the url ends in the name of the source of this package and version."""
    found = _FILE.fullmatch(unquote(package.url))
    return found is not None and (found["name"], found["version"]) == (package.name, package.version)
