"""Bytes with something wrong: what a disk, a crash or another program leaves of a file."""

from __future__ import annotations

from random import Random

KINDS = ("flip", "cut", "double", "insert", "swap", "zeros", "huge", "digits", "nest", "empty")


def damaged(whole: bytes, chance: Random) -> bytes:
    """The bytes, damaged in one to three ways; they may be what they were."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        whole = _once(whole, chance.choice(KINDS), chance)
    return whole


def _once(whole: bytes, kind: str, chance: Random) -> bytes:
    size = len(whole)
    # half of the damage is near the front, where headers and lengths are
    at = chance.randrange(min(size, 200) + 1) if chance.random() < 0.5 else chance.randrange(size + 1)
    end = min(size, at + chance.choice((1, 8, 64, 4096)))
    front, part, back = whole[:at], whole[at:end], whole[end:]
    if kind == "flip":
        return front + bytes(byte ^ (1 << chance.randrange(8)) for byte in part[:4]) + part[4:] + back
    if kind == "cut":
        return front
    if kind == "double":
        return front + part + part + back
    if kind == "insert":
        return front + chance.randbytes(chance.choice((1, 16, 300))) + part + back
    if kind == "swap":
        other = chance.randrange(size + 1)
        low, high = sorted((at, other))
        length = min(64, high - low, size - high)
        first, second = whole[low : low + length], whole[high : high + length]
        return whole[:low] + second + whole[low + length : high] + first + whole[high + length :]
    if kind == "zeros":
        return front + bytes(len(part)) + back
    if kind == "huge":  # where a length may be, in either order of bytes
        number = (1 << chance.choice((31, 32, 40, 60, 63, 64))) - chance.choice((0, 1))
        raw = (number % 2**64).to_bytes(8, chance.choice(("little", "big")))
        return front + raw + whole[at + 8 :]
    if kind == "digits":  # where a number may be written out
        spot = next((place for place in range(at, size) if whole[place : place + 1].isdigit()), at)
        return whole[:spot] + b"9" * chance.choice((1, 20, 400, 5000)) + whole[spot:]
    if kind == "nest":
        signs = chance.choice((b"[", b'{"a":', b"{a="))
        return front + signs * chance.choice((10, 1000, 50_000)) + part + back
    return b""
