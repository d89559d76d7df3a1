"""R5: an account with a weak password is guessed over AUTH LOGIN, then used from outside to relay.

A real Cyrus SASL back end judges the passwords. The names and passwords exist in this lab only.
"""

from __future__ import annotations

import base64
from pathlib import Path

import card
import mail
import office as home
import world
from lab import Lab, sh
from talker import Talker

NAMES = ["account-abuse"]
QUIET = ["192.168.10.21", "192.168.10.25"]
GUESSER, USERS_OF_IT = "198.51.100.145", ["192.0.2.235", "198.51.100.236"]
ACCOUNT, PASSWORD = "test", "test123"
NAMES_TRIED = ("admin", "guest", "webmaster", "info", "sales", "office", "scan", "backup", "postmaster", "test")
PASSWORDS = ("123456", "password", "letmein", "{name}", "{name}1", "{name}123")
GUESSING, RELAYING, RELAYING_ENDS, ENDS = 40, 115, 260, 270
MESSAGES = 125
SASL = "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\nsasldb_path: {path}\n"


def with_accounts(office: home.Office, known: dict[str, str]) -> dict:
    """The SASL data base and what makes Postfix use it, as arguments of `mail_server`. All staff have accounts; who is not in `known` has
    a long random password."""
    where = office.lab.dir / "sasl"
    where.mkdir()
    database = where / "sasldb2"
    for name, password in ({name: mail.token(office.lab.rng, 14, 16) for name in home.STAFF} | known).items():
        sh("saslpasswd2", "-c", "-p", "-f", str(database), "-u", home.DOMAIN, name, input=password)
    database.chmod(0o644)
    # Debian's Postfix looks for this file below its configuration directory.
    return {"files": {"sasl/smtpd.conf": SASL.format(path=database)}, "smtpd_sasl_auth_enable": "yes",
            "smtpd_sasl_local_domain": home.DOMAIN,
            "smtpd_tls_auth_only": "no", "smtpd_sasl_security_options": "noanonymous",
            "smtpd_relay_restrictions": "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination",
            # Postfix slows guessing down by itself; a second each, and it hangs up after some errors.
            "smtpd_error_sleep_time": "1s", "smtpd_hard_error_limit": "12"}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def log_in(talker: Talker, name: str, password: str) -> int:
    if talker.ask("AUTH LOGIN") != 334 or talker.ask(encoded(name)) != 334:
        return 999
    return talker.ask(encoded(password))


def guess(office: home.Office, attempts: list[tuple[str, str]]) -> dict[str, int]:
    """Tries names and passwords, some in each connection, until one is right."""
    results = {"tried": 0, "failed": 0}
    talker, left = None, 0
    with office.world.inside():
        for name, password in attempts:
            if talker is None:
                talker, left = Talker(home.GATEWAY_OUTSIDE, GUESSER), office.lab.rng.randint(3, 7)
                talker.reply()
                talker.ask("EHLO user")
            code = log_in(talker, name, password)
            results["tried"] += 1
            left -= 1
            if code == 235:
                results["succeeded_after"] = results["tried"]
                talker.hang_up()
                return results
            results["failed"] += 1
            if code == 999 or left == 0:
                talker.hang_up(quits=code != 999 and office.lab.rng.random() < 0.5)
                talker = None
                office.lab.wait(office.lab.rng.uniform(2, 7))
    return results


def relay(office: home.Office, counts: dict[str, int]) -> None:
    """One authenticated session of an abuser: a few messages to strangers."""
    rng = office.lab.rng
    with office.world.inside():
        talker = Talker(home.GATEWAY_OUTSIDE, rng.choice(USERS_OF_IT))
        talker.reply()
        talker.ask("EHLO " + mail.token(rng))
        log_in(talker, ACCOUNT, PASSWORD)
        for _ in range(rng.randint(3, 6)):
            if counts["messages"] >= MESSAGES:
                break
            counts["messages"] += 1
            site = rng.choice(office.sites)
            recipient = site.mailbox(rng) if rng.random() < 0.5 else f"{mail.token(rng)}@{site.domain}"
            sender = f"{mail.token(rng)}@{rng.choice(office.sites).domain}"
            codes = [talker.ask(f"MAIL FROM:<{sender}>"), talker.ask(f"RCPT TO:<{recipient}>")]
            if max(codes) < 400 and talker.ask("DATA") == 354 and talker.data(mail.message(rng, sender, [recipient], 2)) < 400:
                counts["accepted"] += 1
        talker.hang_up()


def run(lab: Lab, captures: Path, command: str, seed: int) -> None:
    office = home.build(lab, world.SITES, QUIET)
    office.world.address("lo", *[f"{address}/32" for address in (GUESSER, *USERS_OF_IT)])
    server = home.mail_server(office, **with_accounts(office, {ACCOUNT: PASSWORD}))
    pcap = captures / "account-abuse.pcap"
    office.record_inside(pcap, "not port 53")
    office.begin()
    home.everyday(office, out=14, scans=70, incoming=12)
    office.at(GUESSING)
    lab.say("guessing begins")
    attempts = [(name, word.format(name=name)) for name in NAMES_TRIED for word in PASSWORDS]
    lab.rng.shuffle(attempts)
    right = (ACCOUNT, PASSWORD)
    # The right guess comes late: not before two thirds of the list.
    attempts.remove(right)
    attempts.insert(lab.rng.randint(38, 50), right)
    guessed = guess(office, attempts)
    lab.say(f"guessed: {guessed}")
    office.at(RELAYING)
    counts = {"messages": 0, "accepted": 0}
    while counts["messages"] < MESSAGES and office.now() < RELAYING_ENDS:
        relay(office, counts)
        lab.wait(lab.rng.uniform(0.3, 3.5))
    office.at(ENDS)
    lab.stop_recording()
    card.write(
        pcap, title="A guessed account relays", report=["R5"], tap="mirror port of the LAN switch, without DNS", command=command,
        seed=seed, began=office.began, hosts=home.inventory(office) + [
            {"ip": GUESSER, "mac": home.MACS[home.PROVIDER], "role": "guesses passwords"},
            *[{"ip": address, "mac": home.MACS[home.PROVIDER], "role": "relays with the guessed account"} for address in USERS_OF_IT]],
        shows=f"""
From second {GUESSING} on, {GUESSER} guesses names and passwords over AUTH LOGIN, some in each connection. The account "{ACCOUNT}" has a
weak password and is found. Then two other hosts log in with it and relay mail of strangers to strangers, many of whom do not exist.""",
        truth={"guessing_s": GUESSING, "guessing": guessed, "relaying": counts, **home.sent_by(server)},
        expect={"host": [{"ip": home.SERVER, "class": "account_abuse", "account": ACCOUNT},
                         {"ip": home.SERVER, "class": "auth_guessing", "client": GUESSER}],
                "clients_to_block": [GUESSER, *USERS_OF_IT], "never_in_output": [PASSWORD, encoded(PASSWORD)],
                "never": [{"ip": home.SERVER, "class": "mass_mailer"}],
                "no_incident_hosts": [*QUIET, home.PRINTER], "mail_servers": [home.SERVER]},
    )
