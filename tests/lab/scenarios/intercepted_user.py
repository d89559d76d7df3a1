"""R6: a travelling user's mail program is set up rightly, but a transparent proxy takes over its port-25 connection."""

from __future__ import annotations

import smtplib
import socketserver
import time
from pathlib import Path

import card
import mail
import office as home
import world
from lab import HERE, Lab
from scenarios.account_abuse import encoded, with_accounts

NAMES = ["intercepted-user"]
QUIET = ["192.168.10.21", "192.168.10.25"]
AT_HOME, PROXY, PROXY_NAME = "192.0.2.245", "198.51.100.66", "mail.globalsuite.example"
LAPTOP, HOTEL = "192.168.10.201", "192.168.10.202"  # the hotel's own network; never captured
ACCOUNT = "desk2"
USER = f"{ACCOUNT}@{home.DOMAIN}"
TRAVELS, ENDS = 70, 270
REFUSED_AFTER = 4  # attempts of one client, before the server stops being patient
TOO_MANY = "550 5.2.1 Mailbox unavailable. Too many invalid delivery attempts were received from your IP address"


class Tarpit(socketserver.StreamRequestHandler):
    """A Postfix policy server: who sends as a local user from outside without having authenticated waits longer each
    time, and is refused."""

    attempts: dict[str, int] = {}
    log: list[tuple[str, float, str]] = []

    def handle(self) -> None:
        asked: dict[str, str] = {}
        for raw in self.rfile:
            key, _, value = raw.decode("utf-8", "replace").strip().partition("=")
            if key:
                asked[key] = value
                continue
            self.wfile.write(f"action={self.judge(asked)}\n\n".encode())
            asked = {}

    def judge(self, asked: dict[str, str]) -> str:
        client, sender = asked.get("client_address", ""), asked.get("sender", "")
        if client.startswith("192.168.10.") or asked.get("sasl_username") or not sender.endswith("@" + home.DOMAIN):
            return "DUNNO"
        count = self.attempts[client] = self.attempts.get(client, 0) + 1
        delay = min(2.5 * count, 20)
        time.sleep(delay)
        action = TOO_MANY if count > REFUSED_AFTER else "550 5.7.1 Client was not authenticated to send as a local user"
        self.log.append((client, delay, action[:9]))
        return action


def tarpit(office: home.Office) -> None:
    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with office.server.inside():
        server = Server(("127.0.0.1", 10024), Tarpit)
    office.lab.background(server.serve_forever)
    office.lab.closing.append(server.shutdown)


def hotel(office: home.Office):
    """The hotel: a laptop behind a gateway that leads every port-25 connection into its proxy."""
    lab, world_ = office.lab, office.world
    gateway, laptop = lab.namespace("hotel"), lab.namespace("laptop", net__ipv4__ip_default_ttl=128)
    lab.link(laptop, "eth0", gateway, "lan0")
    lab.link(gateway, "wan0", world_, "hotel0")
    laptop.address("eth0", f"{LAPTOP}/30", gateway=HOTEL)
    gateway.address("lan0", f"{HOTEL}/30")
    gateway.address("lo", f"{PROXY}/32")
    gateway.sysctl(net__ipv4__ip_forward=1, net__ipv4__conf__all__rp_filter=0)
    gateway.ip("route", "add", "default", "via", home.PROVIDER, "dev", "wan0", "onlink", "src", PROXY)
    gateway.nft("""
table ip intercept {
    chain pre {
        type nat hook prerouting priority dstnat;
        iifname "lan0" tcp dport 25 redirect to :2525
    }
}
""")
    world_.ip("route", "add", f"{PROXY}/32", "dev", "hotel0")
    world_.sysctl(net__ipv4__ip_forward=1)
    gateway.start("python3", str(HERE / "smtp_proxy.py"), "2525", home.GATEWAY_OUTSIDE, PROXY, PROXY_NAME, log="proxy.log")
    return laptop


def mail_program(space, source: str | None, password: str, recipients: list[str], text: str, sender: str = USER) -> str:
    """A mail program with `authenticate` ticked. Where no AUTH is offered it goes on without, as the old ones did."""
    with space.inside():
        client = smtplib.SMTP(timeout=120, local_hostname="laptop", source_address=(source, 0) if source else None)
        try:
            client.connect(home.GATEWAY_OUTSIDE, 25)
            client.ehlo()
            how = "with AUTH" if client.has_extn("auth") and sender == USER else "without AUTH"
            if how == "with AUTH":
                client.login(ACCOUNT, password)
            client.sendmail(sender, recipients, text)
            client.quit()
            return f"{how}: accepted"
        except smtplib.SMTPRecipientsRefused as error:
            client.close()
            return f"{how}: {sorted({code for code, _ in error.recipients.values()})}"
        except (smtplib.SMTPException, OSError) as error:
            client.close()
            return f"failed: {type(error).__name__}"


def run(lab: Lab, captures: Path, command: str, seed: int) -> None:
    office = home.build(lab, world.SITES, QUIET)
    office.world.address("lo", f"{AT_HOME}/32")
    password = mail.token(lab.rng, 12, 12)
    tarpit(office)
    server = home.mail_server(
        office, **with_accounts(office, {ACCOUNT: password}), smtpd_sender_restrictions="check_policy_service inet:127.0.0.1:10024")
    laptop = hotel(office)
    pcap = captures / "intercepted-user.pcap"
    office.record_inside(pcap)
    office.begin()
    home.everyday(office, out=14, scans=70, incoming=14)
    seen = []

    def send(space, source: str | None) -> None:
        recipient = lab.rng.choice([f"sales@{home.DOMAIN}", lab.rng.choice(office.sites).mailbox(lab.rng)])
        text = mail.message(lab.rng, USER, [recipient], 3, "X-Mailer: Mail Program 5")
        outcome = mail_program(space, source, password, [recipient], text)
        lab.say(f"the user: {outcome}")
        seen.append(outcome)

    for moment in (15, 32, 50):
        office.at(moment)
        send(office.world, AT_HOME)
    office.at(TRAVELS)
    lab.say("the user travels")
    guests = 0
    while office.now() < ENDS - 30:
        send(laptop, None)
        # Other guests of the hotel write to the office too, and nothing is wrong with their mail.
        sender = office.site(lab.rng.choice(["birch.example", "elm.example", "iris.example"])).mailbox(lab.rng)
        text = mail.message(lab.rng, sender, [f"sales@{home.DOMAIN}"], 2)
        mail_program(laptop, None, "", [f"sales@{home.DOMAIN}"], text, sender)
        guests += 1
        lab.wait(lab.rng.uniform(4, 9))
    office.at(ENDS)
    lab.stop_recording()
    delays = [{"client": client, "seconds": delay, "reply": reply} for client, delay, reply in Tarpit.log]
    card.write(
        pcap, title="A travelling user behind a transparent SMTP proxy", report=["R6"], tap="mirror port of the LAN switch", command=command,
        seed=seed, began=office.began, hosts=home.inventory(office) + [
            {"ip": AT_HOME, "mac": home.MACS[home.PROVIDER], "role": "the user at home, authenticates"},
            {"ip": PROXY, "mac": home.MACS[home.PROVIDER], "role": "transparent proxy of a hotel", "name": PROXY_NAME}],
        shows=f"""
At home the user authenticates and all is well. From second {TRAVELS} on, the user is in a hotel whose gateway leads port 25 into its own
proxy: the server sees EHLO {PROXY_NAME} and a local sender without AUTH, lets it wait longer each time, then answers 550 5.2.1.
Mail of other guests comes from the same address and is accepted.""",
        truth={"travels_s": TRAVELS, "user": seen, "guest_mails": guests, "tarpit": delays, **home.sent_by(server)},
        expect={"host": [{"ip": PROXY, "class": "interception", "helo": PROXY_NAME, "sender": USER}],
                "never_in_output": [password, encoded(password)], "tarpit": True,
                "no_incident_hosts": [*QUIET, home.PRINTER, home.SERVER, AT_HOME], "mail_servers": [home.SERVER]},
    )
