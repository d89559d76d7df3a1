"""The hard safety check of everything in this lab that misbehaves on purpose.

Two locks, each enough by itself: the process must be in a network namespace of the lab (`sh-...`), which has
no way out of the machine; and every address it talks to must be a private one of the lab or come from the
ranges that RFC 5737 sets aside for documentation.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

OUTSIDE = [ipaddress.ip_network(cidr) for cidr in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
INSIDE = [ipaddress.ip_network("192.168.10.0/24")]


def in_lab_namespace() -> bool:
    """True where the calling thread's network namespace is one of those named sh-... and not the machine's own."""

    def identity(path) -> tuple[int, int] | None:
        try:
            status = os.stat(path)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    mine = identity("/proc/thread-self/ns/net")
    # Where the first process cannot be looked at, the names alone decide: only the lab gives them.
    if mine is None or mine == identity("/proc/1/ns/net"):
        return False
    return any(identity(named) == mine for named in Path("/run/netns").glob("sh-*"))


class Refused(Exception):
    """What was asked for is not allowed outside the lab; nothing was sent."""


def require_lab() -> None:
    if not in_lab_namespace():
        raise Refused("this only runs inside a network namespace of the lab (tests/lab/record)")


def allowed(address: str, inside: bool = False) -> bool:
    """True for a documentation address; with `inside`, for an address of the lab's own LAN too."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ip in net for net in OUTSIDE + (INSIDE if inside else []))


def require(address: str, inside: bool = False) -> str:
    """Gives the address back where it may be talked to, from here; else raises `Refused`."""
    require_lab()
    if not allowed(address, inside):
        raise Refused(f"{address} is no address of the lab")
    return address
