"""Folders of projects become clean, ordered training text: one small step a file, joined in `build.py`."""
