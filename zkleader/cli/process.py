"""The process that we are: what it was started with, and how it ends.

It owns signal dispositions, standard streams and the exit.  It must not know leadership: a supervisor runs, and
``ending`` says what its outcome means.  It does not promise to survive SIGKILL; the guard is for that.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
from typing import TYPE_CHECKING, NoReturn

from zkleader.cli.ending import Ending, ending_of, refusal_of, tell
from zkleader.config import Config
from zkleader.custody import Inherited
from zkleader.exit_status import ExitStatus
from zkleader.guard.handle import become_subreaper, note_children
from zkleader.inbox import Inbox
from zkleader.log import Log
from zkleader.result import Course, Result, ResultFile
from zkleader.signals import TAKEN, TAKEN_AS_FIRST
from zkleader.supervisor import Supervisor
from zkleader.terminal import be_undisturbed, look

if TYPE_CHECKING:
    from zkleader.metrics_file import MetricsFile

_PYTHON_IGNORES = frozenset({signal.SIGPIPE, signal.SIGXFSZ})
"""Python ignores them before our first line, so what they were cannot be known: the command gets the default."""

_LOG_PATIENCE = 1.0
"""Seconds for which the last lines wait for a standard error that is slow."""

_METRICS_PATIENCE = 1.0
"""Seconds for which the last metrics wait for a disk that is slow."""


def supervise(config: Config, log: Log, result_file: ResultFile | None, metrics_file: MetricsFile | None) -> NoReturn:
    """Take this process over, campaign, write the result and metrics if they are wanted, and end it."""
    ending, result = _supervise(config, log, metrics_file)
    if result_file is not None:
        try:
            result_file.write(result)
        except OSError as error:  # the status is decided, and stays what it is
            log.event("warning", "result_not_written", path=result_file.path, reason=os.strerror(error.errno or 0))
    if metrics_file is not None:
        metrics_file.end(_METRICS_PATIENCE)
    _end(ending, log)


def _supervise(config: Config, log: Log, metrics_file: MetricsFile | None) -> tuple[Ending, Result]:
    supervisor: Supervisor | None = None
    try:
        inherited, inbox = _take_over()
        supervisor = Supervisor(config, log, inbox, inherited, metrics_file)
        # Off since our first lines.  What is there now is kept out of it for good: else the first look through all of
        # that would come while COMMAND waits.
        gc.freeze()
        gc.enable()
        outcome = supervisor.run()
    except Exception as error:  # noqa: BLE001 # no traceback reaches a user, and no command outlives its supervisor
        if supervisor is not None:  # else nothing was started; a guard that stands alone ends when we do
            supervisor.end_command()
        result = refusal_of(error).but(election=config.election)
        log.say(f"internal error: {result.reason}")
        course = Course() if supervisor is None else supervisor.course
        return Ending(status=ExitStatus.INTERNAL), result.but(course=course)
    tell(outcome, config, log, supervisor.trouble)
    ending = ending_of(outcome, config)
    result = Result(
        outcome=outcome.end.value,
        reason=outcome.reason,
        exit_status=ending.status,
        election=config.election,
        course=supervisor.course,
    )
    return ending, result


def _take_over() -> tuple[Inherited, Inbox]:
    """Take signals from now on; return what we were started with, and where they arrive."""
    _open_standard_streams()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    ignored = tuple(
        int(number) for number in signal.valid_signals() - _PYTHON_IGNORES if signal.getsignal(number) is signal.SIG_IGN
    )
    inbox = Inbox()
    wanted = TAKEN_AS_FIRST if os.getpid() == 1 else TAKEN
    taken = tuple(number for number in wanted if number not in ignored)  # what nohup ignores stays ignored
    inbox.take_signals(taken)
    be_undisturbed()
    terminal = look()
    become_subreaper()
    children = note_children()
    inherited = Inherited(
        ignored_signals=ignored, signal_mask=tuple(map(int, mask)), children=children, terminal=terminal
    )
    return inherited, inbox


def _open_standard_streams() -> None:
    """Fill standard streams that were closed: a socket of ours under number 2 would be given log lines."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number is this one, because those below it are open.  Closed on exec: the command finds
            # its streams as they were.
            os.open(os.devnull, os.O_RDWR)


def _end(ending: Ending, log: Log) -> NoReturn:
    """End this process, of the command's signal where it died of one."""
    log.close(_LOG_PATIENCE)
    if ending.signal is not None:
        _die_of(ending.signal)
    # Not sys.exit(): a thread of kazoo's that is stuck in a black hole must not hold the process.
    os._exit(ending.status)


def _die_of(number: int) -> None:
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core of ours would tell nothing of the command's
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        # As PID 1 we survive this, and exit with 128 + n instead.
        os.kill(os.getpid(), number)
