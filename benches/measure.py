#!/usr/bin/env python3
"""Measures whole processes and sets their cost beside the truth.

    measure.py run LOG INPUT PROGRAM ROUND -- COMMAND...   one run, appended to LOG
    measure.py table LOG DIR                               medians, as markdown
    measure.py check TRUTH SESSIONS REPORT LABEL           output against the truth
    measure.py plot LOG DIR OUT.svg                        growth: cost by the size of the input

CPU is user plus system of the process and the children it waited for, peak
memory its largest resident set, both as wait4(2) accounts them. A process
started from this script is charged with the script's own resident set before
its exec, so that a peak below that floor (some 10 MiB) cannot be told and is
shown as `< floor`. Only the standard library is needed, Python 3.8 or newer.
"""

import json
import os
import resource
import sys
import time

BARE = "bare loop"
# ru_maxrss counts KiB on Linux and bytes on macOS.
RSS_UNIT = 1 if sys.platform == "darwin" else 1024
MIB = 1 << 20
# How far a count of distinct destinations that is a sketch may be off.
SERVERS_TOLERANCE = 0.02


def run(log, name, program, turn, command):
    """Runs a command with its output thrown away; appends what it cost."""
    floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT
    errors = log + ".stderr"
    start = time.monotonic()
    child = os.posix_spawnp(command[0], command, os.environ, file_actions=[
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
    ])
    _, status, usage = os.wait4(child, 0)
    wall = time.monotonic() - start
    # As shells count: the number of a fatal signal on top of 128.
    code = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    if code:
        with open(errors, encoding="utf-8", errors="replace") as said:
            last = said.read().splitlines()[-3:]
        print(f"{program} on {name}: exit {code}", *last, sep="\n  ", file=sys.stderr)
    line = {
        "input": name,
        "program": program,
        "round": int(turn),
        "cpu": usage.ru_utime + usage.ru_stime,
        "wall": wall,
        "peak": usage.ru_maxrss * RSS_UNIT,
        "floor": floor,
        "exit": code,
    }
    with open(log, "a", encoding="utf-8") as out:
        out.write(json.dumps(line) + "\n")
    return 0


def truth_path(directory, name):
    """Where compare.sh keeps the truth about an input such as A or B@1/100."""
    return os.path.join(directory, name.replace("/", "-") + ".pcap.truth.json")


def table(log, directory):
    """Prints the medians, a row a program and input, in order of first run."""
    import statistics  # here, so that it does not raise the floor of `run`

    with open(log, encoding="utf-8") as lines:
        runs = [json.loads(line) for line in lines]
    bare = {(r["input"], r["round"]): r["cpu"] for r in runs if r["program"] == BARE}
    rows = {}
    for one in runs:
        rows.setdefault((one["input"], one["program"]), []).append(one)

    print("| input | program | CPU s | x bare loop | wall s | peak MiB | CPU ns a frame | runs | exit |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|")
    for (name, program), some in rows.items():
        with open(truth_path(directory, name), encoding="utf-8") as file:
            frames = json.load(file)["frames"]
        cpu = statistics.median(r["cpu"] for r in some)
        wall = statistics.median(r["wall"] for r in some)
        peak = statistics.median(r["peak"] for r in some)
        floor = max(r["floor"] for r in some)
        ratios = [r["cpu"] / bare[name, r["round"]] for r in some if bare.get((name, r["round"]))]
        ratio = f"{statistics.median(ratios):.2f}" if ratios else "-"
        # The child may have grown the floor by a page or two before its exec.
        memory = f"{peak / MIB:.0f}" if peak > floor * 1.1 else f"< {floor * 1.1 / MIB:.0f}"
        exits = ",".join(str(code) for code in sorted({r["exit"] for r in some}))
        print(
            f"| {name} | {program} | {cpu:.3f} | {ratio} | {wall:.3f} | {memory} "
            f"| {cpu / frames * 1e9:.0f} | {len(some)} | {exits} |"
        )
    return 0


def plot(log, directory, out):
    """Draws CPU time a frame and peak memory over the size of the input, a line an input: flat is what is wanted."""
    import statistics

    with open(log, encoding="utf-8") as lines:
        runs = [json.loads(line) for line in lines]
    sizes = {}
    for one in runs:
        if one["program"] == BARE:
            continue
        letter, _, scale = one["input"].partition("@")
        sizes.setdefault(letter, {}).setdefault(int(scale or 1), []).append(one)

    def frames(name):
        with open(truth_path(directory, name), encoding="utf-8") as file:
            return json.load(file)["frames"]

    def cost(one):
        return one["cpu"] / frames(one["input"]) * 1e9

    panels = [("CPU nanoseconds a frame", cost), ("peak memory, MiB", lambda one: one["peak"] / MIB)]
    colors = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"]  # told apart by the colour-blind
    width, height, left, top, right, bottom = 360, 260, 60, 40, 20, 45
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width * len(panels)} {height}" '
             'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>']
    for at, (title, value) in enumerate(panels):
        series = {letter: [(scale, statistics.median(map(value, some))) for scale, some in sorted(by.items())]
                  for letter, by in sizes.items()}
        scales = sorted({scale for points in series.values() for scale, _ in points})
        most = max(y for points in series.values() for _, y in points) * 1.15
        x0, x1, y0, y1 = at * width + left, (at + 1) * width - right, height - bottom, top
        place = {scale: x0 + (x1 - x0) * i / max(len(scales) - 1, 1) for i, scale in enumerate(scales)}
        parts.append(f'<text x="{x0}" y="{top - 18}" font-weight="bold">{title}</text>'
                     f'<path d="M{x0} {y1}V{y0}H{x1}" fill="none" stroke="#333"/>'
                     f'<text x="{(x0 + x1) / 2}" y="{height - 10}" text-anchor="middle">size of the input</text>')
        for tick in range(5):
            y = y0 - (y0 - y1) * tick / 4
            parts.append(f'<text x="{x0 - 6}" y="{y + 4:.0f}" text-anchor="end">{most * tick / 4:,.0f}</text>'
                         f'<path d="M{x0} {y:.0f}H{x1}" stroke="#ddd"/>')
        for scale in scales:
            parts.append(f'<text x="{place[scale]:.0f}" y="{y0 + 16}" text-anchor="middle">{scale}x</text>')
        for color, (letter, points) in zip(colors, series.items()):
            line = [(place[scale], y0 - (y0 - y1) * y / most) for scale, y in points]
            parts.append(f'<polyline points="{" ".join(f"{x:.0f},{y:.0f}" for x, y in line)}" fill="none" '
                         f'stroke="{color}" stroke-width="2"/>')
            for (x, y), (_, number) in zip(line, points):
                parts.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" fill="{color}"/>'
                             f'<text x="{x:.0f}" y="{y - 7:.0f}" text-anchor="middle" fill="{color}">{number:,.0f}</text>')
            parts.append(f'<text x="{x1}" y="{line[-1][1] + 16:.0f}" text-anchor="end" fill="{color}">{letter}</text>')
    with open(out, "w", encoding="utf-8") as file:
        file.write("\n".join(parts) + "\n</svg>\n")
    return 0


def read_sessions(path):
    """Sums the session lines: counts named as in the truth."""
    found = dict.fromkeys(
        ("lines", "attempts", "transactions", "recipients", "recipients_accepted",
         "recipients_rejected", "null_senders", "messages_accepted"), 0)
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            session = json.loads(line)
            if "query" in session:  # a question to a DNS server
                continue
            found["lines"] += 1
            # One line may stand for many unanswered attempts.
            found["attempts"] += session.get("attempts") or 1
            for transaction in session.get("transactions") or ():
                found["transactions"] += 1
                found["null_senders"] += bool(transaction.get("null_sender"))
                found["messages_accepted"] += transaction.get("outcome") == "accepted"
                for recipient in transaction.get("rcptto") or ():
                    found["recipients"] += 1
                    code = (recipient.get("reply") or {}).get("code") or 0
                    found["recipients_accepted"] += 200 <= code < 300
                    found["recipients_rejected"] += 500 <= code < 600
    return found


def check(truth, sessions, report, label):
    """Prints expected and found, a row a count; status 1 where they differ."""
    with open(truth, encoding="utf-8") as file:
        expected = json.load(file)
    try:
        with open(report, encoding="utf-8") as file:
            report = json.load(file)
        found = read_sessions(sessions)
    except (OSError, ValueError) as error:
        print(f"{label}: no usable output: {error}\n")
        return 1

    frames = report["capture"]["frames"]
    hosts = report.get("hosts") or [{}]
    rows = [
        ("frames", expected["frames"], frames["total"], 0),
        ("SMTP frames", expected["smtp_frames"], frames["smtp"], 0),
        ("connections", expected["sessions"] + expected["unanswered"], found["attempts"], 0),
    ]
    names = ("transactions", "messages_accepted", "recipients", "recipients_accepted",
             "recipients_rejected", "null_senders")
    rows += [(name.replace("_", " "), expected[name], found[name], 0) for name in names]
    if expected["unanswered"]:
        servers = hosts[0].get("counts", {}).get("servers", 0)
        rows.append(("servers of the first host", expected["distinct_destinations"], servers, SERVERS_TOLERANCE))
    else:
        rows.insert(2, ("session lines", expected["sessions"], found["lines"], 0))

    bad = 0
    print(f"| {label} | expected | found | |")
    print("|---|--:|--:|---|")
    for name, want, have, tolerance in rows:
        good = abs(have - want) <= tolerance * want
        bad |= not good
        print(f"| {name} | {want} | {have} | {'ok' if good else 'WRONG'} |")
    print()
    return int(bad)


def main(args):
    if len(args) > 6 and args[0] == "run" and args[5] == "--":
        return run(*args[1:5], args[6:])
    if len(args) == 3 and args[0] == "table":
        return table(*args[1:])
    if len(args) == 4 and args[0] == "plot":
        return plot(*args[1:])
    if len(args) == 5 and args[0] == "check":
        return check(*args[1:])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
