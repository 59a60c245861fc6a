"""Stands in for the package `venvoy` in kernels that venvoy started: nothing needs loading there."""


def load_ipython_extension(shell):
    """Do nothing; the magics are here already."""
