"""R4: the seven relay tests of KB 304897 at a Postfix that relays for everybody: each of them leaves again."""

from __future__ import annotations

from pathlib import Path

import card
import office as home
import world
from lab import Lab
from scenarios.relay_tests_postfix import QUIET, SITES, TESTER, Series

NAMES = ["relay-tests-open"]


def run(lab: Lab, captures: Path, command: str, seed: int) -> None:
    office = home.build(lab, [site for site in world.SITES if site.domain in SITES], QUIET, printer=False)
    office.world.address("lo", f"{TESTER}/32")
    # The classic mistake: the whole world is in the list of networks that may relay.
    series = Series(home.SERVER, home.GATEWAY_OUTSIDE, home.mail_server(office, mynetworks="0.0.0.0/0"))
    pcap = captures / "relay-tests-open.pcap"
    office.record_inside(pcap)
    office.begin()
    home.everyday(office, out=25, scans=1000, incoming=8)
    office.at(45)
    series.type(office)
    lab.wait(20)
    lab.stop_recording()
    seen, verdicts = series.told(["proven"] * 7)
    card.write(
        pcap, title="The seven relay tests of KB 304897 at an open relay", report=["R4"], tap="mirror port of the LAN switch",
        command=command, seed=seed, began=office.began,
        hosts=home.inventory(office) + [{"ip": TESTER, "mac": home.MACS[home.PROVIDER], "role": "relay tester"}],
        shows=f"""
Somebody outside types the seven relay tests at {home.SERVER}, each in a connection of its own. The server relays for everybody and has
Postfix's defaults otherwise, so it also follows the percent sign and looks into the quotes: all seven are accepted, and each leaves
for the same outside mailbox at once.""",
        truth={"test": seen},
        expect={"host": [{"ip": home.SERVER, "class": "relay", "tier": "confirmed"}], "verdict": verdicts, "proven": 7, "ndrs": 0,
                "mail_servers": [home.SERVER], "local_domains": [home.DOMAIN], "no_incident_hosts": QUIET,
                "never": [{"ip": home.SERVER, "class": "mass_mailer"}]},
    )
