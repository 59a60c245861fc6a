"""Wait for what comes true in its own time, and fail where it never does."""

import time
from collections.abc import Callable
from typing import Any


def eventually(look: Callable[[], Any], holds: Callable[[Any], object] = bool, *, within: float = 60) -> Any:
    """Look until what is found `holds`, at most so many seconds; returns what was found."""
    end = time.monotonic() + within
    while not holds(found := look()):
        assert time.monotonic() < end, f"it never came true: {found!r}"
        time.sleep(0.01)
    return found
