"""How much of an environment an archive carries."""

from __future__ import annotations

from typing import Literal, get_args

Tier = Literal["spec", "packages", "image"]
"""The lock and the record; with the files of all packages; with the image, too."""
TIERS: tuple[Tier, ...] = get_args(Tier)
