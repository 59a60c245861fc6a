"""Packages of conda, as the tests of conda's formats take them."""

from dataclasses import fields

from venvoy.model import Package, Snapshot

FORGE = "https://conda.anaconda.org/conda-forge"
COMMIT = "7d6d177c1ee1a51347d391f5580256637b9e53ed"


def conda(stem: str, subdir: str = "linux-64", **more) -> Package:
    """The package in the file of that name, with hashes that are none."""
    name, version, build = stem.rsplit("-", 2)
    said = {
        "channel": FORGE,
        "url": f"{FORGE}/{subdir}/{stem}.conda",
        "sha256": "a1" * 32,
        "md5": "11" * 16,
        **more,
    }
    return Package(ecosystem="conda", name=name, version=version, build=build, **said)


def whole(snapshot: Snapshot) -> dict:
    """Everything that a snapshot says but its time, what takes no part in comparisons too."""
    said = {field.name: getattr(snapshot, field.name) for field in fields(Snapshot)} | {"taken": None, "packages": None}
    return said | {"all": [[getattr(each, key.name) for key in fields(Package)] for each in snapshot.packages]}
