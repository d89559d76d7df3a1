"""Machines that tell their names, by the software that does it in real networks: nmbd (NetBIOS), avahi-daemon (mDNS) and
systemd-resolved (LLMNR). Their packages would become the machine's own services, so they are only unpacked (`install`).
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from lab import LabError, Namespace, sh

ROOT = Path("/opt/smtphound-lab/names")
LIBRARIES = [ROOT / part for part in ("usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/samba", "lib/x86_64-linux-gnu",
                                      "lib/x86_64-linux-gnu/systemd")]
ENVIRONMENT = os.environ | {"LD_LIBRARY_PATH": ":".join(map(str, LIBRARIES))}
# Where RFC 4795 wants questions to go.
LLMNR = ("224.0.0.252", 5355)


def netbios(host: Namespace, name: str, workgroup: str) -> Path:
    """Samba's name server; its configuration, which `node_status` needs too."""
    where = host.lab.dir / f"nmbd-{host.role}"
    (where / "sock").mkdir(parents=True)
    config = where / "smb.conf"
    places = "\n".join(f"{kind} = {where}" for kind in ("private dir", "lock directory", "state directory", "cache directory",
                                                        "pid directory", "ncalrpc dir"))
    config.write_text(f"""[global]
netbios name = {name}
workgroup = {workgroup}
interfaces = eth0
bind interfaces only = yes
local master = no
nmbd:socket dir = {where}/sock
{places}
""")
    host.start(str(ROOT / "usr/sbin/nmbd"), "-F", "--no-process-group", "-s", str(config), "-l", str(where),
               log=f"nmbd-{host.role}.log", env=ENVIRONMENT)
    return config


def node_status(host: Namespace, config: Path, address: str) -> str:
    """Asks a machine for all its NetBIOS names, as Windows does before it opens a share."""
    return host.run(str(ROOT / "usr/bin/nmblookup"), "-s", str(config), "-A", address, env=ENVIRONMENT).stdout


def mdns(host: Namespace, name: str) -> None:
    """Avahi's responder."""
    config = host.lab.dir / f"avahi-{host.role}.conf"
    config.write_text(f"""[server]
host-name={name}
use-ipv6=no
allow-interfaces=eth0
enable-dbus=no
[publish]
publish-hinfo=no
publish-workstation=no
""")
    host.start(str(ROOT / "usr/sbin/avahi-daemon"), "-f", str(config), "--no-drop-root", "--no-chroot", "--no-rlimits",
               log=f"avahi-{host.role}.log", env=ENVIRONMENT)


def llmnr(host: Namespace, name: str) -> None:
    """systemd's resolver, which takes its name from the system's: so it gets a system name of its own."""
    where = Path("/etc/netns") / host.name / "systemd"
    where.mkdir(parents=True, exist_ok=True)
    (where / "resolved.conf").write_text("[Resolve]\nLLMNR=yes\nMulticastDNS=no\nDNSStubListener=no\n")
    host.start("unshare", "--uts", "sh", "-c", f"hostname {name}; exec {ROOT}/lib/systemd/systemd-resolved",
               log=f"resolved-{host.role}.log", env=ENVIRONMENT)


def ask_llmnr(host: Namespace, address: str, name: str) -> None:
    """The question that Windows puts when a name is typed without a dot; a LabError if nobody answers."""
    with host.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
        asker.settimeout(5)
        label = name.encode()
        question = struct.pack(">HHHHHH", 7, 0, 1, 0, 0, 0) + bytes([len(label)]) + label + b"\0" + struct.pack(">HH", 1, 1)
        asker.sendto(question, LLMNR)
        try:
            asker.recv(2000)
        except TimeoutError:
            raise LabError(f"nobody answers to {name}") from None


def versions() -> list[str]:
    """Of what is unpacked, from the archives' own lists."""
    found = []
    for archive in sorted((ROOT / "archives").glob("*.deb")):
        if archive.name.startswith(("samba_", "avahi-daemon_", "systemd-resolved_")):
            found.append(sh("dpkg-deb", "-W", "--showformat=${Package} ${Version}", str(archive)).stdout)
    return found
