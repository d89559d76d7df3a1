"""R5: a server that really is an open relay. The onward session beside the inbound one is the proof."""

from __future__ import annotations

from pathlib import Path

import card
import mail
import office as home
import world
from lab import Lab
from scenarios.relay_tests import TESTS, type_test
from talker import Talker

NAMES = ["open-relay"]
QUIET = ["192.168.10.21", "192.168.10.25"]
TESTER, ABUSERS = "198.51.100.150", ["192.0.2.230", "198.51.100.231", "198.51.100.232"]
SITES = ("contoso.example", "adventure-works.example", "birch.example", "elm.example", "iris.example", "nettle.example", "oak.example")
ABUSE_BEGINS, ABUSE_ENDS, ENDS, MESSAGES = 60, 150, 175, 45


def relay_some(office: home.Office, counts: dict[str, int]) -> None:
    """One message of a stranger to a stranger."""
    rng = office.lab.rng
    sender, recipient = f"{mail.token(rng)}@{rng.choice(office.sites).domain}", rng.choice(office.sites).mailbox(rng)
    if rng.random() < 0.3:
        recipient = f"{mail.token(rng)}@{rng.choice(office.sites).domain}"
    with office.world.inside():
        talker = Talker(home.GATEWAY_OUTSIDE, rng.choice(ABUSERS))
        talker.reply()
        talker.ask(f"EHLO {mail.token(rng)}.test")
        codes = [talker.ask(f"MAIL FROM:<{sender}>"), talker.ask(f"RCPT TO:<{recipient}>")]
        if talker.ask("DATA") == 354:
            codes.append(talker.data(mail.message(rng, sender, [recipient], 3)))
        talker.hang_up()
    key = "accepted" if codes[-1] < 400 else "refused"
    counts[key] = counts.get(key, 0) + 1


def run(lab: Lab, captures: Path, command: str, seed: int) -> None:
    office = home.build(lab, [site for site in world.SITES if site.domain in SITES], QUIET)
    office.world.address("lo", *[f"{address}/32" for address in (TESTER, *ABUSERS)])
    # The classic mistake: the whole world is in the list of networks that may relay.
    server = home.mail_server(office, mynetworks="0.0.0.0/0")
    pcap = captures / "open-relay.pcap"
    office.record_inside(pcap)
    office.begin()
    home.everyday(office, out=14, scans=70, incoming=9)
    office.at(35)
    codes, _ = type_test(office, *TESTS[0][1:3])
    lab.say(f"T1 {codes}")
    office.at(ABUSE_BEGINS)
    lab.say("the abuse begins")
    counts: dict[str, int] = {}
    for moment in sorted(lab.rng.uniform(ABUSE_BEGINS, ABUSE_ENDS) for _ in range(MESSAGES)):
        office.at(moment)
        lab.background(relay_some, office, counts)
    office.at(ENDS)
    lab.stop_recording()
    card.write(
        pcap, title="An open relay, found by a test and then used", report=["R4", "R5"], tap="mirror port of the LAN switch",
        command=command, seed=seed, began=office.began, hosts=home.inventory(office) + [
            {"ip": TESTER, "mac": home.MACS[home.PROVIDER], "role": "relay tester"},
            *[{"ip": address, "mac": home.MACS[home.PROVIDER], "role": "relays its mail here"} for address in ABUSERS]],
        shows=f"""
The server {home.SERVER} relays for everybody. Somebody outside tries test T1, and the message leaves the server at once. From second
{ABUSE_BEGINS} on, three hosts send mail of strangers to strangers through it. Each inbound session has its onward session in the capture.""",
        truth={"t1_codes": codes, "abuse_begins_s": ABUSE_BEGINS, "relayed": counts, **home.sent_by(server)},
        expect={"host": [{"ip": home.SERVER, "class": "relay", "tier": "confirmed"}],
                "verdict": [{"server": home.SERVER, "client": TESTER, "technique": ["T1"], "mailfrom": TESTS[0][1],
                             "rcptto": TESTS[0][2], "verdict": "proven"}],
                "never": [{"ip": home.SERVER, "class": "mass_mailer"}],
                "no_incident_hosts": [*QUIET, home.PRINTER], "mail_servers": [home.SERVER]},
    )
