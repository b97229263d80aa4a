import contextlib
import ctypes
import os
import select
import signal
import socket
import threading
import time
import weakref

# EX_TEMPFAIL in `sysexits.h`: "try again later".
EXIT_CODE = 75
# Seconds within which a second signal counts as the same one, sent twice: by a
# scheduler, and by the launcher that got it from there.
SAME = 1.0
# Seconds without a sign of life, beyond the longest such time so far, after
# which a training that was told to stop is considered stuck.
PATIENCE = 20.0
# The same after the last step of an epoch, when other callbacks may evaluate
# for long.
LONG_PATIENCE = 60.0
# Keras modules whose frames are on the stack while waiting for a batch.
READERS = ("keras.src.trainers.data_adapters", "keras.src.trainers.epoch_iter")
MAX_SIGACTION_BYTES = 1024
# The system ends or stops a process by these, without asking it.
UNHEARD = {"SIGKILL", "SIGSTOP"}

_listening: weakref.WeakSet["StopSignals"] = weakref.WeakSet()


class StopSignals:
    """Listens for the signals at which a training should stop.

    The first signal is stored in `received`, so that the training stops when it
    can, or at once if the main thread is waiting for a batch. A second signal
    ends it at once, except while it saves. If the main thread is stuck outside
    of Python, a separate thread ends the process.

    Args:
        names: Names of signals.
        stop_between_steps: Function without arguments, called while waiting for
            a batch. It may raise what `ending` returns.
    """

    def __init__(self, names, stop_between_steps):
        known = signal.Signals.__members__
        # Windows does not have the last two.
        allowed = {*known, "SIGUSR1", "SIGUSR2"} - UNHEARD
        if not hasattr(names, "__iter__") or not allowed.issuperset(names):
            raise ValueError(
                "`signals` must be names of signals such as 'SIGTERM', which a "
                f"process can hear. Received: signals={names!r}"
            )
        numbers = [known[name] for name in names if name in known]
        # Each once, or its handler would be taken for the former one.
        self.numbers = list(dict.fromkeys(numbers))
        self.stop_between_steps = stop_between_steps
        self.received = 0
        self._is_saving = False
        self._former = {}
        self._longest = 0.0
        self._last = None
        self._is_epoch_end = False

    @contextlib.contextmanager
    def saving(self):
        """A context in which no signal ends the process."""
        self._is_saving = True
        try:
            yield
        finally:
            self._is_saving = False

    def listen(self):
        """Installs the handlers, which only the main thread may do."""
        self.received = 0
        self._longest = 0.0
        self._last = None
        is_main = threading.current_thread() is threading.main_thread()
        if self._former or not is_main:
            return
        for number in self.numbers:
            handler = signal.getsignal(number)
            if number == signal.SIGINT and handler == signal.SIG_IGN:
                # The process is a background job of a shell.
                continue
            self._former[number] = (handler, _exchange(number))
            signal.signal(number, self._hear)
        # Otherwise there is nothing to watch, and nothing to release.
        if self._former:
            self._start_watch()
            _listening.add(self)

    def release(self):
        """Restores the former handlers of the signals."""
        if not self._former:
            return
        _listening.discard(self)
        signal.set_wakeup_fd(self._former_wakeup)
        self._wakeup.close()
        for number, (handler, action) in self._former.items():
            # `None` is a handler not set by Python, such as that of
            # `faulthandler`.
            signal.signal(number, handler or signal.SIG_DFL)
            _exchange(number, action)
        self._former = {}

    def beat(self, is_epoch_end=False):
        """Signals that the training is alive.

        Args:
            is_epoch_end: Boolean. Whether all steps of the epoch are done.
                Defaults to `False`.
        """
        self._is_epoch_end = is_epoch_end
        now = time.monotonic()
        if self._last is not None:
            self._longest = max(self._longest, now - self._last)
        self._last = now

    def ending(self):
        """Announces the end, and returns the exception to end with."""
        name = signal.Signals(self.received).name
        _say(f"Stopped by {name}. Start again to resume.")
        if self.received == signal.SIGINT:
            return KeyboardInterrupt()
        return SystemExit(EXIT_CODE)

    def _hear(self, number, frame):
        now = time.monotonic()
        if self.received:
            if now - self._since > SAME and not self._is_saving:
                self.received = number
                raise self.ending()
            return
        self.received, self._since = number, now
        if self._is_saving:
            return
        if _awaits_batch(frame):
            self.stop_between_steps()
        if number == signal.SIGINT:
            _say("Stopping after this step. Press again to stop at once.")

    def _start_watch(self):
        """Starts to watch the main thread, which may be stuck.

        Python calls handlers only in the main thread, once that is back in
        Python. But it writes the number of each signal to a socket at once.
        """
        reader, self._wakeup = socket.socketpair()
        self._wakeup.setblocking(False)
        self._former_wakeup = signal.set_wakeup_fd(
            self._wakeup.fileno(), warn_on_full_buffer=False
        )
        threading.Thread(
            target=self._watch,
            args=(reader, self._former_wakeup),
            daemon=True,
        ).start()

    def _watch(self, reader, former_wakeup):
        # After a mere interruption the user decides.
        ending = set(self.numbers) - {signal.SIGINT}
        heard = second = None
        with reader:
            while True:
                timeout = None if heard is None else 0.5
                is_ready, _, _ = select.select([reader], [], [], timeout)
                now = time.monotonic()
                numbers = reader.recv(4096) if is_ready else None
                if numbers == b"":
                    return
                if numbers and former_wakeup >= 0:
                    with contextlib.suppress(OSError):
                        os.write(former_wakeup, numbers)
                if numbers and ending.intersection(numbers):
                    heard = heard or now
                    if now - heard > SAME:
                        second = second or now
                if heard is None or self._is_saving:
                    continue
                quiet = now - max(heard, self._last or 0.0)
                # The handler in the main thread has precedence.
                is_late = second is not None and now - second > 2 * SAME
                patience = LONG_PATIENCE if self._is_epoch_end else PATIENCE
                if is_late or quiet > patience + self._longest:
                    _exit()


def _release_in_child():
    # Processes that read images must end when told to, without notifying the
    # training.
    for signals in list(_listening):
        signals.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release_in_child)


def _awaits_batch(frame):
    """Returns whether `fit` itself is waiting for a batch, by its stack."""
    awaits = False
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("keras.src.callbacks"):
            return False
        if frame.f_code.co_name in ("evaluate", "predict"):
            return False
        awaits = awaits or module.startswith(READERS)
        frame = frame.f_back
    return awaits


def _exchange(number, action=None):
    """Returns the system's record of a handler, and sets another.

    Python has no function for this, and only knows its own handlers.
    """
    if os.name == "nt":
        return None
    former = ctypes.create_string_buffer(MAX_SIGACTION_BYTES)
    ctypes.CDLL(None).sigaction(int(number), action, former)
    return former


def _say(text):
    # The handler may have interrupted another `print`, and Keras's progress bar
    # leaves its line open.
    with contextlib.suppress(RuntimeError):
        print(f"\n{text}", flush=True)


def _exit():
    # The main thread may hold the lock of `sys.stdout`.
    with contextlib.suppress(OSError):
        os.write(
            1,
            b"No step ends after the signal to stop: the process ends without "
            b"another checkpoint. Start again to go on from the last.\n",
        )
    os._exit(EXIT_CODE)
