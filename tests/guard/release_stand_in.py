"""In place of the release program: write down what it was given, and who of the command still lived."""

import json
import os
import sys
import time

information = json.loads(os.pread(int(sys.argv[1]), 1 << 20, 0))
wanted = f"TESTS_PROGRAM={information['mark']}".encode()
alive = []
for name in os.listdir("/proc"):
    if name.isdigit():
        try:
            with open(f"/proc/{name}/environ", "rb") as environ:
                if wanted in environ.read().split(b"\0"):
                    alive.append(int(name))
        except OSError:
            continue
if information.get("hang"):
    time.sleep(60)
information["alive"] = alive
with open(information["file"] + ".new", "w") as file:
    json.dump(information, file)
os.rename(information["file"] + ".new", information["file"])
sys.exit(information.get("status", 0))
