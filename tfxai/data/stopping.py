"""Ctrl-C during a run: what is in hand is finished, and nobody waits for what is still being read."""

from __future__ import annotations

import concurrent.futures
import contextlib
import signal
import threading
from collections.abc import Generator, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def asked_to_stop() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second one interrupts at once. Elsewhere than in the main thread nothing changes."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.getsignal(signal.SIGINT)

    def asked(*_: Any) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, asked)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def read_ahead(items: Iterator[T], stop: threading.Event) -> Generator[T]:
    """The same items, each read while its forerunner is in use; no more of them once a person has asked to stop."""
    reader = concurrent.futures.ThreadPoolExecutor(1)
    try:
        waiting = reader.submit(next, items, None)
        while (item := _as_it_comes(waiting, stop)) is not None:
            waiting = reader.submit(next, items, None)
            yield item
    finally:
        reader.shutdown(wait=False, cancel_futures=True)


def _as_it_comes(waiting: concurrent.futures.Future[Any], stop: threading.Event) -> Any:
    """What is waited for; None once a person has asked to stop."""
    while not stop.is_set():
        with contextlib.suppress(concurrent.futures.TimeoutError):
            return waiting.result(timeout=0.2)
    return None
