"""A supervisor to be killed and frozen: spawns a guard, starts a command, prints what it hears, one message a line."""

import json
import os
import select
import signal
import sys
import time

from supervision import make_settings

from zkleader.core import wire
from zkleader.core.disconnect import OnDisconnect
from zkleader.core.lease import Timing
from zkleader.guard import system
from zkleader.guard.handle import GuardHandle, become_subreaper
from zkleader.guard.settings import Scope


def say(*words: object) -> None:
    print(*words, flush=True)


def main() -> None:
    spec = json.loads(sys.argv[1])
    become_subreaper()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    timing = Timing(**spec.get("timing", {"lease": 2.0, "grace": 0.3, "stop_timeout": 1.0}))
    settings = make_settings(
        *spec["command"],
        mark=spec["mark"],
        timing=timing,
        release=spec["release"],
        scope=Scope(spec.get("scope", "best")),
        on_disconnect=OnDisconnect(spec.get("on_disconnect", "continue")),
        **{name: spec[name].encode() for name in ("on_elected", "on_lost") if name in spec},
    )
    guard = GuardHandle.spawn(settings)
    poll = select.poll()
    poll.register(guard.fileno(), select.POLLIN)
    beat = 0
    sent_at = 0.0
    started = False
    while not guard.closed:
        poll.poll(timing.renewal_interval * 1000)
        for message in guard.receive():
            if not isinstance(message, wire.BeatAnswer):
                say(type(message).__name__, message.pid if hasattr(message, "pid") else "", message)
            if isinstance(message, wire.Ready):
                guard.send(wire.Candidacy(guid="guid"))
                if spec["start"]:
                    guard.send(wire.Start(lease_start=system.now(), environment={}))
                elif spec.get("start_on_signal"):
                    signal.sigwait([signal.SIGUSR1])
                    guard.send(wire.Start(lease_start=system.now(), environment={}))
                    say("asked")
                    signal.pause()
            if isinstance(message, wire.Started) and spec.get("suspends"):
                time.sleep(0.5)  # in which the command begins to act
                guard.send(wire.Suspended(suspended_at=system.now()))
            started = started or isinstance(message, wire.Started)
        if guard.closed:
            break
        if time.monotonic() - sent_at < timing.renewal_interval:
            continue
        sent_at = time.monotonic()
        if started and spec["renew"]:
            guard.send(wire.Extend(lease_start=system.now()))
        if spec["beats"] or not beat:  # the first turn of its loop is made in any case
            beat += 1
            guard.send(wire.Beat(number=beat))
    say("closed", os.getpid())
    signal.pause()


main()
