"""R4: the seven relay tests of KB 304897 at two closed Postfix servers.

A Postfix as installed refuses all seven, with 454: it looks for routes in percent signs and quotes before it takes a
recipient for its own. The first server is set up to behave as the server of the article does, which appends its own domain
to what has none and looks no further (`APPENDS`): it accepts tests 6 and 7, finds no such user, and reports that to the
sender. The second one has the defaults.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import card
import mail
import mta
import office as home
import world
from lab import Lab, LabError
from scenarios.ndr_flood import bouncing_server
from scenarios.relay_tests import QUIET, TARGET_DOMAIN, TESTER, TESTER_DOMAIN, tests, type_test

NAMES = ["relay-tests-postfix"]
SITES = (TESTER_DOMAIN, TARGET_DOMAIN, "birch.example", "elm.example", "iris.example")
SECOND, SECOND_OUTSIDE, SECOND_NAME, SECOND_MAC = "192.168.10.11", "203.0.113.6", f"mail2.{home.DOMAIN}", "00:14:22:3a:10:11"
# No percent hack, no looking into quotes, and no distrust of what then still looks like a route: all of it is the name
# of a mailbox here.
APPENDS = {"allow_percent_hack": "no", "resolve_dequoted_address": "no", "allow_untrusted_routing": "yes"}
# Without a domain, Postfix loses the quotes before it can ask for a user of that name, and sees a foreign address.
QUOTED_NAMES = '/^(RCPT TO:<"[^"]+")>(.*)$/ ${1}@%s>${2}\n'
DELIVERED = {("local", "bounced", "sent"): "accepted_then_ndr", ("smtp", "sent", ""): "proven"}


def appending_server(office: home.Office) -> mta.Postfix:
    """A Postfix that takes whatever has no domain for a user of its own, and finds out at delivery who does not exist."""
    filters = office.lab.dir / "command-filter"
    filters.write_text(QUOTED_NAMES % home.DOMAIN)
    filters.chmod(0o644)
    return bouncing_server(office, smtpd_command_filter=f"regexp:{filters}", **APPENDS)


def second_server(office: home.Office) -> mta.Postfix:
    """Another Postfix of the office with an address of its own outside; what is not said here is Postfix's default."""
    lab, host = office.lab, office.lab.namespace("server2")
    lab.plug(host, "eth0", office.switch, SECOND_MAC)
    host.address("eth0", f"{SECOND}/24", gateway=home.GATEWAY_INSIDE)
    host.resolver(home.GATEWAY_INSIDE)
    office.gateway.address("wan0", f"{SECOND_OUTSIDE}/24")
    office.gateway.nft(f'insert rule ip nat pre iifname "wan0" ip daddr {SECOND_OUTSIDE} tcp dport 25 dnat to {SECOND}\n')
    # Of the same preference as the first: mail comes in by both.
    office.zone.add(home.DOMAIN, "MX", (10, SECOND_NAME))
    office.zone.host(SECOND_NAME, SECOND_OUTSIDE)
    postfix = mta.Postfix(lab, host, "second", {
        "myhostname": SECOND_NAME,
        "mydomain": home.DOMAIN,
        "myorigin": home.DOMAIN,
        "inet_interfaces": f"127.0.0.1, {SECOND}",
        "proxy_interfaces": SECOND_OUTSIDE,
        "mynetworks": "127.0.0.0/8, 192.168.10.0/24",
        "mydestination": home.DOMAIN,
        "local_recipient_maps": mta.write_table(lab.dir / "second-mailboxes", {name: "x" for name in (*home.STAFF, "postmaster")}),
        "local_transport": "discard:",
    }, mta.service(SECOND, {}))
    mta.await_port(host, SECOND, 25)
    return postfix


def mail_out_by_second(office: home.Office) -> None:
    sender, recipient = f"sales@{home.DOMAIN}", office.lab.rng.choice(office.sites).mailbox(office.lab.rng)
    mail.submit(office.pcs[QUIET[0]], SECOND, 25, f"pc-sales1.{home.DOMAIN}", sender, [recipient],
                mail.message(office.lab.rng, sender, [recipient]))


def verdict(codes: list[int], became: dict[str, str]) -> str:
    """What came of a test by the replies and the server's log."""
    if max(codes) >= 400:
        return "rejected"
    return DELIVERED.get((became.get("by", ""), became.get("status", ""), became.get("report", "")), "accepted_unproven")


@dataclass
class Series:
    """The seven tests typed at one Postfix, and what its log says of them once all is over."""

    address: str
    outside: str
    postfix: mta.Postfix
    typed: list[tuple[str, str, str, list[int], str]] = field(default_factory=list)

    def type(self, office: home.Office) -> None:
        for technique, sender, recipient, _ in tests(self.outside):
            codes, reply = type_test(office, sender, recipient, self.outside)
            office.lab.say(f"{self.address} {technique} {codes} {reply}")
            self.typed.append((technique, sender, recipient, codes, reply))
            office.lab.wait(office.lab.rng.uniform(3, 6))

    def told(self, wanted: list[str]) -> tuple[list[dict], list[dict]]:
        """Rows of the card, for what was seen and for what must be found; the verdicts have to be those."""
        seen, verdicts = [], []
        for technique, sender, recipient, codes, reply in self.typed:
            became = self.postfix.became(reply.rpartition("queued as ")[2]) if max(codes) < 400 else {}
            seen.append({"server": self.address, "technique": technique, "mail": f"MAIL FROM:<{sender}>", "rcpt": f"RCPT TO:<{recipient}>",
                         "codes": codes, "reply": reply, **({"became": became} if became else {})})
            verdicts.append({"server": self.address, "client": TESTER, "technique": [technique], "mailfrom": sender,
                             "rcptto": recipient, "verdict": verdict(codes, became)})
        if [row["verdict"] for row in verdicts] != wanted:
            raise LabError(f"{self.address} did not do what this scenario is about: {seen}")
        return seen, verdicts


def run(lab: Lab, captures: Path, command: str, seed: int) -> None:
    office = home.build(lab, [site for site in world.SITES if site.domain in SITES], QUIET, printer=False)
    office.world.address("lo", f"{TESTER}/32")
    first = Series(home.SERVER, home.GATEWAY_OUTSIDE, appending_server(office))
    second = Series(SECOND, SECOND_OUTSIDE, second_server(office))
    pcap = captures / "relay-tests-postfix.pcap"
    office.record_inside(pcap)
    office.begin()
    home.everyday(office, out=25, scans=1000, incoming=5)
    office.every(40, lambda: mail_out_by_second(office))
    office.at(45)
    first.type(office)
    second.type(office)
    lab.wait(20)
    lab.stop_recording()
    first_seen, first_verdicts = first.told([row[3] for row in tests(home.GATEWAY_OUTSIDE)])
    second_seen, second_verdicts = second.told(["rejected"] * 7)
    card.write(
        pcap, title="The seven relay tests of KB 304897 at two Postfix servers that are no open relays", report=["R4"],
        tap="mirror port of the LAN switch", command=command, seed=seed, began=office.began,
        hosts=home.inventory(office) + [
            {"ip": SECOND, "mac": SECOND_MAC, "role": "second mail server", "name": SECOND_NAME},
            {"ip": SECOND_OUTSIDE, "mac": home.MACS[home.GATEWAY_OUTSIDE], "role": "gateway, outside, led to the second server"},
            {"ip": TESTER, "mac": home.MACS[home.PROVIDER], "role": "relay tester"}],
        shows=f"""
Somebody outside types the seven relay tests at {home.SERVER}, each in a connection of its own, then at {SECOND}. The first server
appends its own domain to what has none: it refuses one to five, accepts six (percent hack) and seven (quoted address), finds no such
user, and reports that to the sender. The second one has Postfix's defaults and refuses all seven. Nothing is relayed.""",
        truth={"first_server": {**APPENDS, "smtpd_command_filter": (QUOTED_NAMES % home.DOMAIN).strip()}, "test": first_seen + second_seen},
        expect={"verdict": first_verdicts + second_verdicts, "proven": 0, "ndrs": 2, "mail_servers": [home.SERVER, SECOND],
                "local_domains": [home.DOMAIN], "no_incident_hosts": QUIET, "never": [
                    *[{"ip": server, "class": "relay", "verdict": "proven"} for server in (home.SERVER, SECOND)],
                    {"ip": SECOND, "class": "relay", "verdict": "accepted_then_ndr"},
                    {"ip": home.SERVER, "class": "ndr_flood"}]},
    )
