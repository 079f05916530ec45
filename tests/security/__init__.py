"""Attacks, one file per adversary of SECURITY.md."""
