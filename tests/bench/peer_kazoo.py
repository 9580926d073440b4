"""What many write instead: a command under kazoo's Election in twenty lines. The peer that the benchmark measures.

python peer_kazoo.py HOSTS PATH COMMAND [ARG]...
"""

import subprocess
import sys

from kazoo.client import KazooClient

hosts, path, *command = sys.argv[1:]
client = KazooClient(hosts=hosts, timeout=20)
client.start()
status = []


def lead() -> None:
    status.append(subprocess.Popen(command).wait())


client.Election(path).run(lead)
client.stop()
sys.exit(status[0])
