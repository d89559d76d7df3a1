"""R1: a PC with a mass-mailing worm leaves through the mail server's NAT address, until the world refuses both.

Recorded at the same time on the LAN's mirror port and on the gateway's outer interface.
"""

from __future__ import annotations

import json
from pathlib import Path

import card
import office as home
import world
from lab import HERE, Lab

NAMES = ["infected-pc", "infected-pc-outside"]
GUILTY = "192.168.10.23"
QUIET = ["192.168.10.21", "192.168.10.22", "192.168.10.24", "192.168.10.25", "192.168.10.26"]
WORM_BEGINS, LISTED, ENDS = 80, 215, 420
SESSIONS = 76


def targets(path: Path) -> None:
    """The worm's address book: every site, the dead ones too, and few addresses that are right."""
    domains = {site.domain: 4 for site in world.SITES} | {domain: 3 for domain in (*world.DEAD, *world.RESETS)}
    domains[world.NOWHERE] = 2
    path.write_text(json.dumps({"domains": domains, "valid": {site.domain: site.users for site in world.SITES},
                                "valid_share": 0.3}))


def start_worm(office: home.Office, seed: int, sessions: int, seconds: float):
    lab = office.lab
    targets(lab.dir / "targets.json")
    return office.pcs[GUILTY].start(
        str(HERE / "worm.py"), str(seed), str(sessions), str(seconds), home.GATEWAY_INSIDE,
        str(lab.dir / "targets.json"), str(lab.dir / "outcomes.json"), log="worm.log")


def run(lab: Lab, captures: Path, command: str, seed: int) -> None:
    office = home.build(lab, world.SITES, [GUILTY, *QUIET], dead=world.DEAD, resets=world.RESETS)
    server = home.mail_server(office)
    inside, outside = (captures / f"{name}.pcap" for name in NAMES)
    office.record_inside(inside)
    office.record_outside(outside)
    office.begin()
    home.dhcp(office)
    home.web(office)
    home.everyday(office, out=6, scans=60, incoming=12)

    office.at(WORM_BEGINS)
    lab.say("the worm begins")
    worm = start_worm(office, seed, SESSIONS, ENDS - WORM_BEGINS - 20)
    office.at(LISTED)
    lab.say(f"{home.GATEWAY_OUTSIDE} is listed")
    office.zone.list_address(home.GATEWAY_OUTSIDE)
    office.at(ENDS)
    worm.wait(60)
    lab.stop_recording()
    outcomes = json.loads((lab.dir / "outcomes.json").read_text())

    truth = {"worm_begins_s": WORM_BEGINS, "listed_s": LISTED, "worm_sessions": SESSIONS,
             "worm_outcomes": outcomes, **home.sent_by(server)}
    refusing = home.refused_by(server)
    hosts = home.inventory(office, {GUILTY: "PC with the worm"})
    card.write(
        inside, title="A worm behind the mail server's NAT address, seen on the LAN's mirror port",
        report=["R1"], tap="mirror port of the LAN switch", command=command, seed=seed, began=office.began, hosts=hosts,
        shows=f"""
An honest mail server ({home.SERVER}) carries the mail of a small office. From second {WORM_BEGINS} on, the PC {GUILTY} mails
directly to many outside servers, mostly to users that do not exist. From second {LISTED} on, the gateway's address is on a block
list, and the sites that ask that list refuse the worm and the honest server alike. The PC is the cause, the server is the victim.""",
        truth=truth, expect={
            "host": [{"ip": GUILTY, "class": "mass_mailer", "tier": "confirmed", "rank": 1},
                     {"ip": home.SERVER, "class": "blocklisted", "role": "victim"}],
            "no_incident_hosts": [*QUIET, home.PRINTER, home.GATEWAY_INSIDE],
            "never": [{"ip": home.SERVER, "class": "mass_mailer"}],
            "mail_servers": [home.SERVER], "public_ip": home.GATEWAY_OUTSIDE, "refusing_domains": refusing},
    )
    card.write(
        outside, title="A worm behind the mail server's NAT address, seen outside the gateway",
        report=["R1"], tap="outer interface of the gateway", command=command, seed=seed, began=office.began, hosts=hosts,
        settings={"home_net": [f"{home.GATEWAY_OUTSIDE}/32"]},
        shows=f"""
The same minutes as infected-pc.pcap, recorded at the same time on the other side of the gateway: worm and mail server share the
address {home.GATEWAY_OUTSIDE}. What tells them apart is left in the packets: the hop limit (63 against 127), the TCP options, the
HELO names, the dialect. No reader can name the PC from here, but it can tell that at least two senders share the address.""",
        truth=truth, expect={
            "host": [{"ip": home.GATEWAY_OUTSIDE, "class": "mass_mailer", "tier_at_least": "likely"},
                     {"ip": home.GATEWAY_OUTSIDE, "class": "blocklisted"}],
            "senders_at_least": 2, "public_ip": home.GATEWAY_OUTSIDE, "refusing_domains": refusing},
    )
