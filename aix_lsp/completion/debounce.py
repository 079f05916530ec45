"""How long an automatic request waits for the next key before the model is asked.

The model of typing. Keys follow one another in intervals T that are log-normal with median m and a spread of 0.55 in
the logarithm, as recorded keystrokes are (Dhakal et al., "Observations on Typing from 136 Million Keystrokes", CHI
2018, show the skew); m is the median of the last 20. A generation takes L, the median of the last 9, and an offer is
worth its while if it stands for R = 150 ms before the next key replaces it. Asking right away is a waste with
probability

    waste = P(T < L + R) = Phi(ln((L + R) / m) / 0.55).

Waiting w saves the runs that the next key would have cut short at once, P(T < w), and makes every other offer come
later by w. The quantiles of T are proportional to m, so the wait is, in closed form,

    w = 0.35 m * min(1, 2 waste),

and goes to 0 for somebody who types slowly enough to read. The factor is measured: at 0.75, which leaves out the
fastest 30 % of the keys, 35 of 100 keys of real typing reached the model and offers were seen at 28 % of the places; a
wait of 40 ms (0.33 at 120 ms a key) made that 50 keys and 37 % (`benchmarks/replay.py`; docs/log.md). Half of the keys
never come here, being answered from what is known.

Nobody should feel it: w is at most 100 ms, the limit of what seems immediate (Miller, "Response time in man-computer
conversational transactions", 1968), and at most what is left to 300 ms after the key; for a model that needs longer
than that anyway at most a seventh of its own time, about the least difference between two durations that people
notice. Who types slowly loses little by that limit: fewer keys are fewer runs a second.
The first request after a pause or an accepted offer does not wait, the second half as long; a new line waits a third,
for thinking comes there more often than the next key.

Where the wait is not a waste but doubled: editors that wait themselves, by their names (see `_WAIT_THEMSELVES`) or
because they say so (`{"experimental": {"aix": {"waits": true}}}` among the client's capabilities).
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from statistics import median

from aix_lsp.settings import CompletionSettings
from aix_lsp.types import TriggerKind

KEYS = 20
"""So many intervals between keys are remembered."""

_ANSWERS = 9
_SPREAD = 0.55
_READ_SECONDS = 0.15
_QUANTILE = 0.35  # of the median interval
_MOST_SECONDS = 0.1
_FELT_SECONDS = 0.3
_UNNOTICED = 1 / 7
_NEW_LINE = 1 / 3
_PAUSE_SECONDS = 0.8
_PAUSE_MEDIANS = 4
_USUAL_INTERVAL = 0.16
_USUAL_LATENCY = 0.1
_FEW = 5

_WAIT_THEMSELVES = (
    "neovim",  # vim.lsp.inline_completion: 200 ms
    # LSP4IJ (300 ms) tells the name of the IDE with its version: ApplicationInfo.getFullApplicationName()
    *("intellij idea", "pycharm", "webstorm", "phpstorm", "rubymine", "goland", "clion", "rider", "jetbrains rider"),
    *("rustrover", "datagrip", "dataspell", "aqua", "mps", "jetbrains", "android studio", "gateway", "writerside"),
)
_WAITS_ITSELF_EXACTLY = "emacs"
"""lsp-mode (2 s of idle time). Eglot tells "Eglot" and leaves the waiting to who asks through it, who can say so."""


class Debounce:
    """Follows one client's typing and its model's speed. On the event loop; takes no time and starts nothing."""

    def __init__(self, client: str = "", now: Callable[[], float] = time.perf_counter, *, waits: bool = False) -> None:
        """`client` is `clientInfo.name` of `initialize`, `waits` whether the client says itself that it waits; `now`
        tells seconds."""
        self._waits_itself = waits or waits_itself(client)
        self._now = now
        self._last: float | None = None
        self._intervals: deque[float] = deque(maxlen=KEYS)
        self._latencies: deque[float] = deque(maxlen=_ANSWERS)
        self._in_burst = -1  # requests since a pause or an accepted offer, the latest one not counted

    def asked(self) -> None:
        """An automatic request came: a key was typed."""
        now = self._now()
        if self._last is not None:
            interval = max(0.0, now - self._last)
            if interval < max(_PAUSE_SECONDS, _PAUSE_MEDIANS * self._median_interval()):
                self._intervals.append(interval)
            else:
                self._in_burst = -1
        self._last = now
        self._in_burst += 1

    def answered(self, seconds: float) -> None:
        """The model needed so long for an answer, its queue included, the wait not. Not for runs cut short."""
        if seconds >= 0:
            self._latencies.append(seconds)

    def accepted(self) -> None:
        """An offer was accepted: the next request does not wait."""
        self._in_burst = -1

    def delay(self, trigger: TriggerKind, settings: CompletionSettings, new_line: bool = False) -> float:
        """Seconds to wait before the model is asked, from the request's arrival on. `asked` was told of it before.

        `new_line`: nothing but white space stands before the cursor on its line.
        """
        if trigger == "invoked":
            return 0.0
        if settings.debounce == "fixed":
            return settings.debounce_ms / 1000
        if self._waits_itself or self._in_burst <= 0:
            return 0.0
        wait = wait_for(self._median_interval(), self._median_latency())
        if self._in_burst == 1:
            wait /= 2
        return wait * _NEW_LINE if new_line else wait

    def _median_interval(self) -> float:
        return _median(self._intervals, _USUAL_INTERVAL)

    def _median_latency(self) -> float:
        return median(self._latencies) if self._latencies else _USUAL_LATENCY


def wait_for(interval: float, latency: float) -> float:
    """The wait in seconds for a median interval between keys and a median latency of the model, both in seconds; the
    formula above."""
    if interval <= 0:
        return 0.0
    waste = 0.5 * math.erfc(-math.log((max(latency, 0.0) + _READ_SECONDS) / interval) / (_SPREAD * math.sqrt(2)))
    wait = _QUANTILE * interval * min(1.0, 2 * waste)
    return min(wait, _MOST_SECONDS, max(_FELT_SECONDS - latency, _UNNOTICED * latency))


def waits_itself(client: str) -> bool:
    """Whether a client, by the name that it tells in `initialize`, waits for the end of typing before it asks."""
    if client == _WAITS_ITSELF_EXACTLY:
        return True
    name = client.casefold()
    return any(name == known or name.startswith(f"{known} ") for known in _WAIT_THEMSELVES)


def _median(values: Iterable[float], usual: float) -> float:
    """The median, filled up with what is usual while there are few values."""
    known = list(values)
    return median(known + [usual] * (_FEW - len(known)))
