#!/usr/bin/env python3
"""Runs `smtphound watch` on the mirror port of a small office for an hour, a flood on top of its mail, and says whether it
stayed well: memory flat, no thread gone, nothing lost that is not counted, the worm of the second half found.

The office is the lab's: real Postfix, real clients. The flood are frames that `bench-inputs` makes and tcpreplay sends into
the switch, each once: short dialogues of infected machines (input D) and SYNs of another one (input C), by default two and
three thousand frames a second. No host of the lab answers them; the mirror port sees them.

Writes into OUT: `samples.ndjson` (a line each --every seconds), `verdict.json`, `report.json`, `incidents.ndjson`,
`stderr.txt`, `office.pcap` (the office's own frames, recorded beside by tcpdump). Session lines are rotated at every sample,
counted and removed. Exit status 0 if all checks hold, 1 if not, 77 if this machine cannot do it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

import live  # noqa: E402
import office as home  # noqa: E402
import world  # noqa: E402
from lab import Lab, LabError, Namespace, sh  # noqa: E402

GUILTY, QUIET = live.GUILTY, live.QUIET
# Frames of the flood: its part of the rate, and how many frames and things the input has at scale 1 (benches/inputs).
DIALOGUES = ("D", 0.4, 5_500_000)
SYNS = ("C", 0.6, 10_000_000)
FLOOD_NET = "10."
# What the kernel hands to `watch` of everything else on this network (docs/watch.md).
OFFICE_FRAMES = "(tcp port 25 or udp dst port 53) and not net 10.0.0.0/8"
# Unanswered attempts wait half a minute, and tcpdump hands up what it has once a second.
SETTLES = 40


class Stream:
    """One input of the flood on its way: `bench-inputs` writes into a pipe, tcpreplay sends what comes out."""

    def __init__(self, lab: Lab, space: Namespace, inputs: str, kind: tuple[str, float, int], rate: int, minutes: float, seed: int):
        name, part, frames = kind
        pps = round(rate * part)
        scale = pps * minutes * 60 / frames
        pipe = lab.dir / f"flood-{name}.pcap"
        os.mkfifo(pipe)
        self.truth_file, self.log = Path(f"{pipe}.truth.json"), lab.dir / f"tcpreplay-{name}.log"
        maker = subprocess.Popen([inputs, name, "--scale", f"1000/{round(1000 / scale)}", "--seed", str(seed), str(pipe)],
                                 stdin=subprocess.DEVNULL)
        lab.processes.append(maker)
        with pipe.open("rb") as frames_out:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", space.name, "tcpreplay", "--intf1=eth0", f"--pps={pps}", "-"],
                stdin=frames_out, stdout=self.log.open("wb"), stderr=subprocess.STDOUT)
        lab.processes.append(self.process)

    def sent(self) -> tuple[dict, int]:
        """What is true of the input, and how many of its frames were put on the wire."""
        if self.process.returncode != 0:
            raise LabError(f"tcpreplay: {self.log.read_text()}")
        said = dict(line.strip().split(":", 1) for line in self.log.read_text().splitlines() if ":" in line)
        return json.loads(self.truth_file.read_text()), int(said["Successful packets"])


class Lines:
    """Session lines, counted as they are rotated: those of the flood by what the generator calls its parts."""

    def __init__(self, path: Path):
        self.path, self.rotated, self.counts = path, path.with_suffix(".1"), Counter()
        # The program adds to a file that is there: lines of an earlier run are none of this one.
        for left in (self.path, self.rotated):
            left.unlink(missing_ok=True)

    def rotate(self, pid: int) -> None:
        """What was rotated the last time is whole by now: count it, then give the program a new file."""
        self.count(self.rotated)
        self.path.rename(self.rotated)
        os.kill(pid, signal.SIGHUP)
        await_that(lambda: self.path.exists(), 20, "no new session file after SIGHUP")

    def count(self, path: Path) -> None:
        if not path.exists():
            return
        with path.open() as lines:
            for line in lines:
                session = json.loads(line)
                self.counts["lines"] += 1
                if not session["id.orig_h"].startswith(FLOOD_NET):
                    self.counts["office sessions"] += 1
                elif session["banner"] is None:
                    self.counts["unanswered"] += session.get("attempts") or 1
                else:
                    self.counts["sessions"] += 1
                    mails = session["transactions"] or []
                    codes = [rcpt["reply"]["code"] for mail in mails for rcpt in mail["rcptto"] if rcpt["reply"]]
                    self.counts["transactions"] += len(mails)
                    self.counts["recipients_rejected"] += sum(code >= 500 for code in codes)
        path.unlink()


class Watch:
    """The program under test."""

    def __init__(self, lab: Lab, space: Namespace, program: str, out: Path):
        self.report, self.lines, self.errors = out / "report.json", Lines(out / "sessions.ndjson"), out / "stderr.txt"
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", space.name, program, "watch", "-i", "eth0", "--headless",
             "--sessions", str(self.lines.path), "--report", str(self.report)],
            stdin=subprocess.DEVNULL, stdout=(out / "incidents.ndjson").open("wb"), stderr=self.errors.open("wb"))
        lab.processes.append(self.process)
        self.pid = live.child_of(self.process.pid, "smtphound")

    def sample(self) -> dict:
        """Memory, threads, and what the report that is asked for now says."""
        before = self.report.stat().st_mtime_ns if self.report.exists() else 0
        os.kill(self.pid, signal.SIGUSR1)
        await_that(lambda: self.report.exists() and self.report.stat().st_mtime_ns > before, 30, "no report after SIGUSR1")
        self.lines.rotate(self.pid)
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines() if ":\t" in line)
        ticks = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return {"rss_kib": int(status["VmRSS"].split()[0]), "peak_kib": int(status["VmHWM"].split()[0]),
                "threads": {name: len(rights) for name, rights in sorted(live.rights(self.pid).items())},
                "cpu_s": sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"), **capture(self.report)}

    def end(self) -> int:
        os.kill(self.pid, signal.SIGTERM)
        status = self.process.wait(120)
        self.lines.count(self.lines.rotated)
        self.lines.count(self.lines.path)
        return status


def capture(report: Path) -> dict:
    seen = json.loads(report.read_text())["capture"]
    return {"frames": seen["frames"]["total"], "undecoded": seen["frames"]["undecoded"], "drops": seen["drops"],
            "limits_hit": seen["limits_hit"]}


def await_that(holds, seconds: float, otherwise: str) -> None:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise LabError(otherwise)
        time.sleep(0.05)


def lost_on_the_way(ends: list[tuple[Namespace, str]]) -> int:
    """Frames that the lab's own devices dropped between the generator and the mirror port."""
    lost = 0
    for space, device in ends:
        stats = json.loads(sh("ip", "-n", space.name, "-s", "-j", "link", "show", device).stdout)[0]["stats64"]
        lost += sum(stats[way][kind] for way in ("rx", "tx") for kind in ("dropped", "errors"))
    return lost


def office_frames(pcap: Path) -> int:
    frames = sh("capinfos", "-TmrQ", "-c", str(pcap)).stdout.strip().rpartition(",")[2].strip('"')
    return int(frames)


def start_worm(lab: Lab, office: home.Office, sites: list, seed: int) -> subprocess.Popen:
    targets = lab.dir / "targets.json"
    domains = {site.domain: 4 for site in sites} | {domain: 3 for domain in (*world.DEAD, *world.RESETS)}
    targets.write_text(json.dumps({"domains": domains, "valid": {site.domain: site.users for site in sites}, "valid_share": 0.3}))
    return office.pcs[GUILTY].start(str(HERE / "worm.py"), str(seed), str(live.SESSIONS), str(live.SECONDS), home.GATEWAY_INSIDE,
                                    str(targets), str(lab.dir / "outcomes.json"), log="worm.log")


def checks(samples: list[dict], streams: list[Stream], counts: Counter, office: int, lost: int, status: int, out: Path,
           flat: float) -> list[tuple[str, bool, str]]:
    """What must hold, whether it does, and the figures."""
    (dialogues, sent_d), (syns, sent_c) = (stream.sent() for stream in streams)
    last, report = capture(out / "report.json"), json.loads((out / "report.json").read_text())
    drops = sum(last["drops"].values())
    quarter = max(1, len(samples) // 4)
    early = statistics.median(sample["rss_kib"] for sample in samples[quarter:2 * quarter] or samples[:1])
    late = statistics.median(sample["rss_kib"] for sample in samples[-quarter:])
    growth = (late / early - 1) * 100
    threads = {json.dumps(sample["threads"]) for sample in samples}
    found = [
        ("memory is flat", growth <= flat, f"{early:.0f} KiB in the second quarter, {late:.0f} in the last: {growth:+.1f} %, "
                                           f"allowed {flat:.0f} %; peak {samples[-1]['peak_kib']} KiB"),
        ("no thread is gone", len(threads) == 1, " then ".join(sorted(threads))),
        ("the generator sent all", (sent_d, sent_c) == (dialogues["frames"], syns["frames"]),
         f"{sent_d} of {dialogues['frames']} and {sent_c} of {syns['frames']}"),
        ("frames", last["frames"] + drops + lost == sent_d + sent_c + office,
         f"{sent_d + sent_c} of the flood and {office} of the office; {last['frames']} counted, {drops} drops reported "
         f"{last['drops']}, {lost} lost by the lab's own devices"),
        ("the end", status == 0 and not (out / "stderr.txt").read_text(), f"status {status}, {(out / 'stderr.txt').read_text()!r}"),
    ]
    for name, wanted in (("sessions", dialogues["sessions"]), ("transactions", dialogues["transactions"]),
                         ("recipients_rejected", dialogues["recipients_rejected"]), ("unanswered", syns["unanswered"])):
        # A frame that was lost changes one session at most.
        near = abs(counts[name] - wanted) <= drops + lost
        found.append((f"the flood's {name.replace('_', ' ')}", near, f"{counts[name]} of {wanted}"))
    tiers = {(incident["host"], incident["class"]): incident["tier"] for incident in report["incidents"]}
    found.append(("the worm is confirmed", tiers.get((GUILTY, "mass_mailer")) == "confirmed", f"{tiers.get((GUILTY, 'mass_mailer'))}"))
    innocent = {*QUIET, home.PRINTER}
    accused = sorted(host for host, _ in tiers if host in innocent)
    found.append(("nobody innocent is accused", not accused, ", ".join(accused) or "nobody"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="smtphound, as built")
    parser.add_argument("out", type=Path, help="a directory for what comes out")
    parser.add_argument("--inputs", help="the flood's generator (default: examples/bench-inputs beside the program)")
    parser.add_argument("--minutes", type=float, default=60, help="how long the flood lasts (60)")
    parser.add_argument("--flood", type=int, default=5000, help="its frames a second (5000)")
    parser.add_argument("--every", type=float, default=30, help="seconds between two samples (30)")
    parser.add_argument("--flat", type=float, default=10, help="how much memory may grow from the second quarter to the last, %% (10)")
    parser.add_argument("--seed", type=int, default=25)
    args = parser.parse_args()
    inputs = args.inputs or str(Path(args.program).parent / "examples/bench-inputs")
    live.require_lab([*live.TOOLS, "tcpreplay", "capinfos", inputs, args.program])
    args.out.mkdir(parents=True, exist_ok=True)

    sites = [site for site in world.SITES if site.software == "postfix"]
    with Lab(tag="soak", seed=args.seed) as lab:
        office = home.build(lab, sites, [GUILTY, *QUIET], dead=world.DEAD, resets=world.RESETS, loss=0.0)
        home.mail_server(office)
        flood = lab.namespace("flood")
        lab.plug(flood, "eth0", office.switch)
        flood.ip("link", "set", "eth0", "arp", "off")
        watch = Watch(lab, office.tap, args.program, args.out)
        lab.wait(1.5)
        office.record_inside(args.out / "office.pcap", OFFICE_FRAMES)
        office.begin()
        seconds = args.minutes * 60
        home.everyday(office, out=3, scans=20, incoming=6, until=seconds)
        streams = [Stream(lab, flood, inputs, kind, args.flood, args.minutes, args.seed + number)
                   for number, kind in enumerate((DIALOGUES, SYNS))]
        samples, worm = [], None
        with (args.out / "samples.ndjson").open("w") as file:
            while any(stream.process.poll() is None for stream in streams):
                lab.wait(args.every)
                if worm is None and office.now() > seconds / 2:
                    worm = start_worm(lab, office, sites, args.seed)
                samples.append({"second": round(office.now(), 1), **watch.sample()})
                file.write(json.dumps(samples[-1]) + "\n")
                file.flush()
                lab.say(f"{samples[-1]['rss_kib']} KiB, {samples[-1]['frames']} frames, drops {samples[-1]['drops']}")
        if worm is not None:
            worm.wait(live.SECONDS + 120)
        lab.wait(SETTLES)
        lost = lost_on_the_way([(flood, "eth0"), (office.switch, "p-flood"), (office.switch, "p-tap"), (office.tap, "eth0")])
        status = watch.end()
        lab.wait(2)
        lab.stop_recording()
        found = checks(samples, streams, watch.lines.counts, office_frames(args.out / "office.pcap"), lost, status, args.out, args.flat)
    minutes = f"{args.minutes:g} minutes at {args.flood} frames a second, {samples[-1]['cpu_s']:.0f} s of processor time"
    print(f"\n{minutes}, {watch.lines.counts['office sessions']} sessions of the office")
    for name, holds, figures in found:
        print(f"{'ok   ' if holds else 'WRONG'} {name}: {figures}")
    (args.out / "verdict.json").write_text(json.dumps([{"check": name, "holds": holds, "figures": figures} for name, holds, figures in found], indent=1))
    sys.exit(0 if all(holds for _, holds, _ in found) else 1)


if __name__ == "__main__":
    try:
        main()
    except LabError as error:
        sys.exit(f"the lab: {error}")
