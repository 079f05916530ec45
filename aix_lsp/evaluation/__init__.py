"""Measuring what is found and what is completed, on any checkout."""
