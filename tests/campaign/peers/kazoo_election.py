"""kazoo's Election for a command, which is stopped when kazoo says so: at LOST, or at SUSPENDED too.

kazoo's documentation has `zk.Election(path, identifier).run(function)`, and recommends a listener for the states of the
connection: at LOST locks "can be considered lost", while SUSPENDED "a client should not assume that locks are valid".

python kazoo_election.py lost|suspended HOSTS TIMEOUT GRACE PATH ID COMMAND [ARG]...
"""

import signal
import subprocess
import sys
import threading

from kazoo.client import KazooClient, KazooState

policy, hosts, timeout, grace, path, name, *command = sys.argv[1:]
losses = (KazooState.LOST,) if policy == "lost" else (KazooState.LOST, KazooState.SUSPENDED)
client = KazooClient(hosts=hosts, timeout=float(timeout))
election = client.Election(path, name)
running: list[subprocess.Popen[bytes]] = []


def stop() -> None:
    for process in running:
        process.terminate()
        try:
            process.wait(float(grace))
        except subprocess.TimeoutExpired:
            process.kill()


def listen(state: str) -> None:
    if state in losses:
        threading.Thread(target=stop).start()  # a listener must not wait


def lead() -> None:
    running.append(subprocess.Popen(command))
    running[0].wait()


def end() -> None:
    election.cancel()
    stop()


# A handler interrupts the very thread that it would have to wait for.
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=end).start())
client.add_listener(listen)
client.start()
election.run(lead)
client.stop()
