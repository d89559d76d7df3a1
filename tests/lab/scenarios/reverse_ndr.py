"""R2, R3 to their end: the flood of reports, then the server checks recipients and the traffic falls."""

from __future__ import annotations

from pathlib import Path

import card
import mta
import office as home
import world
from lab import Lab
from scenarios.ndr_flood import QUIET, SPAMMERS, Flood, bouncing_server

NAMES = ["reverse-ndr"]
FLOOD_BEGINS, CHECKED, ENDS = 45, 225, 420
SPAM = 270  # over the whole time, at an even rate: the cause does not change, the server does


def run(lab: Lab, captures: Path, command: str, seed: int) -> None:
    office = home.build(lab, world.SITES, QUIET, dead=world.DEAD, resets=world.RESETS)
    office.world.address("lo", *[f"{address}/32" for address in SPAMMERS])
    server = bouncing_server(office)
    valid = mta.write_table(lab.dir / "valid", {name: "x" for name in (*home.STAFF, "postmaster")})
    pcap = captures / "reverse-ndr.pcap"
    office.record_inside(pcap, "not port 53")
    office.begin()
    home.everyday(office, out=16, scans=80, incoming=16)
    office.at(FLOOD_BEGINS)
    lab.say("the flood begins")
    before, after = Flood(office), Flood(office)
    span = ENDS - 15 - FLOOD_BEGINS
    first = round(SPAM * (CHECKED - FLOOD_BEGINS) / span)
    before.run(first, CHECKED)
    lab.say("the server checks recipients from now on")
    server.set(local_recipient_maps=valid)
    after.run(SPAM - first, ENDS - 15)
    office.at(ENDS)
    lab.stop_recording()
    card.write(
        pcap, title="A reverse NDR attack, before and after the remedy", report=["R2", "R3"],
        tap="mirror port of the LAN switch, without DNS", command=command, seed=seed, began=office.began,
        hosts=home.inventory(office) + [{"ip": address, "mac": home.MACS[home.PROVIDER], "role": "sends the spam that triggers the reports"}
                                        for address in SPAMMERS],
        shows=f"""
From second {FLOOD_BEGINS} to the end, hosts in the world send mail for unknown users at an even rate. Until second {CHECKED} the server
accepts it and reports to the forged senders; then it is told to check recipients, refuses with 550 5.1.1, and its outbound traffic falls to
the honest mail and what is still queued.""",
        truth={"flood_begins_s": FLOOD_BEGINS, "checked_s": CHECKED, "spam_before": dict(sorted(before.outcomes.items())),
               "spam_after": dict(sorted(after.outcomes.items())), **home.sent_by(server)},
        expect={"host": [{"ip": home.SERVER, "class": "ndr_flood", "kind": "reverse"}],
                "never": [{"ip": home.SERVER, "class": "mass_mailer"}],
                "no_incident_hosts": [*QUIET, home.PRINTER], "mail_servers": [home.SERVER]},
    )
