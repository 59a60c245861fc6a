"""A disk or a quota that is full: one sentence, and nothing is lost or half written."""

import os
import subprocess
import sys

import pytest

from venvoy.actions.install import install
from venvoy.actions.note import note


@pytest.fixture
def small(settings):
    """The folder of records on a disk of 4 MB; what is given fills it, and empties it again."""
    if os.getuid():
        pytest.skip("not obtainable: only root can mount a small disk")
    folder = settings.projects
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True)
    filling = folder / "filling"

    def full(wanted: bool) -> None:
        filling.unlink(missing_ok=True)
        if wanted:
            subprocess.run(["dd", "if=/dev/zero", f"of={filling}", "bs=4k"], check=False, capture_output=True)

    yield full
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_record_that_finds_no_room_is_whole_and_goes_on_when_there_is_some(small, store, init, light, actor):
    env = init("marker==1.0")
    history = store.history("demo")
    before, written = history.entries(), history.latest.read_text()
    small(True)

    with pytest.raises(OSError, match="No space left"):
        install(store, env, ("marker==2.0",), actor=actor)
    frozen = subprocess.run(
        [sys.executable, "-m", "venvoy", "freeze", "demo"], capture_output=True, text=True, check=False
    )

    assert (frozen.returncode, "Traceback" in frozen.stderr) == (1, False)
    assert "No space left" in frozen.stderr
    assert "make room, then try again: venvoy prune" in frozen.stderr
    assert (history.entries(), history.latest.read_text()) == (before, written)
    assert history.check() == ()
    assert list(history.folder.rglob("*.partial")) == []

    small(False)
    entry = note(store, env, actor=actor)

    assert entry is not None
    assert "marker==2.0" in history.latest.read_text()
    assert history.check() == ()
