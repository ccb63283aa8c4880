"""Call into a plugin: with a time limit, and so that whatever goes wrong is an error that names the plugin and the mend."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from coursesignal.plugin import PluginError, Unavailable
from coursesignal.plugins.watchdog import WATCHDOG

MAX_STUCK_THREADS = 8
"""Synchronous calls of one plugin that may hang at once; a thread cannot be ended from outside."""

_threads: Counter[str] = Counter()


class PluginFault(PluginError):
    """A plugin raised, hung or answered nonsense."""

    def __init__(self, plugin: str, what: str, reason: str, mend: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(f"plugin {plugin!r}: {what} {reason}. {mend}")
        self.plugin = plugin
        self.what = what
        self.reason = reason
        self.retry_after = retry_after


async def call_plugin(
    plugin: str, what: str, timeout_s: float, function: Callable[[], Any], *, in_thread: bool = False
) -> Any:
    """What ``function`` returns, awaited when it is awaitable; raises PluginFault after ``timeout_s`` or for any exception.

    A synchronous function belongs ``in_thread``, where a blocking one blocks nobody else.
    """
    try:
        with WATCHDOG.watching(f"plugin {plugin!r}: {what}", timeout_s):
            async with asyncio.timeout(timeout_s) as limit:
                result = await _in_thread(plugin, what, function) if in_thread else function()
                return await result if inspect.isawaitable(result) else result
    except TimeoutError as error:
        if not limit.expired():
            raise _raised(plugin, what, error) from error
        mend = "Make it do less, or move the work to a job. It is tried again a few times."
        raise PluginFault(plugin, what, f"did not finish within {timeout_s:g} s", mend) from error
    except PluginFault:
        raise
    except Unavailable as error:
        raise PluginFault(
            plugin, what, f"reports: {error}", "It is tried again later.", retry_after=error.retry_after
        ) from error
    except (Exception, SystemExit) as error:
        raise _raised(plugin, what, error) from error


def _raised(plugin: str, what: str, error: BaseException) -> PluginFault:
    mend = "Correct the plugin, or turn it off for this tenant. It is tried again a few times."
    return PluginFault(plugin, what, f"raised {type(error).__name__}: {error}", mend)


async def _in_thread(plugin: str, what: str, function: Callable[[], Any]) -> Any:
    """Run ``function`` in a daemon thread: one that never ends keeps nothing from stopping."""
    if _threads[plugin] >= MAX_STUCK_THREADS:
        mend = "Restart the worker, and make the plugin's hooks async or quick."
        raise PluginFault(plugin, what, f"is not started: {MAX_STUCK_THREADS} of its calls hang already", mend)
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def finish(setter: Callable[[Any], None], value: Any) -> None:
        def tell() -> None:
            _threads[plugin] -= 1
            if not done.done():
                setter(value)

        with contextlib.suppress(RuntimeError):  # the loop ended before the thread
            loop.call_soon_threadsafe(tell)

    def work() -> None:
        try:
            result = function()
        except StopIteration as error:
            finish(done.set_exception, RuntimeError(f"StopIteration: {error}"))
        except BaseException as error:
            finish(done.set_exception, error)
        else:
            finish(done.set_result, result)

    _threads[plugin] += 1
    inside = contextvars.copy_context()
    threading.Thread(target=inside.run, args=(work,), name=f"plugin-{plugin}", daemon=True).start()
    return await done
