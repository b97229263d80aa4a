"""Signals end a training in order, and any wait at all."""

import faulthandler
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import keras
import pytest
from distribution.worker_environment import worker_environment
from helpers import make_images
from helpers import make_model

from keras_capi.callbacks import Checkpoint
from keras_capi.callbacks import stop_signals
from keras_capi.data import RandomCrops

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


@pytest.fixture(autouse=True)
def _default_interrupt():
    """Whatever started the tests may have had it ignored."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


def kill(number):
    os.kill(os.getpid(), number)


def fit(folder, at_step=None, **options):
    crops = RandomCrops(list(make_images(3, 20, 24)), 16, 4, 4, seed=0)
    callbacks = []
    if at_step is not None:
        callbacks = [keras.callbacks.LambdaCallback(on_train_batch_end=at_step)]
    callbacks.append(Checkpoint(folder, crops, **options))
    # TensorFlow traces each model anew, which takes longer than to train it.
    eagerly = {"run_eagerly": keras.backend.backend() == "tensorflow"}
    model = make_model(compile_arguments=eagerly)
    model.fit(crops, callbacks=callbacks, verbose=0)


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_interruption_by_the_keyboard_saves(tmp_path, capsys):
    def interrupt(batch, logs):
        if batch == 1:
            kill(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, interrupt)
    assert names(tmp_path) == ["checkpoint-000000-00000002"]
    output = capsys.readouterr().out
    # On lines of their own, below the progress bar.
    assert "\nStopping after this step" in output
    assert "\n\nStopped by SIGINT. Start again" in output
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_at_once(tmp_path, monkeypatch, number):
    monkeypatch.setattr(stop_signals, "SAME", 0.05)

    def interrupt(batch, logs):
        kill(signal.SIGUSR1)
        time.sleep(0.1)
        kill(number)
        pytest.fail("went on")

    with pytest.raises((KeyboardInterrupt, SystemExit)) as stopped:
        fit(tmp_path, interrupt)
    assert (stopped.type is SystemExit) == (number == signal.SIGTERM)
    assert names(tmp_path) == []


def test_a_signal_that_comes_twice_is_one(tmp_path):
    """A launcher passes on what its processes were sent, too."""

    def interrupt(batch, logs):
        kill(signal.SIGTERM)
        kill(signal.SIGTERM)

    with pytest.raises(SystemExit):
        fit(tmp_path, interrupt)
    assert names(tmp_path) == ["checkpoint-000000-00000001"]


def test_signals_that_are_not_to_be_heard(tmp_path):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    heard = []

    def interrupt(batch, logs):
        kill(signal.SIGINT)
        heard.append(signal.getsignal(signal.SIGUSR1))

    fit(tmp_path, interrupt, signals=("SIGTERM", "SIGINT"))
    assert heard[0] == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_handlers_are_given_back(tmp_path):
    """Also those that Python does not know, such as of `faulthandler`."""

    def own(number, frame):
        raise NotImplementedError

    former = signal.signal(signal.SIGTERM, own)
    with open(tmp_path / "traceback.txt", "w") as file:
        faulthandler.register(signal.SIGUSR1, file, all_threads=False)
        try:
            fit(tmp_path / "run")
            assert signal.getsignal(signal.SIGTERM) == own
            kill(signal.SIGUSR1)
        finally:
            faulthandler.unregister(signal.SIGUSR1)
            signal.signal(signal.SIGTERM, former)
    assert "most recent call" in (tmp_path / "traceback.txt").read_text()
    assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.parametrize("names", [(), ("SIGINT",), ("SIGTERM", "SIGTERM")])
def test_nothing_is_left_behind(names):
    """Whether there are no signals, none to be heard, or one named twice."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    number = signal.SIGTERM
    former, threads = signal.getsignal(number), set(threading.enumerate())
    signals = stop_signals.StopSignals(names, None)
    signals.listen()
    signals.listen()
    started = set(threading.enumerate()) - threads
    assert len(started) == (number in signals.numbers)
    signals.release()
    for thread in started:
        thread.join(timeout=10)
    assert set(threading.enumerate()) <= threads
    assert signal.getsignal(number) == former
    assert signal.set_wakeup_fd(-1) == -1


def run_stuck(program, *arguments):
    """Starts a process, waits until it is stuck, and sends it SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env=worker_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        while process.stdout.readline() not in ("stuck\n", ""):
            pass
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    return process.returncode, output


def test_ends_a_process_that_is_stuck_where_no_python_runs():
    program = """
import ctypes, runpy, sys
module = runpy.run_path(sys.argv[1])
listen = module["StopSignals"].listen
listen.__globals__["PATIENCE"] = 1.0
module["StopSignals"](["SIGTERM"], None).listen()
mutex = ctypes.create_string_buffer(256)
lock = ctypes.CDLL(None).pthread_mutex_lock
lock(mutex)
print("stuck", flush=True)
lock(mutex)
"""
    code, output = run_stuck(program, stop_signals.__file__)
    assert code == 75
    assert "No step ends after the signal" in output


def test_processes_that_were_forked_end_as_they_are_told():
    """Such as those of a data set, which a pool ends in this way."""
    program = """
import os, runpy, signal, sys, time
signals = runpy.run_path(sys.argv[1])["StopSignals"](["SIGTERM"], None)
signals.listen()
child = os.fork()
if not child:
    time.sleep(60)
    os._exit(0)
time.sleep(0.2)
os.kill(child, signal.SIGTERM)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), signals.received)
signals.release()
"""
    result = subprocess.run(
        [sys.executable, "-c", program, stop_signals.__file__],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert result.stdout == f"{-signal.SIGTERM} 0\n"


def test_ends_the_wait_for_a_batch(tmp_path):
    """And saves first, where Keras awaits batches in Python."""
    program = """
import sys
from callbacks.blocked_worker import main
main(sys.argv[1])
"""
    code, output = run_stuck(program, str(tmp_path))
    assert code == 75, output
    if keras.backend.backend() != "tensorflow":
        assert "checkpoint-000000-00000002" in names(tmp_path)


def test_its_modules_of_keras_exist():
    """By whose frames it knows that the main thread awaits a batch."""
    package = pathlib.Path(keras.__file__).parent
    for module in stop_signals.READERS:
        start = package.joinpath(*module.split(".")[1:])
        assert any(start.parent.glob(f"{start.name}*"))
