"""Switching completions off and on while the server runs: everywhere, for a language, or for a while.

For this session only; the settings stay as they are. What the user says here counts over them in both directions: a
language that the settings switch off is switched on by `aix.toggle` as well. Off means off for explicit requests too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aix_lsp.completion.kept import Clock, Handle
    from aix_lsp.settings import Settings

PAUSE_MINUTES = 30.0
MOST_MINUTES = 7 * 24 * 60.0


class Switch:
    """`changed` is called after each change, also when a pause ends by itself."""

    def __init__(self, clock: Clock, changed: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._changed = changed
        self._everywhere: bool | None = None
        self._languages: dict[str, bool] = {}
        self._paused_until: float | None = None
        self._timer: Handle | None = None

    def toggle(self, settings: Settings, language: str = "") -> dict[str, Any]:
        """Switch a language, or everything ("", and what was said of single languages is forgotten), off if it is on
        and on if it is off. `settings` are those of now; whoever is back at what they say hears of their next change.
        Returns the new state, see `state`."""
        if language:
            turns_on = bool(self._why_off(settings, language))
            self._languages.pop(language, None)
            if turns_on == bool(self._why_off(settings, language)):
                self._languages[language] = turns_on
        else:
            turns_on = not self._is_on(settings)
            self._everywhere = None if turns_on == settings.completion.enabled else turns_on
            self._languages.clear()
        self._changed()
        return self.state(settings, language)

    def pause(self, settings: Settings, minutes: float = PAUSE_MINUTES) -> dict[str, Any]:
        """Offer nothing for so many minutes; 0, and any call during a pause, ends it. Returns the new state. Raises
        ValueError for a number of minutes that cannot be."""
        if not (math.isfinite(minutes) and 0 <= minutes <= MOST_MINUTES):
            raise ValueError(f"aix.pause takes minutes from 0 to {MOST_MINUTES:,.0f}")
        resumes = minutes == 0 or self.paused_seconds > 0
        self.close()
        if not resumes:
            self._paused_until = self._clock.time() + minutes * 60
            self._timer = self._clock.call_later(minutes * 60, self._over)
        self._changed()
        return self.state(settings)

    def close(self) -> None:
        """End a pause; no timer is left."""
        self._paused_until = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _over(self) -> None:
        self.close()
        self._changed()

    @property
    def paused_seconds(self) -> float:
        """How long the pause still lasts; 0 when there is none."""
        return max(self._paused_until - self._clock.time(), 0.0) if self._paused_until is not None else 0.0

    def silence(self, settings: Settings, language: str) -> str:
        """Why no offer may be made in a language, whoever said so; "" when it may."""
        if seconds := self.paused_seconds:
            minutes = math.ceil(seconds / 60)
            return f"completions are paused for {minutes} more minute{'s' * (minutes != 1)} (aix.pause resumes them)"
        return self._why_off(settings, language)

    def _why_off(self, settings: Settings, language: str) -> str:
        told = self._languages.get(language)
        if told is not None:
            return "" if told else f"completions are switched off for {language} in this session (aix.toggle)"
        if self._everywhere is False:
            return "completions are switched off in this session (aix.toggle)"
        if not self._is_on(settings):
            return "completions are switched off (completion.enabled)"
        if language in settings.completion.disabled_languages:
            return f"completions are switched off for {language} (completion.disabled_languages)"
        return ""

    def applied(self, settings: Settings) -> Settings:
        """The settings without what the user has switched on over them. What stays off is for `silence` to say: one
        language may be on where all others are off."""
        completion = settings.completion
        changes: dict[str, Any] = {}
        on = {language for language, told in self._languages.items() if told}
        if not completion.enabled and (self._everywhere or on):
            changes["enabled"] = True
        if on.intersection(completion.disabled_languages):
            changes["disabled_languages"] = tuple(name for name in completion.disabled_languages if name not in on)
        if not changes:
            return settings
        return settings.model_copy(update={"completion": completion.model_copy(update=changes)})

    def state(self, settings: Settings, language: str = "") -> dict[str, Any]:
        """`enabled`: whether offers are made (in that language, if one is given); `languages`: those that were switched
        by name; `pausedSeconds`: how long a pause still lasts; `reason`: why nothing is offered."""
        reason = self.silence(settings, language)
        return {
            "enabled": not reason,
            "languages": dict(self._languages),
            "pausedSeconds": math.ceil(self.paused_seconds),
            "reason": reason,
        }

    def _is_on(self, settings: Settings) -> bool:
        return settings.completion.enabled if self._everywhere is None else self._everywhere
