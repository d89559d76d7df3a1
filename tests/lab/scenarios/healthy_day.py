"""A healthy day: everything that looks a little like abuse and is none.

A newsletter with some dead addresses, greylisting, automatic replies with a null sender, address-verification
callouts, a copier that mails straight to one provider, monitoring probes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import card
import mail
import office as home
import world
from lab import Lab
from talker import Talker

NAMES = ["healthy-day"]
QUIET = ["192.168.10.21", "192.168.10.22", "192.168.10.24", "192.168.10.25", "192.168.10.26"]
MONITOR_INSIDE, MONITOR_OUTSIDE = "192.168.10.26", "198.51.100.60"
COPIER_PROVIDER = "pine.example"
NEWSLETTER_DOMAINS = ["contoso.example", "elm.example", "fir.example", "hazel.example", "kelp.example", "maple.example",
                      "nettle.example", "oak.example"]
NEWSLETTER_AT, ENDS = 60, 400
SUBSCRIBERS, DEAD_SHARE = 220, 0.03


def sites() -> list:
    """The usual world with more readers in it, one site that calls back senders, two that greylist."""
    changed = []
    for site in world.SITES:
        if site.domain in NEWSLETTER_DOMAINS:
            site = replace(site, users=site.users + tuple(f"reader{n:02}" for n in range(40)))
        if site.domain == "contoso.example":
            site = replace(site, policy=("callout",))
        if site.domain in ("kelp.example", "juniper.example"):
            site = replace(site, policy=("greylist",))
        changed.append(site)
    return changed


def run(lab: Lab, captures: Path, command: str, seed: int) -> None:
    office = home.build(lab, sites(), QUIET)
    rng = lab.rng
    server = home.mail_server(office)
    office.world.address("lo", f"{MONITOR_OUTSIDE}/32")
    pcap = captures / "healthy-day.pcap"
    office.record_inside(pcap)
    office.begin()
    home.dhcp(office)
    home.web(office)
    home.everyday(office, out=9, scans=70, incoming=12)
    counts = {"copier_mails": 0, "probes": 0, "automatic_replies": 0}

    def copier() -> None:
        """The copier mails scans straight to its owner's provider, always to the same place."""
        text = mail.message(rng, f"copier@{home.DOMAIN}", [f"office@{COPIER_PROVIDER}"], lines=20, subject="scan")
        mail.submit(office.pcs[home.PRINTER], office.site(COPIER_PROVIDER).address, 25, f"printer.{home.DOMAIN}",
                    f"copier@{home.DOMAIN}", [f"office@{COPIER_PROVIDER}"], text)
        counts["copier_mails"] += 1

    def probe(space, address: str, source: str | None) -> None:
        """Monitoring, on a fixed beat: connect, read the greeting, QUIT."""
        while not lab.wait(30):
            with space.inside():
                talker = Talker(address, source, inside=True)
                talker.reply()
                talker.hang_up()
            counts["probes"] += 1

    def out_of_office() -> None:
        """An automatic reply of the server to somebody outside (RFC 3834: null sender)."""
        site = office.site(rng.choice(["birch.example", "contoso.example", "iris.example"]))
        to = site.mailbox(rng)
        text = mail.message(rng, f"desk2@{home.DOMAIN}", [to], 2, "Auto-Submitted: auto-replied", "Out of office")
        mail.submit(office.server, home.SERVER, 25, home.SERVER_NAME, "", [to], text)
        counts["automatic_replies"] += 1

    office.every(25, copier)
    office.every(90, out_of_office)
    lab.background(probe, office.world, home.GATEWAY_OUTSIDE, MONITOR_OUTSIDE)
    lab.background(probe, office.pcs[MONITOR_INSIDE], home.SERVER, None)

    office.at(NEWSLETTER_AT)
    lab.say("the newsletter")
    readers = [f"reader{n:02}@{domain}" for domain in NEWSLETTER_DOMAINS for n in range(40)]
    dead = [f"former{n:02}@{rng.choice(NEWSLETTER_DOMAINS)}" for n in range(round(SUBSCRIBERS * DEAD_SHARE))]
    subscribers = rng.sample(readers, SUBSCRIBERS - len(dead)) + dead
    rng.shuffle(subscribers)
    for start in range(0, SUBSCRIBERS, 20):
        office.mail_out("192.168.10.24", f"news@{home.DOMAIN}", subscribers[start:start + 20], lines=6,
                        extra=f"List-Unsubscribe: <mailto:news@{home.DOMAIN}>")
        lab.wait(rng.uniform(2, 6))
    office.at(ENDS)
    lab.stop_recording()
    card.write(
        pcap, title="A healthy day of a small office", report=[], tap="mirror port of the LAN switch", command=command,
        seed=seed, began=office.began, hosts=home.inventory(office, {
            MONITOR_INSIDE: "PC with a monitoring probe", home.PRINTER: "copier, mails straight to one provider"}),
        shows=f"""
Nothing is wrong here. The server delivers the mail of the office, and a newsletter to {SUBSCRIBERS} readers of whom {len(dead)} do not
exist any more; two sites greylist it and take it on the retry; one site verifies senders by calling back with a null sender; the
server sends automatic replies with a null sender; a copier mails straight to one provider; two monitors look at the greeting every
30 seconds.""",
        truth={"newsletter_recipients": SUBSCRIBERS, "newsletter_dead": len(dead), **counts, **home.sent_by(server)},
        expect={"no_incidents": True, "mail_servers": [home.SERVER],
                "no_incident_hosts": [*QUIET, home.PRINTER, home.SERVER, MONITOR_OUTSIDE]},
    )
