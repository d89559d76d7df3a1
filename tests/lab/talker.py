"""A bare SMTP client over a plain socket: one command at a time, nothing done for the caller, as with telnet.

Every connection asks guard.py first, so whatever speaks through this can only speak to the lab.
"""

from __future__ import annotations

import socket
import struct

import guard


class Talker:
    """One connection. Replies are given back as their code; `last` holds the whole text of the last one."""

    def __init__(self, address: str, source: str | None = None, inside: bool = False, connect_timeout: float = 15,
                 reply_timeout: float = 90):
        guard.require(address, inside)
        self.buffer, self.last = b"", ""
        self.sock = socket.create_connection((address, 25), connect_timeout, (source, 0) if source else None)
        self.sock.settimeout(reply_timeout)

    def send(self, line: str) -> None:
        self.sock.sendall(line.encode() + b"\r\n")

    def reply(self) -> int:
        """The code of one whole reply, continuation lines included; 999 for a closed connection."""
        text = []
        while True:
            while b"\n" not in self.buffer:
                more = self.sock.recv(4096)
                if not more:
                    return 999
                self.buffer += more
            line, _, self.buffer = self.buffer.partition(b"\n")
            text.append(line.decode("ascii", "replace").rstrip("\r"))
            if line[3:4] != b"-" and line[:3].isdigit():
                self.last = "\n".join(text)
                return int(line[:3])

    def ask(self, line: str) -> int:
        self.send(line)
        return self.reply()

    def data(self, text: str) -> int:
        """Sends the message after the 354 and the dot that ends it."""
        self.sock.sendall(text.replace("\r\n.", "\r\n..").encode() + b".\r\n")
        return self.reply()

    def hang_up(self, quits: bool = True, reset: bool = False) -> None:
        try:
            if quits:
                self.ask("QUIT")
            elif reset:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        self.sock.close()
