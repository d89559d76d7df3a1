#!/usr/bin/env python3
"""A mass-mailing worm as the network sees one, without the worm: it spreads nothing and carries nothing.

Looks up mail exchangers, connects to them directly, greets with a name that is no name, talks in a sloppy
dialect to mostly wrong recipients, gives up at the first refusal and never retries. It takes its addresses from a
list that the lab made up.

It refuses to run outside a namespace of the lab and to connect anywhere but to the documentation ranges (guard.py,
asked before every connection).

Usage: worm.py SEED SESSIONS SECONDS RESOLVER TARGETS.json OUTCOMES.json
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time

import dns
import guard
import mail
from talker import Talker

HELO_NAMES = ("pc-accounts", "pc-accounts", "pc-accounts", "localhost", "user")
CONNECT_TIMEOUT, REPLY_TIMEOUT = 9.0, 20.0


class Session:
    """One connection of the worm. Everything it does is decided by its own dice, so a seed repeats it."""

    def __init__(self, rng: random.Random, targets: dict):
        self.rng = rng
        domain = rng.choices(list(targets["domains"]), weights=list(targets["domains"].values()))[0]
        valid = targets["valid"].get(domain, ["info"])
        self.domain = domain
        self.recipients = [f"{rng.choice(valid) if rng.random() < targets['valid_share'] else mail.token(rng)}@{domain}"
                           for _ in range(rng.choices((1, 2, 3), weights=(8, 2, 1))[0])]
        self.sender = f"{mail.token(rng, 4, 8)}@{rng.choice(list(targets['valid']))}"
        self.helo = rng.choice(HELO_NAMES)
        self.verb = rng.choices(("HELO", "EHLO"), weights=(5, 1))[0]
        self.space = rng.choice((" ", ""))  # "MAIL FROM: <x>": not allowed, and widely tolerated
        self.early = rng.random() < 0.08
        self.quits = rng.random() < 0.35
        self.reset = rng.random() < 0.4

    def run(self, resolver: str) -> str:
        """The whole session; returns how it ended."""
        answers = dns.ask(resolver, self.domain, "MX")
        addresses = dns.ask(resolver, answers[0][1], "A") if answers else []
        if not addresses:
            return "no_mx"
        try:
            talker = Talker(addresses[0], connect_timeout=CONNECT_TIMEOUT, reply_timeout=REPLY_TIMEOUT)
        except TimeoutError:
            return "no_answer"
        except OSError:
            return "refused_connection"
        try:
            return self.talk(talker)
        except OSError:
            return "broken"
        finally:
            talker.hang_up(self.quits, self.reset)

    def talk(self, talker: Talker) -> str:
        if self.early:
            talker.send(f"{self.verb} {self.helo}")
        if talker.reply() != 220:
            return "refused_greeting"
        if not self.early:
            talker.send(f"{self.verb} {self.helo}")
        if talker.reply() >= 400:
            return "refused_helo"
        if talker.ask(f"MAIL FROM:{self.space}<{self.sender}>") >= 400:
            return "refused_sender"
        codes = [talker.ask(f"RCPT TO:{self.space}<{recipient}>") for recipient in self.recipients]
        if min(codes) >= 400:
            return f"refused_recipient_{codes[0]}"
        if talker.ask("DATA") != 354:
            return "refused_data"
        text = mail.message(self.rng, self.sender, self.recipients, 3, "X-Mailer: Mail 1.0")
        return "accepted" if talker.data(text) < 400 else "refused_message"


def main() -> None:
    guard.require_lab()
    seed, sessions, seconds, resolver, targets_file, outcomes_file = sys.argv[1:]
    guard.require(resolver, inside=True)
    with open(targets_file, encoding="ascii") as file:
        targets = json.load(file)
    rng = random.Random(int(seed))
    # A worm mails in bursts: a pause, then some sessions close together.
    starts, at = [], 0.0
    while len(starts) < int(sessions):
        burst = rng.randint(1, 6)
        starts += [at + rng.uniform(0, 4) for _ in range(burst)]
        at += rng.expovariate(1.0)
        at += burst
    scale = float(seconds) / max(starts)
    outcomes: dict[str, int] = {}
    lock = threading.Lock()

    def one(session: Session) -> None:
        outcome = session.run(resolver)
        with lock:
            outcomes[outcome] = outcomes.get(outcome, 0) + 1

    began, running = time.monotonic(), []
    for start in sorted(starts)[:int(sessions)]:
        time.sleep(max(0.0, began + start * scale - time.monotonic()))
        thread = threading.Thread(target=one, args=(Session(random.Random(rng.random()), targets),))
        thread.start()
        running.append(thread)
    for thread in running:
        thread.join()
    with open(outcomes_file, "w", encoding="ascii") as file:
        json.dump(dict(sorted(outcomes.items())), file)


if __name__ == "__main__":
    try:
        main()
    except guard.Refused as refused:
        sys.exit(f"refused: {refused}")
