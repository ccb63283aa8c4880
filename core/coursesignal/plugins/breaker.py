"""Channel rules of plugins stand on the way of every touch: one that raises or dawdles must not stop the pipeline."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import replace

from coursesignal.plugin import ChannelRule, Hit

log = logging.getLogger(__name__)

BUDGET_S = 0.05
"""How long a channel rule may look at one hit."""
FAULTS_TO_OPEN, WINDOW_S, OPEN_S = 5, 60.0, 60.0


def harmless(plugin: str, rule: ChannelRule) -> ChannelRule:
    """``rule`` such that a fault counts as "does not apply"; after five within a minute it is not asked for a minute."""
    return replace(rule, applies=_Breaker(plugin, rule))


class _Breaker:
    """A rule's ``applies`` with its recent faults."""

    def __init__(self, plugin: str, rule: ChannelRule) -> None:
        self._plugin = plugin
        self._rule = rule
        self._faults: deque[float] = deque(maxlen=FAULTS_TO_OPEN)
        self._open_until = 0.0

    def __call__(self, hit: Hit) -> bool:
        started = time.monotonic()
        if started < self._open_until:
            return False
        try:
            answer = self._rule.applies(hit)
        except Exception as error:
            return self._fault(started, f"raised {type(error).__name__}: {error}")
        took_s = time.monotonic() - started
        if took_s > BUDGET_S:
            return self._fault(started, f"took {took_s:.2f} s") or bool(answer)
        if not isinstance(answer, bool):
            return self._fault(started, f"returned {type(answer).__name__} instead of True or False")
        return answer

    def _fault(self, now: float, what: str) -> bool:
        log.error(
            "plugin.error plugin=%s what=channel_rule %s: it %s; correct the plugin",
            self._plugin,
            self._rule.slug,
            what,
        )
        self._faults.append(now)
        if len(self._faults) == FAULTS_TO_OPEN and now - self._faults[0] < WINDOW_S:
            self._open_until = now + OPEN_S
            log.error("plugin %r: its channel rule %s is left out for %g s", self._plugin, self._rule.slug, OPEN_S)
        return False
