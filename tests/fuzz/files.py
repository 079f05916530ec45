from __future__ import annotations
from tests.findings import Finding
def index(seed: int, count: int) -> list[Finding]: return []
def settings(seed: int, count: int) -> list[Finding]: return []
