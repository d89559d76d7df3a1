"""The long cable: joins two devices of one namespace and lets every frame arrive late.

The machines this runs on often have no netem, and a network without distance is not like any real one:
answers would come within microseconds, and a client that does not wait for a greeting would look like one
that does. So a frame that goes to or comes from an outside address is held back for half of that address's
round-trip time (fixed for each address, drawn from the seed), in order; and one frame in some hundreds is lost,
so that real kernels retransmit in the captures.

Usage: cable.py DEVICE_A DEVICE_B SEED LOSS        (inside the namespace that owns both devices)
"""

import heapq
import random
import select
import socket
import struct
import sys
import time

ETH_P_ALL = 3
ETH_P_IP = 0x0800
PACKET_OUTGOING = 4
RTT_SHORTEST, RTT_LONGEST = 0.012, 0.160  # seconds: the next town to the next continent
LOCAL = 0.0002


def outside_address(frame: bytes, towards_world: bool) -> bytes | None:
    if len(frame) < 34 or struct.unpack_from("!H", frame, 12)[0] != ETH_P_IP:
        return None
    return frame[30:34] if towards_world else frame[26:30]


def main() -> None:
    device_a, device_b, seed, loss = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    ends = []
    for device in (device_a, device_b):
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        end.bind((device, ETH_P_ALL))
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        ends.append(end)
    dice = random.Random(seed)
    waiting: list[tuple[float, int, int, bytes]] = []
    sequence = 0
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        readable, _, _ = select.select(ends, [], [], timeout)
        for end in readable:
            frame, about = end.recvfrom(65535)
            if about[2] == PACKET_OUTGOING:
                continue
            side = ends.index(end)
            address = outside_address(frame, side == 0)
            delay = LOCAL
            if address is not None:
                # A log-uniform draw that depends on seed and address alone.
                share = random.Random(f"{seed}/{address.hex()}").random()
                delay = RTT_SHORTEST * (RTT_LONGEST / RTT_SHORTEST) ** share / 2
                if dice.random() < loss:
                    continue
            sequence += 1
            heapq.heappush(waiting, (time.monotonic() + delay, sequence, 1 - side, frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, side, frame = heapq.heappop(waiting)
            ends[side].send(frame)


if __name__ == "__main__":
    main()
