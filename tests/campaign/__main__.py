"""The campaign: real faults on a real ensemble, on hosts that are network namespaces, and a judge of what came of it.

    tests/setup && .venv/bin/python tests/campaign [--scenario NAME]... [--short] [--list]
    .venv/bin/python tests/campaign --seed N [--minutes M]
    tests/setup --peers && .venv/bin/python tests/campaign --tool NAME|all --directory DIRECTORY
    .venv/bin/python tests/campaign --table DIRECTORY...

Needs root, iproute2 and iptables, but not for the table, which is made from what was kept. Prints a line a scenario;
what zkleader broke is told with its history. Ends with 0 when that is nothing, 1 when it is something, 77 when it
cannot be played here.
"""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

# The tests directory is no package: its modules are found by its path, and this directory as a package below it.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from campaign import hosts, random_run, runner, table
from campaign.plan import make_plan
from campaign.scenarios import SCENARIOS, SHORT
from campaign.stage import CANDIDATES, Stage
from campaign.tools import TOOLS, ZKLEADER

CANNOT = 77


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="campaign", description="faults, and whether two leaders' commands ever meet")
    parser.add_argument("--scenario", action="append", default=[], help="only it, or those that begin so; repeatable")
    parser.add_argument("--short", action="store_true", help="only the short form")
    parser.add_argument(
        "--tool", action="append", default=[], choices=[*TOOLS, "all"], help="default: zkleader; repeatable"
    )
    parser.add_argument("--table", type=Path, nargs="+", help="play nothing; a table of what was kept in directories")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    parser.add_argument("--seed", type=int, action="append", default=[], help="a random run; may be repeated")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long a random run is (default: 5)")
    parser.add_argument("--directory", type=Path, help="where histories and logs are kept (default: a new one)")
    return parser.parse_args()


def main() -> int:
    arguments = parse()
    names = {scenario.name for scenario in SCENARIOS}

    def is_wanted(name: str, wanted: str) -> bool:
        return name == wanted if wanted in names else name.startswith(wanted)

    chosen = [
        scenario
        for scenario in SCENARIOS
        if (scenario.name in SHORT or not arguments.short)
        and (not arguments.scenario or any(is_wanted(scenario.name, wanted) for wanted in arguments.scenario))
    ]
    if arguments.list:
        print("\n".join(scenario.name for scenario in chosen))
        return 0
    if arguments.table:
        print(table.markdown(table.kept(arguments.table), list(TOOLS)))
        return 0
    if reason := hosts.why_not():
        print(f"campaign: cannot play: {reason}", file=sys.stderr)
        return CANNOT
    # However we are told to end, all is undone; in the background we were started with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    directory = arguments.directory or Path(tempfile.mkdtemp(prefix="zkleader-campaign-"))
    print(f"histories and logs: {directory}", flush=True)
    began = time.monotonic()
    if arguments.seed:
        return play_seeds(arguments.seed, arguments.minutes, directory)
    tools = [tool for name, tool in TOOLS.items() if {name, "all"} & set(arguments.tool or [ZKLEADER.name])]
    outcomes = []
    for kind in dict.fromkeys(tool.kind for tool in tools):
        with Stage(kind) as stage:
            for tool in tools:
                if tool.kind == kind:
                    outcomes += runner.play_all(stage, chosen, tool, directory)
    ours = [outcome for outcome in outcomes if outcome.tool == ZKLEADER.name]
    broken = [outcome for outcome in ours if outcome.broken]
    worst = max((outcome.verdict.overlap for outcome in ours), default=0.0)
    took = time.monotonic() - began
    print(f"zkleader: {len(ours)} scenarios, {len(broken)} broken, worst overlap {worst:.0f} ms, {took:.0f} s")
    return 1 if broken else 0


def play_seeds(seeds: list[int], minutes: float, directory: Path) -> int:
    broken = 0
    with Stage() as stage:
        for seed in seeds:
            plan = make_plan(seed, minutes * 60, CANDIDATES)
            outcome = random_run.run(stage, ZKLEADER, seed, plan, directory)
            print(random_run.row(outcome), flush=True)
            if outcome.broken:
                broken += 1
                print(random_run.complaint(outcome), flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
