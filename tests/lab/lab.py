"""Namespaces, links, the long cable, recording and teardown.

A `Lab` owns everything a run creates: network namespaces (all named `sh-...`), the processes in them, one
directory below /tmp, and the recordings. Leaving the `with` block ends every process by its id and removes
the rest, whatever happened inside.

Nothing here can reach a real network: no namespace gets a link to the machine's own one, so a packet has
nowhere to go but into another namespace of the same lab.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """The lab could not be built, or did not do what it must."""


def sh(*command: str, check: bool = True, **more) -> subprocess.CompletedProcess:
    """Runs a command to its end and keeps what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done


def _enter(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise LabError(f"setns: {os.strerror(ctypes.get_errno())}")


class Namespace:
    """One network namespace: a host, a gateway, a switch or the outside world."""

    def __init__(self, lab: Lab, role: str):
        self.lab = lab
        self.role = role
        self.name = f"sh-{lab.tag}-{role}"

    def ip(self, *command: str) -> None:
        sh("ip", "-n", self.name, *command)

    def run(self, *command: str, check: bool = True, **more) -> subprocess.CompletedProcess:
        return sh("ip", "netns", "exec", self.name, *command, check=check, **more)

    def start(self, *command: str, log: str | None = None, **more) -> subprocess.Popen:
        """Starts a process in this namespace that lives until the lab ends (or `stop`s it)."""
        out = open(self.lab.dir / log, "ab") if log else subprocess.DEVNULL
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.name, *command],
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, **more)
        self.lab.processes.append(process)
        return process

    @contextlib.contextmanager
    def inside(self):
        """The calling thread is in this namespace for the length of the block: its sockets belong here."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            _enter(there)
            yield self
        finally:
            _enter(home)
            os.close(home)
            os.close(there)

    def address(self, device: str, *cidrs: str, gateway: str | None = None) -> None:
        for cidr in cidrs:
            self.ip("addr", "add", cidr, "dev", device)
        if gateway:
            self.ip("route", "add", "default", "via", gateway)

    def sysctl(self, **settings) -> None:
        self.run("sysctl", "-q", "-w", *[f"{key.replace('__', '.')}={value}" for key, value in settings.items()])

    def nft(self, rules: str) -> None:
        self.run("nft", "-f", "-", input=rules)

    def resolver(self, address: str) -> None:
        """What the processes of this namespace find in /etc/resolv.conf (`ip netns exec` mounts it)."""
        where = Path("/etc/netns") / self.name
        where.mkdir(parents=True, exist_ok=True)
        (where / "resolv.conf").write_text(f"nameserver {address}\noptions timeout:2 attempts:2\n")


def settle(path: Path) -> None:
    """Puts the frames of a classic pcap file in the order of their time stamps.

    Two processors write into one recording, so neighbours may be swapped by some microseconds. The stamps are right.
    """
    data = path.read_bytes()
    head, at, frames = data[:24], 24, []
    while at + 16 <= len(data):
        seconds, micros, kept, _ = struct.unpack_from("<IIII", data, at)
        frames.append(((seconds, micros), data[at:at + 16 + kept]))
        at += 16 + kept
    frames.sort(key=lambda frame: frame[0])
    path.write_bytes(head + b"".join(frame for _, frame in frames))


@dataclass
class Recording:
    process: subprocess.Popen
    path: Path


@dataclass
class Lab:
    """Everything one run creates. `tag` keeps labs that run side by side apart."""

    tag: str
    seed: int
    keep: bool = False
    namespaces: list[Namespace] = field(default_factory=list)
    processes: list[subprocess.Popen] = field(default_factory=list)
    recordings: list[Recording] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    closing: list = field(default_factory=list)

    def __post_init__(self):
        self.rng = random.Random(self.seed)
        self.dir = Path(tempfile.mkdtemp(prefix=f"smtphound-lab-{self.tag}-"))
        self.dir.chmod(0o755)
        self.stopped = threading.Event()
        self.began = time.monotonic()
        self._links = 0

    def __enter__(self) -> Lab:
        if os.geteuid() != 0:
            raise LabError("the lab needs root: it makes network namespaces")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        return self

    def __exit__(self, *_) -> None:
        self.teardown()

    def say(self, text: str) -> None:
        print(f"[{self.tag} {time.monotonic() - self.began:6.1f} s] {text}", flush=True)

    # Namespaces and links

    def namespace(self, role: str, **sysctls) -> Namespace:
        new = Namespace(self, role)
        stale = Path("/run/netns") / new.name
        if stale.exists():
            raise LabError(f"namespace {new.name} is left from another run: ip netns del {new.name}")
        sh("ip", "netns", "add", new.name)
        self.namespaces.append(new)
        # IPv4 only: no link-local chatter of the kernel in the captures.
        new.sysctl(net__ipv6__conf__all__disable_ipv6=1, net__ipv6__conf__default__disable_ipv6=1, **sysctls)
        new.ip("link", "set", "lo", "up")
        return new

    def link(self, one: Namespace, one_device: str, two: Namespace, two_device: str,
             one_mac: str | None = None, two_mac: str | None = None) -> None:
        """A patch cable. Offloads are off, so that the wire carries what a real wire would carry."""
        self._links += 1
        left, right = f"shl{os.getpid() % 100000}x{self._links}", f"shr{os.getpid() % 100000}x{self._links}"
        # Both ends are born inside their namespaces; the machine's own one never sees them.
        sh("ip", "-n", one.name, "link", "add", "name", left, "type", "veth",
           "peer", "name", right, "netns", two.name)
        for space, temporary, device, mac in ((one, left, one_device, one_mac), (two, right, two_device, two_mac)):
            space.ip("link", "set", temporary, "name", device)
            if mac:
                space.ip("link", "set", device, "address", mac)
            space.ip("link", "set", device, "up")
            space.run("ethtool", "-K", device, "tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off")

    def switch(self, role: str = "lan") -> Namespace:
        """A switch whose ports all see everything, as a mirror port does (a bridge that learns nothing)."""
        switch = self.namespace(role)
        switch.ip("link", "add", "br0", "type", "bridge", "ageing_time", "0", "mcast_snooping", "0")
        switch.ip("link", "set", "br0", "up")
        return switch

    def plug(self, host: Namespace, device: str, switch: Namespace, mac: str | None = None) -> None:
        port = f"p-{host.role}"[:15]
        self.link(host, device, switch, port, one_mac=mac)
        switch.ip("link", "set", port, "master", "br0")

    # Processes, threads, recordings

    def background(self, work, *args) -> threading.Thread:
        """A thread that ends with the lab; `work` has to watch `stopped` or end by itself."""
        thread = threading.Thread(target=work, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()
        return thread

    def wait(self, seconds: float) -> bool:
        """Sleeps; True as soon as the lab is being taken down."""
        return self.stopped.wait(seconds)

    def record(self, space: Namespace, device: str, path: Path, what: str = "") -> None:
        """Records everything on the device, or what the filter expression lets through."""
        path.parent.mkdir(parents=True, exist_ok=True)
        process = space.start("tcpdump", "-i", device, "-n", "-s", "0", "-B", "16384", "-U", "-Z", "root",
                              "--time-stamp-precision=micro", "-w", str(path),
                              *([what] if what else []), log=f"tcpdump-{path.stem}.log")
        self.recordings.append(Recording(process, path))
        log = self.dir / f"tcpdump-{path.stem}.log"
        for _ in range(100):
            if "listening on" in log.read_text():
                return
            time.sleep(0.05)
        raise LabError(f"tcpdump does not start: {log.read_text()}")

    def stop_recording(self) -> None:
        for recording in self.recordings:
            recording.process.send_signal(signal.SIGINT)
        for recording in self.recordings:
            recording.process.wait(10)
            log = (self.dir / f"tcpdump-{recording.path.stem}.log").read_text()
            lost = [line for line in log.splitlines() if "dropped by" in line and not line.startswith("0 ")]
            if lost:
                raise LabError(f"{recording.path.name}: {'; '.join(lost)}")
            settle(recording.path)
        self.recordings.clear()

    def teardown(self) -> None:
        self.stopped.set()
        for close in reversed(self.closing):
            with contextlib.suppress(Exception):
                close()
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in self.processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
        for space in self.namespaces:
            # What is still there was started here: nobody else can be in a namespace of this lab.
            for pid in sh("ip", "netns", "pids", space.name, check=False).stdout.split():
                if int(pid) != os.getpid():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
        for space in self.namespaces:
            sh("ip", "netns", "del", space.name, check=False)
            shutil.rmtree(Path("/etc/netns") / space.name, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir("/etc/netns")
        if self.keep:
            print(f"logs kept in {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
