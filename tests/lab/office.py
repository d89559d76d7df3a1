"""The network every scenario shares: an office LAN behind one NAT gateway, and the world at the end of a long cable.

    PCs, printer --+                          cable
    mail server ---+-- switch -- gateway ---(distance)--- world: all outside servers
    mirror port ---+   192.168.10.0/24  203.0.113.5       192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24
"""

from __future__ import annotations

import datetime
import http.client
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import dns
import mail
import mta
from lab import HERE, Lab, Namespace

GATEWAY_INSIDE, GATEWAY_OUTSIDE, PROVIDER = "192.168.10.1", "203.0.113.5", "203.0.113.1"
SERVER, PRINTER = "192.168.10.10", "192.168.10.40"
DOMAIN, SERVER_NAME = "adatum.example", "mail.adatum.example"

# Address -> (MAC, name that DHCP announces). The first half of each MAC is a maker's registered prefix.
PCS = {
    "192.168.10.21": ("00:21:cc:3a:10:21", "PC-SALES1"),
    "192.168.10.22": ("f0:de:f1:3a:10:22", "PC-SALES2"),
    "192.168.10.23": ("00:1c:c4:3a:10:23", "PC-ACCOUNTS"),
    "192.168.10.24": ("00:0d:56:3a:10:24", "PC-STORE"),
    "192.168.10.25": ("00:1e:68:3a:10:25", "PC-DESK1"),
    "192.168.10.26": ("3c:d9:2b:3a:10:26", "PC-DESK2"),
}
MACS = {GATEWAY_INSIDE: "00:0d:b9:3a:10:01", GATEWAY_OUTSIDE: "00:0d:b9:3a:10:02", PROVIDER: "00:1b:54:3a:10:01",
        SERVER: "00:14:22:3a:10:10", PRINTER: "00:00:74:3a:10:40"} | {ip: mac for ip, (mac, _) in PCS.items()}
STAFF = ("sales", "orders", "accounts", "store", "office", "desk1", "desk2")

NAT = """
table ip nat {
    chain pre {
        type nat hook prerouting priority dstnat;
        iifname "wan0" tcp dport 25 dnat to %(server)s
    }
    chain post {
        type nat hook postrouting priority srcnat;
        oifname "wan0" masquerade
    }
}
table ip guard {
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        oifname "wan0" ip daddr { 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24 } accept
        iifname "wan0" ct status dnat accept
    }
}
"""

# Answers of distant hosts arrive with what is left of their time to live, and systems start at 64 or 128.
DISTANCE = """
table ip distance {
    chain out {
        type route hook output priority 0;
        ip saddr 192.0.2.0/24 ip ttl set 49
        ip saddr 198.51.100.0/24 ip ttl set 113
        ip saddr 203.0.113.16/28 ip ttl set 55
    }
}
"""


@dataclass
class Office:
    lab: Lab
    zone: dns.Zone
    switch: Namespace
    tap: Namespace
    gateway: Namespace
    world: Namespace
    server: Namespace
    pcs: dict[str, Namespace]
    sites: list[mta.Site]
    world_mta: mta.Postfix | None = None
    postfix: mta.Postfix | None = None

    def site(self, domain: str) -> mta.Site:
        return next(site for site in self.sites if site.domain == domain)

    def record_inside(self, path: Path, what: str = "") -> None:
        self.lab.record(self.tap, "eth0", path, what)

    def record_outside(self, path: Path) -> None:
        self.lab.record(self.gateway, "wan0", path)

    # What people and machines do

    def mail_out(self, pc: str, sender: str, recipients: list[str], lines: int = 4, program: str = "smtplib",
                 extra: str = "") -> dict:
        """Somebody at a PC (or the printer) mails through the office's server."""
        text = mail.message(self.lab.rng, sender, recipients, lines, extra)
        host = self.pcs[pc]
        helo = PCS[pc][1].lower() + "." + DOMAIN if pc in PCS else f"printer.{DOMAIN}"
        if program == "swaks":
            mail.swaks(host, SERVER, helo, sender, recipients[0], text)
            return {}
        return mail.submit(host, SERVER, 25, helo, sender, recipients, text)

    def mail_in(self, sender: str, recipients: list[str], lines: int = 4, extra: str = "") -> dict:
        """An outside server mails to the office: the message is put into that server's queue."""
        text = mail.message(self.lab.rng, sender, recipients, lines, extra)
        return mail.submit(self.world, "127.0.0.1", mta.INJECT_PORT, "inject.test", sender, recipients, text)

    def every(self, mean: float, work, until: float | None = None) -> None:
        """Does `work` again and again, at random intervals (exponential, at least a third of the mean)."""

        def loop() -> None:
            while not self.lab.wait(mean / 3 + self.lab.rng.expovariate(1.5 / mean)):
                if until is not None and self.now() >= until:
                    return
                try:
                    work()
                except Exception as error:  # a failed mail is part of the day; the day goes on
                    self.lab.say(f"{work.__name__}: {error}")

        self.lab.background(loop)

    def now(self) -> float:
        """Seconds since the recording began."""
        return time.monotonic() - self.epoch

    def begin(self) -> None:
        """From here on `now` counts, and so do all seconds on the card."""
        self.began = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.epoch = time.monotonic()

    def at(self, second: float) -> None:
        """Waits until that second of the recording."""
        self.lab.wait(max(0.0, second - self.now()))

    def join(self, threads: list[threading.Thread], seconds: float) -> None:
        for thread in threads:
            thread.join(seconds)


def build(lab: Lab, sites: list[mta.Site], pcs: list[str], printer: bool = True, loss: float = 0.002,
          dead: dict[str, str] | None = None, resets: dict[str, str] | None = None) -> Office:
    """Makes the network and the world's servers. `dead` and `resets` map domains to mail exchangers that never answer
    and that refuse the connection."""
    zone = dns.Zone()
    switch = lab.switch("lan")
    tap, gateway, cable = (lab.namespace(role) for role in ("tap", "gw", "cable"))
    world = lab.namespace("world", net__ipv4__tcp_fin_timeout=10)
    server = lab.namespace("server")
    lab.plug(tap, "eth0", switch)
    tap.ip("link", "set", "eth0", "arp", "off", "promisc", "on")

    lab.plug(gateway, "lan0", switch, MACS[GATEWAY_INSIDE])
    lab.link(gateway, "wan0", cable, "near", one_mac=MACS[GATEWAY_OUTSIDE])
    lab.link(cable, "far", world, "wan0", two_mac=MACS[PROVIDER])
    gateway.address("lan0", f"{GATEWAY_INSIDE}/24")
    gateway.address("wan0", f"{GATEWAY_OUTSIDE}/24", gateway=PROVIDER)
    gateway.sysctl(net__ipv4__ip_forward=1)
    gateway.nft(NAT % {"server": SERVER})
    world.address("wan0", f"{PROVIDER}/24")
    world.address("lo", *[f"{site.address}/32" for site in sites])
    world.address("lo", *[f"{address}/32" for address in set((resets or {}).values())])
    world.nft(DISTANCE)
    cable.start("python3", str(HERE / "cable.py"), "near", "far", str(lab.seed), str(loss), log="cable.log")

    lab.plug(server, "eth0", switch, MACS[SERVER])
    server.address("eth0", f"{SERVER}/24", gateway=GATEWAY_INSIDE)
    server.resolver(GATEWAY_INSIDE)
    world.resolver("127.0.0.1")

    hosts = {}
    for address in [*pcs, *([PRINTER] if printer else [])]:
        # PCs speak like desktop systems: hop limit 128, no TCP time stamps.
        host = lab.namespace(f"h{address.rpartition('.')[2]}",
                             **({"net__ipv4__ip_default_ttl": 128, "net__ipv4__tcp_timestamps": 0} if address in PCS else {}))
        lab.plug(host, "eth0", switch, MACS[address])
        host.address("eth0", f"{address}/24", gateway=GATEWAY_INSIDE)
        host.resolver(GATEWAY_INSIDE)
        hosts[address] = host

    for site in sites:
        site.publish(zone)
    for domain, address in {**(dead or {}), **(resets or {})}.items():
        zone.add(domain, "MX", (10, f"mx.{domain}"))
        zone.host(f"mx.{domain}", address)
    zone.add(DOMAIN, "MX", (10, SERVER_NAME))
    zone.host(SERVER_NAME, GATEWAY_OUTSIDE)
    for address, (_, name) in PCS.items():
        zone.host(f"{name.lower()}.{DOMAIN}", address)
    zone.host(f"printer.{DOMAIN}", PRINTER)
    dns.serve(lab, gateway, GATEWAY_INSIDE, zone)
    dns.serve(lab, world, "127.0.0.1", zone)

    office = Office(lab, zone, switch, tap, gateway, world, server, hosts, sites)
    office.begin()
    by_postfix = [site for site in sites if site.software == "postfix"]
    by_exim = [site for site in sites if site.software == "exim"]
    if by_postfix:
        office.world_mta = mta.postfix_world(lab, world, by_postfix)
    if by_exim:
        mta.exim_world(lab, world, by_exim)
    lab.say(f"network of {len(lab.namespaces)} namespaces, {len(sites)} outside sites")
    return office


def dhcp(office: Office, clients: dict[str, list[str]] | None = None) -> None:
    """A real DHCP server on the gateway, from which the PCs fetch the lease of the address they have. `clients` maps those that
    do to what udhcpc says of them; by default all, with their names."""
    lab = office.lab
    hosts = [f"--dhcp-host={MACS[ip]},{ip}" for ip in office.pcs]
    office.gateway.start("dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=lan0", "--no-ping",
                         "--dhcp-range=192.168.10.20,192.168.10.99,12h", f"--dhcp-option=6,{GATEWAY_INSIDE}",
                         f"--dhcp-leasefile={lab.dir}/leases", *hosts, log="dnsmasq.log")
    lab.wait(0.5)
    said = {ip: ["-x", f"hostname:{PCS[ip][1]}"] for ip in office.pcs if ip in PCS} if clients is None else clients
    for address, host in office.pcs.items():
        if address in said:
            # The address comes back after the lease: a host that has one already would answer the offer with an error.
            host.ip("addr", "flush", "dev", "eth0")
            host.run("udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "2", "-T", "1", "-s", "/bin/true",
                     *said[address], check=False)
            host.address("eth0", f"{address}/24", gateway=GATEWAY_INSIDE)
            lab.wait(lab.rng.uniform(0.1, 0.8))


def mail_server(office: Office, files: dict[str, str] | None = None, **changes: str) -> mta.Postfix:
    """The office's honest mail server: relays for the LAN, takes mail for its own domain's mailboxes only. `changes` go
    into main.cf, `files` beside it."""
    tables = office.lab.dir / "server-tables"
    tables.mkdir()
    postfix = mta.Postfix(office.lab, office.server, "server", {
        "myhostname": SERVER_NAME,
        "mydomain": DOMAIN,
        "myorigin": DOMAIN,
        "inet_interfaces": f"127.0.0.1, {SERVER}",
        "proxy_interfaces": GATEWAY_OUTSIDE,
        "mynetworks": "127.0.0.0/8, 192.168.10.0/24",
        "mydestination": DOMAIN,
        "local_recipient_maps": mta.write_table(tables / "mailboxes", {name: "x" for name in (*STAFF, "postmaster", "news")}),
        "local_transport": "discard:",
        "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
        **changes,
    }, mta.service(SERVER, {}), files)
    mta.await_port(office.server, SERVER, 25)
    office.postfix = postfix
    return postfix


def everyday(office: Office, out: float, scans: float, incoming: float, sites: list[mta.Site] | None = None,
             until: float | None = None) -> None:
    """Ordinary mail, in and out, for the length of the recording or until a second of it; the figures are mean seconds
    between two mails."""
    rng, sites = office.lab.rng, sites or office.sites
    senders = [pc for pc in office.pcs if pc in ("192.168.10.21", "192.168.10.25")]
    outside = [site for site in sites if site.software == "postfix"]

    def write() -> None:
        pc = rng.choice(senders)
        sender = {"192.168.10.21": "sales", "192.168.10.25": "desk1"}[pc]
        office.mail_out(pc, f"{sender}@{DOMAIN}", [rng.choice(sites).mailbox(rng)], program=rng.choice(["smtplib", "swaks"]))

    def scan() -> None:
        office.mail_out(PRINTER, f"office@{DOMAIN}", [f"{rng.choice(STAFF)}@{DOMAIN}"], lines=12, extra="X-Mailer: scan to mail")

    def receive() -> None:
        office.mail_in(rng.choice(outside).mailbox(rng), [f"{rng.choice(STAFF)}@{DOMAIN}"])

    office.every(out, write, until)
    if PRINTER in office.pcs:
        office.every(scans, scan, until)
    office.every(incoming, receive, until)


def web(office: Office) -> None:
    """A web server outside and people who read there now and then: a mail capture is never mail alone."""
    address = "198.51.100.80"
    office.world.address("lo", f"{address}/32")
    office.zone.host("www.example.com", address)
    pages = office.lab.dir / "pages"
    pages.mkdir()
    (pages / "index.html").write_text("<html><title>news</title><p>" + mail.phrase(office.lab.rng, 120) + "</p></html>\n")
    office.world.start("python3", "-m", "http.server", "--bind", address, "--directory", str(pages), "80", log="web.log")

    def read() -> None:
        host = office.pcs[office.lab.rng.choice([pc for pc in office.pcs if pc in PCS])]
        with host.inside():
            found = dns.ask(GATEWAY_INSIDE, "www.example.com", "A")
            if found:
                page = http.client.HTTPConnection(found[0], timeout=10)
                page.request("GET", "/")
                page.getresponse().read()
                page.close()

    office.every(25, read)


def refused_by(postfix: mta.Postfix) -> list[str]:
    """The domains that refused an instance's mail because its address is listed or throttled, from its own log."""
    words = r"blocked using|listed at|in an RBL|unusual rate"
    return sorted(set(re.findall(rf"to=<[^>]*@([^>]+)>.*status=(?:deferred|bounced).*(?:{words})", postfix.log.read_text())))


def sent_by(postfix: mta.Postfix) -> dict[str, int]:
    """What an instance's own log says became of its mail: deliveries tried, by result."""
    results = Counter(re.findall(r" postfix/smtp\[.*status=(sent|deferred|bounced)", postfix.log.read_text()))
    return {f"server_{result}": count for result, count in sorted(results.items())}


def inventory(office: Office, special: dict[str, str] | None = None) -> list[dict]:
    """Who is who, for the card."""
    special = special or {}
    rows = [{"ip": GATEWAY_INSIDE, "mac": MACS[GATEWAY_INSIDE], "role": "gateway, inside; DNS"},
            {"ip": GATEWAY_OUTSIDE, "mac": MACS[GATEWAY_OUTSIDE], "role": "gateway, outside (NAT)"},
            {"ip": SERVER, "mac": MACS[SERVER], "role": "mail server", "name": SERVER_NAME}]
    for address in sorted(office.pcs):
        row = {"ip": address, "mac": MACS[address], "role": special.get(address, "printer" if address == PRINTER else "PC")}
        if address in PCS:
            row["name"] = PCS[address][1]
        rows.append(row)
    for site in office.sites:
        rows.append({"ip": site.address, "mac": MACS[PROVIDER], "role": "outside server", "name": site.host,
                     "software": site.software, "policy": list(site.policy)})
    return rows
