"""An end for a reader's function that has none."""

from __future__ import annotations

import ctypes
import threading

LIMIT = 30.0  # seconds; a right answer written as slowly as one can takes a few


class _TimeUpError(BaseException):
    """Thrown into a function; whoever catches every Exception does not catch it."""


def in_time(call, otherwise):
    """What ``call()`` gives, or ``otherwise`` if it takes longer than `LIMIT`."""
    caller, begun, done = threading.get_ident(), threading.Event(), threading.Event()

    def watch(wait):
        begun.wait()
        while not done.wait(wait):
            _throw(caller, _TimeUpError)
            wait = 1.0  # and again, if that was caught

    def stop():
        done.set()
        watcher.join()
        _throw(caller, None)  # takes back what has not arrived yet

    watcher = threading.Thread(target=watch, args=(LIMIT,), daemon=True)
    try:
        watcher.start()
    except RuntimeError:  # a Python without threads, as in a browser
        return call()
    try:
        try:
            begun.set()
            return call()
        finally:
            stop()
    except _TimeUpError:
        stop()
        return otherwise


def _throw(thread, error):
    """Raise an exception in a thread; None takes it back."""
    error = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), error)
