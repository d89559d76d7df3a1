#!/usr/bin/env python3
"""A transparent SMTP proxy of an access provider: answers port 25 in the place of whoever was called.

The client believes that it talks to its own server. The proxy hides what the real server offers (AUTH, STARTTLS),
greets that server with its own name and hands on one command after the other.

It connects only to the one server of the lab that it is told, after asking guard.py.

Usage: smtp_proxy.py LISTEN_PORT SERVER SOURCE EHLO_NAME
"""

from __future__ import annotations

import socket
import sys
import threading

import guard
from talker import Talker


def serve(client: socket.socket, server: str, source: str, name: str) -> None:
    lines = client.makefile("rb")
    try:
        talker = Talker(server, source)
        talker.reply()
        talker.ask(f"EHLO {name}")
        client.sendall(f"220 {name} ESMTP\r\n".encode())
        for raw in lines:
            line = raw.decode("ascii", "replace").rstrip("\r\n")
            verb = line.partition(" ")[0].upper()
            if verb == "EHLO":
                client.sendall(f"250-{name}\r\n250 SIZE 10240000\r\n".encode())
            elif verb == "HELO":
                client.sendall(f"250 {name}\r\n".encode())
            elif verb in ("AUTH", "STARTTLS"):
                client.sendall(b"502 5.5.1 not here\r\n")
            else:
                # What only an authenticated session may say (RFC 4954) falls away with the authentication.
                talker.ask(line)
                client.sendall(talker.last.replace("\n", "\r\n").encode() + b"\r\n")
                if verb == "DATA" and talker.last.startswith("354"):
                    text = []
                    for part in lines:
                        if part == b".\r\n":
                            break
                        text.append(part)
                    talker.sock.sendall(b"".join(text) + b".\r\n")
                    talker.reply()
                    client.sendall(talker.last.encode() + b"\r\n")
                if verb == "QUIT":
                    break
        talker.hang_up(quits=False)
    except (OSError, guard.Refused) as error:
        print(error, file=sys.stderr, flush=True)
    finally:
        client.close()


def main() -> None:
    guard.require_lab()
    port, server, source, name = int(sys.argv[1]), guard.require(sys.argv[2]), sys.argv[3], sys.argv[4]
    listener = socket.create_server(("0.0.0.0", port))
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, server, source, name), daemon=True).start()


if __name__ == "__main__":
    try:
        main()
    except guard.Refused as refused:
        sys.exit(f"refused: {refused}")
