"""`venvoy quickstart` and `venvoy completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ...model import Kind
from ..views.running import completion_view, quickstart_view
from .options import output
from .output import Output


@click.command
@click.option("--clean", is_flag=True, help="Remove both environments and their records at the end.")
@click.option("--runtime", type=click.Choice(["venv", "conda"]), default="venv", help="What it is made as.")
@output
def quickstart(runtime: Kind, *, clean: bool, out: Output) -> int:
    """See the main job done once on a real notebook.

    It makes an environment, runs a notebook in its kernel that installs a package, locks the result, restores the lock
    into a second environment and compares the two. The exit code tells whether that worked.
    """
    from ..quickstart import quickstart as shown

    with out.progress("Starting …") as on_line:
        code = shown(keep=not clean, say=out.line, runtime=runtime, on_line=on_line)
    if out.json:
        out.show(quickstart_view(code=code, kept=not clean))
    return code


@click.command
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@output
@click.pass_context
def completion(ctx: click.Context, shell: str, out: Output) -> None:
    """Print what makes a shell complete venvoy's words.

    \b
    bash:  eval "$(venvoy completion bash)"    in ~/.bashrc
    zsh:   eval "$(venvoy completion zsh)"     in ~/.zshrc, behind compinit
    fish:  venvoy completion fish > ~/.config/fish/completions/venvoy.fish
    """  # noqa: D301  # \b is click's mark for lines that stay as they are
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"nothing is known of {shell}")
    script = kind(ctx.find_root().command, {}, "venvoy", "_VENVOY_COMPLETE").source()
    out.show(completion_view(shell=shell, script=script))
