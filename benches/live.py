#!/usr/bin/env python3
"""Sets `watch` beside tcpdump on the same end of a veth pair: who loses what, at which rate.

    benches/live.py [--program FILE] [--scale N/D] [--loop N] [--rates PPS,...] [INPUT...]

For each INPUT of `bench-inputs` (A, all SMTP, and B, a mirror port, if none is named) and each rate (frames a second, `max` for as
fast as tcpreplay can; by default max, then less and less), the input is sent `--loop` times by tcpreplay from one network
namespace to another, where first `tcpdump -w /dev/null` listens and then `watch --headless`, both with the kernel filter of
`watch`. Prints a row a rate: frames sent, at what rate beside each, and what each lost. The highest rate at which tcpdump loses
nothing is the one at which `watch` must lose nothing either.

As root, with tcpreplay, tcpdump, iproute2; builds the release binary unless a program is named.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEAR, FAR = "smtphound-near", "smtphound-far"
# What `watch` asks of the kernel for mail, without names of machines; A and B hold nothing else that it would take.
MAIL = "(tcp port 25 or udp dst port 53) or (vlan and (tcp port 25 or udp dst port 53))"
SETTLES = 3


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, **more)


def inside(space, *command, **more):
    return subprocess.Popen(["ip", "netns", "exec", space, *command], text=True, **more)


def network():
    for space in (NEAR, FAR):
        run("ip", "netns", "add", space)
    run("ip", "link", "add", "near", "netns", NEAR, "type", "veth", "peer", "name", "far", "netns", FAR)
    for space, end in ((NEAR, "near"), (FAR, "far")):
        run("ip", "netns", "exec", space, "sysctl", "-qw", f"net.ipv6.conf.{end}.disable_ipv6=1")
        run("ip", "-n", space, "link", "set", end, "up")


def gone():
    for space in (NEAR, FAR):
        subprocess.run(["ip", "netns", "del", space], capture_output=True)


def send(file, rate, loop):
    """Sends; how many frames, and how many a second it came to."""
    speed = ["--topspeed"] if rate == "max" else [f"--pps={rate}"]
    said = inside(NEAR, "tcpreplay", "--intf1=near", "--preload-pcap", f"--loop={loop}", *speed, str(file),
                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT).communicate()[0]
    found = re.search(r"Actual: (\d+) packets .* sent in ([\d.]+) seconds", said)
    if not found:
        sys.exit(f"tcpreplay: {said}")
    return int(found[1]), int(found[1]) / float(found[2])


def tcpdump(file, rate, loop):
    """What tcpdump lost."""
    reader = inside(FAR, "tcpdump", "-n", "-i", "far", "-w", "/dev/null", MAIL, stderr=subprocess.PIPE)
    time.sleep(SETTLES)
    sent, speed = send(file, rate, loop)
    time.sleep(SETTLES)
    reader.send_signal(signal.SIGINT)
    said = reader.communicate()[1]
    return sent, speed, int(re.search(r"(\d+) packets dropped by kernel", said)[1])


def watch(program, file, rate, loop, out):
    """What `watch` lost, by place, and what it saw."""
    report = out / "report.json"
    reader = inside(FAR, program, "watch", "-i", "far", "--headless", "--no-names", "--report", str(report),
                    "--sessions", "/dev/null", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    time.sleep(SETTLES)
    sent, speed = send(file, rate, loop)
    # What waits in the queue is judged before it ends.
    time.sleep(SETTLES)
    reader.send_signal(signal.SIGTERM)
    said = reader.communicate()[1]
    capture = json.loads(report.read_text())["capture"] if report.exists() else sys.exit(f"watch: {said}")
    return sent, speed, {place: lost for place, lost in capture["drops"].items() if lost}, capture["frames"]["total"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="*", default=["A", "B"])
    parser.add_argument("--program")
    parser.add_argument("--scale", default="1/8")
    parser.add_argument("--loop", type=int, default=6)
    parser.add_argument("--rates", default="max,300000,200000,150000,100000,50000")
    args = parser.parse_args()
    if os.geteuid():
        sys.exit("network namespaces want root")
    subprocess.run(["cargo", "build", "--release", "--quiet", "--bin", "smtphound", "--example", "bench-inputs"],
                   check=True, cwd=ROOT)
    program = args.program or str(ROOT / "target/release/smtphound")
    print("| input | asked | sent | beside tcpdump | it lost | beside watch | it lost | it saw |")
    print("|---|--:|--:|--:|--:|--:|---|--:|")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        out = Path(directory)
        try:
            network()
            for name in args.inputs:
                file = out / f"{name}.pcap"
                run(str(ROOT / "target/release/examples/bench-inputs"), name, "--scale", args.scale, str(file))
                for rate in args.rates.split(","):
                    sent, beside_tcpdump, lost = tcpdump(file, rate, args.loop)
                    _, beside_watch, drops, saw = watch(program, file, rate, args.loop, out)
                    drops = ", ".join(f"{place} {count}" for place, count in drops.items()) or 0
                    print(f"| {name} | {rate} | {sent} | {beside_tcpdump:,.0f}/s | {lost} "
                          f"| {beside_watch:,.0f}/s | {drops} | {saw} |", flush=True)
        finally:
            gone()


if __name__ == "__main__":
    main()
