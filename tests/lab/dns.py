"""A small DNS for the lab: one zone in memory, served inside namespaces, and a client that asks it.

Only what mail software asks for: A, MX, TXT and PTR over UDP. RFC 1035 is the reference. No recursion: what is
not in the zone does not exist.
"""

from __future__ import annotations

import secrets
import socket
import struct
import threading

A, PTR, MX, TXT, SOA = 1, 12, 15, 16, 6
NXDOMAIN = 3
CODES = {"A": A, "PTR": PTR, "MX": MX, "TXT": TXT}


def _name(name: str) -> bytes:
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _read_name(packet: bytes, at: int) -> tuple[str, int]:
    labels, after, jumps = [], None, 0
    while True:
        length = packet[at]
        if length >= 0xC0:
            after = after or at + 2
            at = struct.unpack_from("!H", packet, at)[0] & 0x3FFF
            jumps += 1
            if jumps > 16:
                raise ValueError("name loops")
        elif length == 0:
            return ".".join(labels), after or at + 1
        else:
            labels.append(packet[at + 1:at + 1 + length].decode("ascii", "replace").lower())
            at += 1 + length


def reversed_octets(address: str) -> str:
    return ".".join(reversed(address.split(".")))


class Zone:
    """All names of the lab. A DNS block list is a zone like any other, so listing an address is adding a name."""

    BLOCK_LIST = "zen.dnsbl.test"

    def __init__(self):
        self._lock = threading.Lock()
        self._records: dict[str, list[tuple[int, object]]] = {}

    def add(self, name: str, kind: str, value) -> None:
        with self._lock:
            self._records.setdefault(name.lower(), []).append((CODES[kind], value))

    def host(self, name: str, address: str) -> None:
        self.add(name, "A", address)
        self.add(reversed_octets(address) + ".in-addr.arpa", "PTR", name)

    def list_address(self, address: str) -> None:
        name = f"{reversed_octets(address)}.{self.BLOCK_LIST}"
        self.add(name, "A", "127.0.0.4")
        self.add(name, "TXT", f"https://www.spamhaus.org/query/ip/{address}")

    def unlist_address(self, address: str) -> None:
        with self._lock:
            self._records.pop(f"{reversed_octets(address)}.{self.BLOCK_LIST}", None)

    def answer(self, query: bytes) -> bytes | None:
        if len(query) < 17:
            return None
        ident, flags, questions = struct.unpack_from("!HHH", query)
        if flags & 0x8000 or questions != 1:
            return None
        name, after = _read_name(query, 12)
        kind = struct.unpack_from("!H", query, after)[0]
        question = query[12:after + 4]
        with self._lock:
            known = list(self._records.get(name, []))
            # An empty name between others exists too (RFC 8020).
            exists = bool(known) or any(other.endswith("." + name) for other in self._records)
        answers = [_record(name, code, value) for code, value in known if code == kind]
        authority = b"" if answers else _record("test", SOA, None)
        header = struct.pack("!HHHHHH", ident, 0x8580, 1, len(answers), 0 if answers else 1, 0)
        if not exists:
            header = struct.pack("!HHHHHH", ident, 0x8580 | NXDOMAIN, 1, 0, 1, 0)
        return header + question + b"".join(answers) + authority


def _record(name: str, code: int, value) -> bytes:
    if code == A:
        data = socket.inet_aton(value)
    elif code == MX:
        data = struct.pack("!H", value[0]) + _name(value[1])
    elif code == TXT:
        data = bytes([len(value)]) + value.encode()
    elif code == SOA:
        data = _name("ns.test") + _name("hostmaster.test") + struct.pack("!IIIII", 1, 3600, 600, 86400, 30)
    else:
        data = _name(value)
    return _name(name) + struct.pack("!HHIH", code, 1, 60, len(data)) + data


def serve(lab, space, address: str, zone: Zone) -> None:
    """Answers on `address` in `space` until the lab ends."""
    with space.inside():
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((address, 53))
    server.settimeout(0.5)

    def loop() -> None:
        while not lab.stopped.is_set():
            try:
                query, client = server.recvfrom(4096)
            except TimeoutError:
                continue
            except OSError:
                return
            try:
                answer = zone.answer(query)
            except (ValueError, IndexError, struct.error):
                continue
            if answer:
                server.sendto(answer, client)

    lab.background(loop)


def ask(resolver: str, name: str, kind: str, timeout: float = 3.0) -> list:
    """Asks one question from the namespace the caller is in; an empty list for any failure."""
    ident = secrets.randbits(16)
    query = struct.pack("!HHHHHH", ident, 0x0100, 1, 0, 0, 0) + _name(name) + struct.pack("!HH", CODES[kind], 1)
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(timeout)
    try:
        client.sendto(query, (resolver, 53))
        packet, _ = client.recvfrom(4096)
    except OSError:
        return []
    finally:
        client.close()
    _, _, questions, answers, _, _ = struct.unpack_from("!HHHHHH", packet)
    at = 12
    for _ in range(questions):
        at = _read_name(packet, at)[1] + 4
    found = []
    for _ in range(answers):
        at = _read_name(packet, at)[1]
        code, _, _, length = struct.unpack_from("!HHIH", packet, at)
        at += 10
        if code == CODES[kind]:
            if code == A:
                found.append(socket.inet_ntoa(packet[at:at + 4]))
            elif code == MX:
                found.append((struct.unpack_from("!H", packet, at)[0], _read_name(packet, at + 2)[0]))
            elif code == PTR:
                found.append(_read_name(packet, at)[0])
        at += length
    return sorted(found)
