#!/usr/bin/env python3
"""Runs `smtphound watch` on the mirror port of a small office while a worm begins to mail, and says what it saw.

Usage: live.py PROGRAM OUT_DIRECTORY [SEED]        (root; what `install` installs)

Writes into the directory: `incidents.ndjson` (each line with `arrived`, the second in which it came), `sessions.ndjson`,
`report.json`, `early.json` (the report asked for by signal), `watched.pcap` (what `--write` kept), `capture.pcap` (the same
traffic, recorded beside by tcpdump), and `seen.json`. Exit status 77 means that this machine cannot do it; standard error says why.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

import office as home  # noqa: E402
import world  # noqa: E402
from lab import Lab, LabError  # noqa: E402

SKIPPED = 77
TOOLS = ("ip", "nft", "ethtool", "tcpdump", "postfix", "swaks", "sysctl")
GUILTY = "192.168.10.23"
QUIET = ["192.168.10.21", "192.168.10.25"]
SESSIONS, SECONDS = 70, 50
# The kernel gathers frames, the judgement looks three times a second, unanswered attempts wait half a minute.
AFTER = 4


def skip(reason: str) -> None:
    print(f"skipped: {reason}", file=sys.stderr)
    sys.exit(SKIPPED)


def rights(pid: int) -> dict[str, list[str]]:
    """The capabilities of each thread, by its name."""
    found: dict[str, list[str]] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
        value = f"{lines['CapEff']} {lines['CapPrm']} {lines['CapBnd']} {lines['NoNewPrivs']}"
        found.setdefault(lines["Name"], []).append(value)
    return found


def child_of(pid: int, name: str) -> int:
    """The process itself: `ip netns exec` becomes it, so it is the same one; asked for all the same."""
    for _ in range(100):
        if Path(f"/proc/{pid}/comm").read_text().strip() == name:
            return pid
        time.sleep(0.05)
    raise LabError(f"{name} does not start")


def require_lab(tools: Sequence[str]) -> None:
    """Ends the run with the reason where this machine cannot hold the lab."""
    if os.geteuid() != 0:
        skip("network namespaces need root")
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        skip(f"not installed: {', '.join(missing)} (tests/lab/install)")
    probe = subprocess.run(["ip", "netns", "add", "sh-probe-x"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        skip(f"no network namespaces here: {probe.stderr.strip()}")
    subprocess.run(["ip", "netns", "del", "sh-probe-x"], check=False)


def main() -> None:
    program, out = sys.argv[1], Path(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 25
    require_lab(TOOLS)

    sites = [site for site in world.SITES if site.software == "postfix"]
    with Lab(tag="live", seed=seed) as lab:
        office = home.build(lab, sites, [GUILTY, *QUIET], dead=world.DEAD, resets=world.RESETS, loss=0.0)
        home.mail_server(office)
        office.record_inside(out / "capture.pcap")
        began = time.time()
        watch = subprocess.Popen(
            ["ip", "netns", "exec", office.tap.name, program, "watch", "-i", "eth0", "--headless",
             "--sessions", str(out / "sessions.ndjson"), "--report", str(out / "report.json"), "--write", str(out / "watched.pcap")],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=open(out / "stderr.txt", "wb"))
        lab.processes.append(watch)
        lines: list[dict] = []

        def read() -> None:
            for raw in watch.stdout:
                lines.append(json.loads(raw) | {"arrived": time.time()})

        reader = threading.Thread(target=read)
        reader.start()
        pid = child_of(watch.pid, "smtphound")
        lab.wait(1.5)
        threads = rights(pid)
        office.begin()
        home.everyday(office, out=3, scans=20, incoming=6)
        lab.wait(10)
        targets = lab.dir / "targets.json"
        domains = {site.domain: 4 for site in sites} | {domain: 3 for domain in (*world.DEAD, *world.RESETS)}
        targets.write_text(json.dumps({"domains": domains, "valid": {site.domain: site.users for site in sites},
                                       "valid_share": 0.3}))
        worm = office.pcs[GUILTY].start(str(HERE / "worm.py"), str(seed), str(SESSIONS), str(SECONDS), home.GATEWAY_INSIDE,
                                        str(targets), str(lab.dir / "outcomes.json"), log="worm.log")
        lab.wait(SECONDS / 2)
        # Rotation and a report in the middle of it all.
        (out / "sessions.ndjson").rename(out / "sessions.ndjson.1")
        os.kill(pid, signal.SIGHUP)
        os.kill(pid, signal.SIGUSR1)
        lab.wait(2)
        shutil.copy(out / "report.json", out / "early.json")
        worm.wait(SECONDS + 60)
        lab.wait(AFTER)
        os.kill(pid, signal.SIGTERM)
        status = watch.wait(20)
        # tcpdump hands up what it has once a second.
        lab.wait(3)
        lab.stop_recording()
        reader.join(10)
        with (out / "incidents.ndjson").open("w") as file:
            for line in lines:
                file.write(json.dumps(line) + "\n")
        seen = {"status": status, "began": began, "threads": threads, "guilty": GUILTY, "server": home.SERVER,
                "quiet": [*QUIET, home.PRINTER], "outcomes": json.loads((lab.dir / "outcomes.json").read_text()),
                "stderr": (out / "stderr.txt").read_text()}
        (out / "seen.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    try:
        main()
    except LabError as error:
        sys.exit(f"the lab: {error}")
