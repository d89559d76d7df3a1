"""R1 to its end: the worm, the listing, the queue that fills; the PC is taken away, the address is unlisted, mail flows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import card
import office as home
import world
from lab import Lab
from scenarios.infected_pc import GUILTY, start_worm

NAMES = ["recovery"]
QUIET = ["192.168.10.21", "192.168.10.22", "192.168.10.25"]
WORM_BEGINS, LISTED, REMOVED, UNLISTED, ENDS = 40, 100, 170, 235, 420
SESSIONS = 60  # planned for a longer life: the PC is taken away in the middle of them


def sites() -> list:
    """The usual world, but what refuses refuses so that the mail stays in the queue: at the greeting, or with 421."""
    return [replace(site, policy=tuple("dnsbl-connect" if rule in ("dnsbl", "dnsbl-550") else rule for rule in site.policy))
            for site in world.SITES]


def run(lab: Lab, captures: Path, command: str, seed: int) -> None:
    office = home.build(lab, sites(), [GUILTY, *QUIET], dead=world.DEAD, resets=world.RESETS)
    server = home.mail_server(office)
    pcap = captures / "recovery.pcap"
    office.record_inside(pcap)
    office.begin()
    home.dhcp(office)
    home.everyday(office, out=5, scans=70, incoming=14)
    office.at(WORM_BEGINS)
    lab.say("the worm begins")
    worm = start_worm(office, seed, SESSIONS, 190)
    office.at(LISTED)
    office.zone.list_address(home.GATEWAY_OUTSIDE)
    lab.say("listed")
    office.at(REMOVED)
    # Somebody pulls the plug: sessions end in the middle, without FIN or RST.
    office.switch.ip("link", "set", f"p-{office.pcs[GUILTY].role}", "down")
    worm.terminate()
    lab.say("the PC is taken away")
    office.at(UNLISTED)
    office.zone.unlist_address(home.GATEWAY_OUTSIDE)
    lab.say("unlisted")
    office.at(ENDS)
    lab.stop_recording()
    card.write(
        pcap, title="A worm, a listing, and the recovery", report=["R1"], tap="mirror port of the LAN switch", command=command, seed=seed,
        began=office.began, hosts=home.inventory(office, {GUILTY: "PC with the worm, unplugged in the middle"}),
        shows=f"""
Like infected-pc.pcap, to the end of the story: the worm begins at second {WORM_BEGINS}, the address is listed at {LISTED}, the PC is
unplugged at {REMOVED}, the address is taken off the list at {UNLISTED}. The sites refuse at the greeting or with 421, so the server's
mail stays in the queue, is retried, and gets through once the address is clean.""",
        truth={"worm_begins_s": WORM_BEGINS, "listed_s": LISTED, "removed_s": REMOVED, "unlisted_s": UNLISTED, **home.sent_by(server)},
        expect={"host": [{"ip": GUILTY, "class": "mass_mailer", "tier": "confirmed", "rank": 1},
                         {"ip": home.SERVER, "class": "blocklisted", "role": "victim", "recovered": True}],
                "never": [{"ip": home.SERVER, "class": "mass_mailer"}], "no_incident_hosts": [*QUIET, home.PRINTER],
                "mail_servers": [home.SERVER], "public_ip": home.GATEWAY_OUTSIDE, "refusing_domains": home.refused_by(server)},
    )
