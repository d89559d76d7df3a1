"""R4: the seven relay tests of KB 304897, typed at a server that appends its own domain to what has none.

Tests 1 to 5 are refused. Tests 6 and 7 are accepted with 250, and the non-delivery report that follows is the proof
that nothing was relayed. Exim behaves so where it takes unqualified addresses and does not verify recipients.
"""

from __future__ import annotations

from pathlib import Path

import card
import mail
import mta
import office as home
import world
from lab import Lab
from talker import Talker

NAMES = ["relay-tests"]
QUIET = ["192.168.10.21"]
TESTER, TESTER_DOMAIN, TARGET_DOMAIN = "198.51.100.150", "contoso.example", "adventure-works.example"
OUTSIDE_SENDER, TARGET = f"office@{TESTER_DOMAIN}", f"relaytest@{TARGET_DOMAIN}"


def tests(server: str) -> list[tuple[str, str, str, str]]:
    """The seven at a server of that address: technique, sender, recipient, what the server has to make of it."""
    return [
        ("T1", OUTSIDE_SENDER, TARGET, "rejected"),
        ("T2", "spamtest", TARGET, "rejected"),
        ("T3", "", TARGET, "rejected"),
        ("T4", f"sales@{home.DOMAIN}", TARGET, "rejected"),
        ("T5", f"spamtest@[{server}]", TARGET, "rejected"),
        ("T6", OUTSIDE_SENDER, TARGET.replace("@", "%"), "accepted_then_ndr"),
        ("T7", OUTSIDE_SENDER, f'"{TARGET}"', "accepted_then_ndr"),
    ]


TESTS = tests(home.GATEWAY_OUTSIDE)


def type_test(office: home.Office, sender: str, recipient: str, server: str = home.GATEWAY_OUTSIDE) -> tuple[list[int], str]:
    """One test in a connection of its own, typed at a human's pace. Returns the codes of MAIL, RCPT and the message, and
    the reply that decided."""
    lab = office.lab
    pause = lambda: lab.wait(lab.rng.uniform(0.8, 2.5))  # noqa: E731
    with office.world.inside():
        talker = Talker(server, TESTER)
        talker.reply()
        pause()
        talker.ask("HELO tester.test")
        pause()
        codes = [talker.ask(f"MAIL FROM:<{sender}>")]
        pause()
        if codes[-1] < 400:
            codes.append(talker.ask(f"RCPT TO:<{recipient}>"))
            pause()
        if codes[-1] < 400 and talker.ask("DATA") == 354:
            codes.append(talker.data(mail.message(lab.rng, sender, [recipient], 1, subject="relay test")))
            pause()
        decided = talker.last
        talker.hang_up()
    return codes, decided


def run(lab: Lab, captures: Path, command: str, seed: int) -> None:
    sites = [site for site in world.SITES if site.domain in (TESTER_DOMAIN, TARGET_DOMAIN, "birch.example", "elm.example", "iris.example")]
    office = home.build(lab, sites, QUIET, printer=False)
    office.world.address("lo", f"{TESTER}/32")
    mta.EximServer(lab, office.server, home.SERVER, home.SERVER_NAME, home.DOMAIN, (*home.STAFF, "postmaster"))
    pcap = captures / "relay-tests.pcap"
    office.record_inside(pcap)
    office.begin()
    home.everyday(office, out=25, scans=1000, incoming=8)
    office.at(45)
    verdicts, seen = [], []
    for technique, sender, recipient, verdict in TESTS:
        codes, _ = type_test(office, sender, recipient)
        lab.say(f"{technique} {codes}")
        seen.append({"technique": technique, "mail": f"MAIL FROM:<{sender}>", "rcpt": f"RCPT TO:<{recipient}>", "codes": codes})
        verdicts.append({"server": home.SERVER, "client": TESTER, "technique": [technique], "mailfrom": sender,
                         "rcptto": recipient, "verdict": verdict})
        lab.wait(lab.rng.uniform(3, 6))
    lab.wait(20)
    lab.stop_recording()
    card.write(
        pcap, title="The seven relay tests of KB 304897 at a server that is no open relay", report=["R4"],
        tap="mirror port of the LAN switch", command=command, seed=seed, began=office.began,
        hosts=home.inventory(office) + [{"ip": TESTER, "mac": home.MACS[home.PROVIDER], "role": "relay tester"}],
        shows="""
Somebody outside types the seven relay tests, each in a connection of its own. One to five are refused. Six (percent hack) and seven
(quoted address) are accepted, because the server appends its own domain, finds no such user, and reports that to the sender: the
two reports leave the server a moment later, and nothing else does.""",
        truth={"test": seen},
        expect={"verdict": verdicts, "proven": 0, "ndrs": 2, "mail_servers": [home.SERVER], "local_domains": [home.DOMAIN],
                "no_incident_hosts": QUIET, "never": [{"ip": home.SERVER, "class": "relay", "verdict": "proven"},
                                                      {"ip": home.SERVER, "class": "ndr_flood"}]},
    )
