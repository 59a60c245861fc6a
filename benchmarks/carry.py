"""Keeping wheels, packing, restoring, against `pip download`, `tar --zstd`, `venv-pack`, `pip install --no-index`."""

from __future__ import annotations

import shutil
from pathlib import Path

from side_by_side import compare, own_home
from stack import run, stack, tools, venvoy

from venvoy.actions.observe import observe
from venvoy.model import Environment
from venvoy.store import Store


def main() -> None:
    with own_home() as home:
        store, env = stack(home)
        venvoy("freeze", "ours")
        theirs = tools(home, "venv-pack", "setuptools<81")
        _vendor(home, store, theirs)
        _archive(home, env, theirs)
        _restore(home, store, env)


def _vendor(home: Path, store: Store, theirs: Path) -> None:
    kept, downloaded = store.folder("ours") / "vendor", home / "downloaded"
    exact = home / "exact.txt"
    venvoy("export", "ours", "--format", "requirements", "-o", exact)

    def ours() -> None:
        shutil.rmtree(kept, ignore_errors=True)
        venvoy("freeze", "ours", "--vendor")

    def pip() -> None:
        shutil.rmtree(downloaded, ignore_errors=True)
        run(theirs / "pip", "download", "--no-cache-dir", "--no-deps", "-r", exact, "-d", downloaded)

    compare("every wheel, none there", {"venvoy freeze --vendor": ours, "pip download": pip}, rounds=3, unit="s")


def _archive(home: Path, env: Environment, theirs: Path) -> None:
    packed = {
        name: home / file for name, file in (("ours", "a.venvoy.tar.zst"), ("tar", "a.tar.zst"), ("pack", "a.tar.gz"))
    }
    tree = env.prefix.resolve()

    def again(name: str, *words: str | Path) -> None:
        packed[name].unlink(missing_ok=True)
        run(*words)

    def ours() -> None:
        packed["ours"].unlink(missing_ok=True)
        venvoy("export", "ours", "--format", "archive", "-o", packed["ours"])

    compare(
        "one file to carry away",
        {
            "venvoy export --format archive": ours,
            "tar --zstd of the venv": lambda: again("tar", "tar", "--zstd", "-cf", packed["tar"], "-C", tree, "."),
            "venv-pack": lambda: again("pack", theirs / "venv-pack", "-p", tree, "-o", packed["pack"]),
        },
        rounds=3,
        unit="s",
    )
    for name, file in packed.items():
        print(f"  size {name:36} {file.stat().st_size / 1e6:8.1f} MB")


def _restore(home: Path, store: Store, env: Environment) -> None:
    file, kept = home / "a.venvoy.tar.zst", store.folder("ours") / "vendor"
    exact, by_hand = home / "plain.txt", home / "by-hand"
    lines = [f"{each.name}=={each.version}" for each in observe(store, env).packages]
    exact.write_text("\n".join(lines), "utf-8")
    count = iter(range(1000))

    def ours() -> None:
        cache = home / f"cache-{next(count)}"  # nothing of an earlier round helps
        venvoy("import-archive", file, "--name", "again", "--force", UV_CACHE_DIR=str(cache))
        shutil.rmtree(cache, ignore_errors=True)

    def pip() -> None:
        shutil.rmtree(by_hand, ignore_errors=True)
        run(env.base or "python3", "-m", "venv", by_hand)
        run(by_hand / "bin/pip", "install", "--no-index", "--no-deps", "--find-links", kept, "-r", exact)

    compare(
        "an environment from it",
        {"venvoy import-archive": ours, "venv + pip install --no-index": pip},
        rounds=3,
        unit="s",
    )


if __name__ == "__main__":
    main()
