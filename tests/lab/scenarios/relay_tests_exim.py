"""R4: the sixteen relay tests that a well-known scanner types, at an Exim. The scanner stops after RCPT."""

from __future__ import annotations

from pathlib import Path

import card
import mta
import office as home
import world
from lab import Lab
from talker import Talker

NAMES = ["relay-tests-exim"]
QUIET = ["192.168.10.21"]
SCANNER, EXT = "192.0.2.240", "adventure-works.example"
LITERAL, SERVER = f"[{home.GATEWAY_OUTSIDE}]", home.SERVER_NAME
# Sender and recipient, with their forms in the merged table of relay techniques, in the scanner's order.
TESTS = [
    ("S1", "F1", "", f"relaytest@{EXT}"),
    ("S2", "F1", f"antispam@{EXT}", f"relaytest@{EXT}"),
    ("S3", "F1", f"antispam@{SERVER}", f"relaytest@{EXT}"),
    ("S4", "F1", f"antispam@{LITERAL}", f"relaytest@{EXT}"),
    ("S4", "F2", f"antispam@{LITERAL}", f"relaytest%{EXT}@{LITERAL}"),
    ("S4", "F3", f"antispam@{LITERAL}", f"relaytest%{EXT}@{SERVER}"),
    ("S4", "F4", f"antispam@{LITERAL}", f'"relaytest@{EXT}"'),
    ("S4", "F5", f"antispam@{LITERAL}", f'"relaytest%{EXT}"'),
    ("S4", "F6", f"antispam@{LITERAL}", f"relaytest@{EXT}@{LITERAL}"),
    ("S4", "F7", f"antispam@{LITERAL}", f'"relaytest@{EXT}"@{LITERAL}'),
    ("S4", "F6", f"antispam@{LITERAL}", f"relaytest@{EXT}@{SERVER}"),
    ("S4", "F8", f"antispam@{LITERAL}", f"@{LITERAL}:relaytest@{EXT}"),
    ("S4", "F8", f"antispam@{LITERAL}", f"@{SERVER}:relaytest@{EXT}"),
    ("S4", "F9", f"antispam@{LITERAL}", f"{EXT}!relaytest"),
    ("S4", "F9", f"antispam@{LITERAL}", f"{EXT}!relaytest@{LITERAL}"),
    ("S4", "F9", f"antispam@{LITERAL}", f"{EXT}!relaytest@{SERVER}"),
]


def run(lab: Lab, captures: Path, command: str, seed: int) -> None:
    wanted = ("contoso.example", "birch.example", "elm.example", "iris.example", EXT)
    office = home.build(lab, [site for site in world.SITES if site.domain in wanted], QUIET, printer=False)
    office.world.address("lo", f"{SCANNER}/32")
    mta.EximServer(lab, office.server, home.SERVER, SERVER, home.DOMAIN, (*home.STAFF, "postmaster"))
    pcap = captures / "relay-tests-exim.pcap"
    office.record_inside(pcap)
    office.begin()
    home.everyday(office, out=15, scans=1000, incoming=6)
    office.at(45)
    verdicts, seen = [], []
    talker = None
    with office.world.inside():
        for number, (sender_form, form, sender, recipient) in enumerate(TESTS, 1):
            if talker is None or talker.ask("RSET") >= 400:
                # Exim hangs up after ten commands that are no mail; the scanner then begins again.
                talker = Talker(home.GATEWAY_OUTSIDE, SCANNER)
                talker.reply()
                talker.ask("EHLO scanner.test")
            codes = [talker.ask(f"MAIL FROM:<{sender}>"), talker.ask(f"RCPT TO:<{recipient}>")]
            lab.say(f"test {number}: {codes} {talker.last}")
            seen.append({"test": number, "codes": codes, "last": talker.last})
            verdicts.append({"server": home.SERVER, "client": SCANNER, "technique": [form, sender_form], "mailfrom": sender, "rcptto": recipient,
                             "verdict": "rejected" if max(codes) >= 400 else "accepted_unproven"})
            lab.wait(lab.rng.uniform(0.05, 0.3))
        talker.hang_up()
    lab.wait(25)
    lab.stop_recording()
    card.write(
        pcap, title="Sixteen relay tests of a scanner at an Exim", report=["R4"], tap="mirror port of the LAN switch", command=command,
        seed=seed, began=office.began, hosts=home.inventory(office) + [{"ip": SCANNER, "mac": home.MACS[home.PROVIDER], "role": "scanner"}],
        shows="""
Sixteen pairs of sender and recipient, RSET between them; after ten of these the server hangs up, and the scanner begins again. It never
sends DATA, so the best it can learn is that a recipient was accepted; nothing is relayed. Which of them the server takes is its own
answer, recorded here.""",
        truth={"test": seen},
        expect={"verdict": verdicts, "proven": 0, "ndrs": 0, "mail_servers": [home.SERVER], "local_domains": [home.DOMAIN],
                "no_incident_hosts": QUIET, "never": [{"ip": home.SERVER, "class": "relay", "verdict": "proven"}]},
    )
