#!/usr/bin/env python3
"""Measures whole processes and sets their cost beside the truth.

    measure.py run LOG INPUT PROGRAM ROUND -- COMMAND...   one run, appended to LOG
    measure.py table LOG DIR                               medians, as markdown
    measure.py check TRUTH SESSIONS REPORT LABEL           output against the truth

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
    if len(args) == 5 and args[0] == "check":
        return check(*args[1:])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
