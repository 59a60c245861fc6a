"""The folder of unpacked packages: shared by all, and not always as it was left."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from venvoy.errors import CommandFailed
from venvoy.inventory import conda_files, conda_meta


@pytest.fixture
def pin(near):
    return near.pin(near.folder / "noarch/plain-1.0-0.conda")


def test_a_cache_of_ones_own_is_used_and_told(engine, near, pin, tmp_path):
    source = near.source(cache=str(tmp_path / "own"))

    before = engine("cached", pins=(pin,), source=source)
    engine("exactly", pins=(pin,), source=source)

    assert (before, engine("cached", pins=(pin,), source=source)) == ([], [pin.url])
    assert engine("cached", pins=(pin,)) == []
    assert (tmp_path / "own/plain-1.0-0/info/index.json").exists()


def test_another_file_of_the_same_name_is_not_the_one_in_the_cache(engine, pin):
    engine("exactly", pins=(pin,))

    assert engine("cached", pins=(replace(pin, sha256="0" * 64),)) == []


def test_what_has_gone_from_the_cache_is_fetched_again(engine, near, prefix, there, cache, pin):
    engine("exactly", pins=(pin,))
    shutil.rmtree(prefix)
    shutil.rmtree(cache / "plain-1.0-0/share")

    engine("exactly", pins=(pin,))

    assert there() == {"plain": "1.0"}
    assert conda_files.audit(prefix).deviations == ()


def test_what_has_gone_from_the_cache_is_told_where_there_is_no_network(engine, near, prefix, cache, pin):
    engine("exactly", pins=(pin,))
    shutil.rmtree(prefix)
    shutil.rmtree(cache / "plain-1.0-0/share")
    near.asked.clear()

    with pytest.raises(CommandFailed, match=r"plain-1\.0-0") as caught:
        engine("exactly", pins=(pin,), source=near.source(offline=True))

    assert caught.value.hint
    assert near.files_asked() == []
    assert (conda_meta.records(prefix), conda_meta.unfinished(prefix)) == ((), None)


def test_a_cache_that_may_only_be_read_is_read(engine, near, prefix, there, cache, pin):
    engine("exactly", pins=(pin,))
    shutil.rmtree(prefix)
    _protect(cache, writable=False)

    try:
        engine("exactly", pins=(pin,), source=near.source(offline=True))
    finally:
        _protect(cache, writable=True)

    assert there() == {"plain": "1.0"}


def test_what_a_cache_lacks_that_may_only_be_read_is_fetched(engine, prefix, there, cache, pin):
    engine("exactly", pins=(pin,))
    _protect(cache, writable=False)

    try:
        engine("change", specs=("needing", "plain>1"))
    finally:
        _protect(cache, writable=True)

    assert there() == {"needing": "1.0", "plain": "2.0"}
    assert conda_files.audit(prefix).deviations == ()
    assert not (cache / "plain-2.0-0").exists()


def test_a_cache_that_is_a_file_is_told(engine, cache, prefix, pin):
    cache.parent.mkdir(parents=True)
    cache.write_text("")

    with pytest.raises(CommandFailed) as caught:
        engine("exactly", pins=(pin,))

    assert caught.value.hint
    assert conda_meta.records(prefix) == ()


def _protect(folder: Path, *, writable: bool) -> None:
    for each in (folder, *folder.rglob("*")):
        if not each.is_symlink():
            each.chmod(each.stat().st_mode & ~0o222 | (0o200 if writable else 0))
    if not writable and os.access(folder, os.W_OK):
        _protect(folder, writable=True)
        pytest.skip("not obtainable: root may write everywhere")
