"""In which words a snapshot is written down, and read again: a module for each, and all of them in `registry`."""
