"""Who is it? A worm that lies about its name, on a PC that tells its name to its neighbours all day long.

Each way of telling names is there by real software, on hosts that also mail, so that names and hosts must be put together.
"""

from __future__ import annotations

import json
from pathlib import Path

import card
import names
import office as home
import world
from lab import HERE, Lab

NAMES = ["names"]
GUILTY, SALES, STORE, DESK = "192.168.10.23", "192.168.10.21", "192.168.10.24", "192.168.10.25"
WORM_BEGINS, ENDS, SESSIONS = 12, 52, 30


def run(lab: Lab, captures: Path, command: str, seed: int) -> None:
    sites = [site for site in world.SITES if site.software == "postfix"][:6]
    office = home.build(lab, sites, [GUILTY, SALES, STORE, DESK], printer=False, loss=0.0)
    home.mail_server(office)
    pcap = captures / "names.pcap"
    office.record_inside(pcap)
    office.begin()
    # One machine says its name as a host name, the other as a whole domain name.
    home.dhcp(office, {GUILTY: ["-x", "hostname:PC-ACCOUNTS"], SALES: ["-F", f"pc-sales1.{home.DOMAIN}"]})
    config = names.netbios(office.pcs[GUILTY], "PC-ACCOUNTS", "ADATUM")
    names.mdns(office.pcs[DESK], "pc-desk1")
    names.llmnr(office.pcs[STORE], "pc-store")
    office.at(WORM_BEGINS)
    targets = lab.dir / "targets.json"
    targets.write_text(json.dumps({"domains": {site.domain: 1 for site in sites},
                                   "valid": {site.domain: site.users for site in sites}, "valid_share": 0.2}))
    worm = office.pcs[GUILTY].start(str(HERE / "worm.py"), str(seed), str(SESSIONS), str(ENDS - WORM_BEGINS - 12),
                                    home.GATEWAY_INSIDE, str(targets), str(lab.dir / "outcomes.json"), log="worm.log")
    for sender, pc in (("sales", SALES), ("store", STORE), ("desk1", DESK)):
        office.mail_out(pc, f"{sender}@{home.DOMAIN}", [sites[0].mailbox(lab.rng)])
    names.ask_llmnr(office.pcs[DESK], DESK, "pc-store")
    names.node_status(office.pcs[DESK], config, GUILTY)
    office.at(ENDS)
    worm.wait(60)
    lab.stop_recording()
    told = [(GUILTY, "dhcp", "PC-ACCOUNTS"), (GUILTY, "netbios", "PC-ACCOUNTS"), (SALES, "dhcp", f"pc-sales1.{home.DOMAIN}"),
            (DESK, "mdns", "pc-desk1"), (STORE, "llmnr", "pc-store")]
    card.write(
        pcap, title="A worm on a PC that tells its name by DHCP and NetBIOS, among others that tell theirs by mDNS and LLMNR",
        report=["R1"], tap="mirror port of the LAN switch", command=command, seed=seed, began=office.began,
        hosts=home.inventory(office, {GUILTY: "PC with the worm"}), more_software=names.versions(),
        shows=f"""
A short attack by the PC {GUILTY}, with every way in which machines of a local network tell their names: DHCP with a host name
(udhcpc) and with a domain name, NetBIOS registrations, announcements and a node status (Samba), mDNS announcements (Avahi) and
an LLMNR answer (systemd-resolved). The question by LLMNR is typed by the lab, as Windows would put it. The worm's HELO is not to
be trusted; what the machine tells its neighbours names it.""",
        truth={"worm_begins_s": WORM_BEGINS, "worm_sessions": SESSIONS,
               "worm_outcomes": json.loads((lab.dir / "outcomes.json").read_text())},
        expect={"host": [{"ip": GUILTY, "class": "mass_mailer", "tier_at_least": "likely", "rank": 1}],
                "no_incident_hosts": [SALES, STORE, DESK, home.SERVER, home.GATEWAY_INSIDE],
                "name": [{"ip": ip, "source": source, "name": name} for ip, source, name in told]},
    )
