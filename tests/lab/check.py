#!/usr/bin/env python3
"""Looks at a finished capture with tshark: only planned addresses, time stamps in order, whole frames, small.

Usage: check.py CAPTURE...
"""

from __future__ import annotations

import ipaddress
import sys
from collections import Counter
from pathlib import Path

import guard
from lab import LabError, sh

LARGEST_FILE = 1_500_000
LARGEST_FRAME = 1514
# DHCP speaks before it has an address; groups are joined by IGMP, and spoken to by mDNS and LLMNR.
ALSO = {"0.0.0.0", "255.255.255.255", "224.0.0.22", "224.0.0.251", "224.0.0.252"}


def planned(address: str) -> bool:
    return address in ALSO or any(ipaddress.ip_address(address) in net for net in guard.OUTSIDE + guard.INSIDE)


def report(capture: Path) -> str:
    """One line about the capture; a LabError where it is not what it must be."""
    fields = ["frame.time_epoch", "frame.len", "frame.cap_len", "frame.protocols", "ip.src", "ip.dst", "smtp.response.code"]
    done = sh("tshark", "-r", str(capture), "-T", "fields", "-E", "occurrence=f", *[part for field in fields for part in ("-e", field)])
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    faults = []
    if capture.stat().st_size > LARGEST_FILE:
        faults.append(f"{capture.stat().st_size} bytes")
    times = [float(row[0]) for row in rows]
    if any(later < earlier for earlier, later in zip(times, times[1:])):
        faults.append("time stamps run backwards")
    if any(row[1] != row[2] for row in rows):
        faults.append("cut frames")
    giants = sum(int(row[1]) > LARGEST_FRAME for row in rows)
    if giants:
        faults.append(f"{giants} frames above {LARGEST_FRAME} bytes")
    strangers = {address for row in rows for address in row[4:6] if address and not planned(address.split(",")[0])}
    if strangers:
        faults.append(f"addresses outside the plan: {', '.join(sorted(strangers))}")
    if any("ipv6" in row[3] for row in rows):
        faults.append("IPv6")
    if faults:
        raise LabError(f"{capture.name}: {'; '.join(faults)}")
    codes = Counter(row[6] for row in rows if row[6])
    return (f"{capture.name}: {len(rows)} frames, {capture.stat().st_size} bytes, {times[-1] - times[0]:.0f} s, replies "
            + " ".join(f"{code}x{count}" for code, count in sorted(codes.items())))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(report(Path(name)))
