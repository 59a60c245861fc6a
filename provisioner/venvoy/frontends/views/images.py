"""The images of environments: which there are, who uses them, and what went."""

from __future__ import annotations

from collections.abc import Sequence

from ...actions.image_uses import Held, Pruned
from .view import Data, View, counted, size_of


def images_view(seen: Sequence[Held]) -> View:
    unused = [each for each in seen if each.prunable]
    head = f"{counted(len(seen), 'image')}." if seen else "No images: no environment is in a container."
    if unused:
        head += f" Nobody uses {len(unused)} of them: venvoy prune --images"
    return View(
        data={"images": [_data(each) for each in seen]},
        head=head,
        columns=("image", "digest", "runtime", "size", "used by"),
        rows=tuple(_row(each) for each in seen),
    )


def pruned_images_view(pruned: Pruned, *, done: bool) -> View:
    gone = pruned.gone
    head = f"{'removed' if done else 'to remove:'} {counted(len(gone), 'image')}, {size_of(pruned.size)} at most."
    return View(
        data={
            "images": [_data(each) for each in gone],
            "kept": [_data(each) for each in pruned.kept],
            "size": pruned.size,
            "removed": done,
        },
        head=head if gone or pruned.kept else "There is nothing to remove: every image is in use.",
        columns=("image", "digest", "runtime", "size"),
        rows=tuple(_row(each)[:4] for each in gone),
    )


def _data(image: Held) -> Data:
    return {
        "reference": image.reference or None,
        "digest": image.digest,
        "registered": image.registered or None,
        "file": str(image.file) if image.file else None,
        "runtime": image.runtime,
        "size": image.size,
        "environments": list(image.environments),
        "others": [{"environment": each.environment, "user": each.user} for each in image.others],
        "prunable": image.prunable,
    }


def _row(image: Held) -> tuple[str, ...]:
    others = [f"{each.environment} (user {each.user})" for each in image.others]
    return (
        image.reference or "?",
        image.digest.partition(":")[2][:12],
        image.runtime,
        "gone" if image.size is None else size_of(image.size),
        ", ".join((*image.environments, *others)) or ("about to be used" if image.busy else "nobody"),
    )
