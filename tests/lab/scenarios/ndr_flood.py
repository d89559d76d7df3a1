"""R2, R3: a server that takes mail for unknown users and answers each with a report to a stranger."""

from __future__ import annotations

from pathlib import Path

import card
import mail
import mta
import office as home
import world
from lab import Lab
from talker import Talker

NAMES = ["ndr-flood"]
QUIET = ["192.168.10.21", "192.168.10.25"]
# Outside hosts that send the spam; bots of somebody else's.
SPAMMERS = [f"192.0.2.{n}" for n in range(220, 230)] + [f"198.51.100.{n}" for n in range(220, 228)]
FLOOD_BEGINS, FLOOD_ENDS, ENDS = 60, 330, 370
SPAM = 225


def bouncing_server(office: home.Office, **changes: str) -> mta.Postfix:
    """A Postfix that accepts every recipient of its domain and finds out later who does not exist."""
    aliases = office.lab.dir / "aliases"
    aliases.mkdir()
    return home.mail_server(
        office, local_recipient_maps="", local_transport="local:", mailbox_size_limit="0",
        alias_maps=mta.write_table(aliases / "aliases", {name: "/dev/null" for name in (*home.STAFF, "postmaster")}),
        bounce_size_limit="1", notify_classes="", **changes)


class Flood:
    """Spam for users that do not exist, from many hosts, with senders who know nothing of it."""

    def __init__(self, office: home.Office, recipients_known: float = 0.0):
        self.office, self.rng = office, office.lab.rng
        self.outcomes: dict[str, int] = {}
        self.senders: set[str] = set()
        self.known = recipients_known

    def sender(self) -> str:
        """A forged sender: mostly somebody real, else a user, a host or a domain that does not exist."""
        kind = self.rng.random()
        if kind < 0.62:
            return self.rng.choice(world.SITES).mailbox(self.rng)
        if kind < 0.85:
            return f"{mail.token(self.rng)}@{self.rng.choice(world.SITES).domain}"
        if kind < 0.95:
            return f"{mail.token(self.rng)}@{self.rng.choice([*world.DEAD, *world.RESETS])}"
        return f"{mail.token(self.rng)}@{world.NOWHERE}"

    def one(self) -> None:
        rng, sender = self.rng, self.sender()
        recipient = f"{mail.token(rng)}@{home.DOMAIN}"
        text = mail.message(rng, sender, [recipient], 2)
        outcome = "broken"
        try:
            with self.office.world.inside():
                talker = Talker(home.GATEWAY_OUTSIDE, rng.choice(SPAMMERS))
                talker.reply()
                talker.ask(f"{rng.choice(['HELO', 'EHLO'])} {mail.token(rng)}.test")
                code = talker.ask(f"MAIL FROM:<{sender}>")
                if code < 400:
                    code = talker.ask(f"RCPT TO:<{recipient}>")
                if code < 400 and talker.ask("DATA") == 354:
                    code = talker.data(text)
                talker.hang_up(quits=rng.random() < 0.7)
            outcome = "accepted" if code < 400 else f"refused_{code}"
            if code < 400:
                self.senders.add(sender.rpartition("@")[2])
        except OSError:
            pass
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def run(self, count: int, until: float) -> None:
        """`count` messages at random moments between now and that second of the recording."""
        begin = self.office.now()
        threads = []
        for moment in sorted(self.rng.uniform(begin, until) for _ in range(count)):
            self.office.at(moment)
            threads.append(self.office.lab.background(self.one))
        self.office.join(threads, 60)


def run(lab: Lab, captures: Path, command: str, seed: int) -> None:
    office = home.build(lab, world.SITES, QUIET, dead=world.DEAD, resets=world.RESETS)
    office.world.address("lo", *[f"{address}/32" for address in SPAMMERS])
    server = bouncing_server(office)
    pcap = captures / "ndr-flood.pcap"
    office.record_inside(pcap, "not port 53")
    office.begin()
    home.everyday(office, out=14, scans=80, incoming=14)
    office.at(FLOOD_BEGINS)
    lab.say("the flood begins")
    flood = Flood(office)
    flood.run(SPAM, FLOOD_ENDS)
    office.at(ENDS)
    lab.stop_recording()
    card.write(
        pcap, title="A reverse NDR attack: reports to strangers", report=["R2", "R3"], tap="mirror port of the LAN switch, without DNS",
        command=command, seed=seed, began=office.began, hosts=home.inventory(office) + [
            {"ip": address, "mac": home.MACS[home.PROVIDER], "role": "sends the spam that triggers the reports"} for address in SPAMMERS],
        shows=f"""
The server {home.SERVER} accepts every recipient of its domain. From second {FLOOD_BEGINS} on, hosts in the world send it mail for users
that do not exist, with forged senders. The server answers each with a non-delivery report to a stranger. Some reports are refused
there, some cannot be delivered and stay in the queue. Honest mail goes on beside it.""",
        truth={"flood_begins_s": FLOOD_BEGINS, "spam_sessions": SPAM, "spam_outcomes": dict(sorted(flood.outcomes.items())),
               "forged_domains": len(flood.senders), "trigger_clients": len(SPAMMERS), **home.sent_by(server)},
        expect={"host": [{"ip": home.SERVER, "class": "ndr_flood", "kind": "reverse"}],
                "never": [{"ip": home.SERVER, "class": "mass_mailer"}],
                "no_incident_hosts": [*QUIET, home.PRINTER], "mail_servers": [home.SERVER]},
    )
