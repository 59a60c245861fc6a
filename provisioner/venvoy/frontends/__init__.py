"""Thin: who asks, what is called, how it is shown."""
