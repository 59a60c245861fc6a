"""Say how an environment stands against its last freeze."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from ..history import History
from ..model import Diff, Snapshot
from .diff import diff
from .record import recorded

State = Literal["never frozen", "frozen", "changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """`frozen` is the time of the last freeze, None where there was none; `since` is what changed after it."""

    state: State
    snapshot: Snapshot
    frozen: datetime | None = None
    since: Diff = field(default_factory=Diff)

    @property
    def sentence(self) -> str:
        """The one sentence for people."""
        if self.frozen is None:
            return "Never frozen."
        when = f"{self.frozen.astimezone():%-d %b %Y %H:%M}"
        if self.state == "frozen":
            return f"Matches the freeze of {when}."
        count = len(self.since)
        if not count:
            what = "interpreter" if self.since.interpreter else "image that it stands on"
            return f"The {what} changed since the freeze of {when}."
        also = ", and the image that it stands on," if self.since.base else ""
        return f"{count} {'package' if count == 1 else 'packages'}{also} changed since the freeze of {when}."


def status(history: History, snapshot: Snapshot) -> Status:
    """Compare `snapshot` with the last one frozen."""
    frozen = next((entry for entry in reversed(history.entries()) if entry.event == "freeze"), None)
    if frozen is None:
        return Status(state="never frozen", snapshot=snapshot)
    since = diff(recorded(history, frozen), snapshot)
    return Status(state="changed" if since else "frozen", snapshot=snapshot, frozen=frozen.at, since=since)
