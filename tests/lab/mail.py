"""Messages and the ordinary ways to hand them in: a mail program, swaks, a copier."""

from __future__ import annotations

import random
import smtplib
import string

WORDS = ("order", "offer", "invoice", "delivery", "meeting", "report", "quarter", "sample", "price", "list", "contract",
         "service", "request", "answer", "question", "update", "draft", "schedule", "week", "office", "shipment", "notes")


def token(rng: random.Random, low: int = 6, high: int = 10) -> str:
    return "".join(rng.choice(string.ascii_lowercase + string.digits) for _ in range(rng.randint(low, high)))


def phrase(rng: random.Random, count: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(count))


def message(rng: random.Random, sender: str, recipients: list[str], lines: int = 4, extra: str = "",
            subject: str | None = None) -> str:
    """A small text message with CRLF line ends."""
    domain = sender.rpartition("@")[2] or "localhost"
    head = [f"From: <{sender}>" if sender else f"From: MAILER-DAEMON@{domain}",
            f"To: {', '.join(f'<{one}>' for one in recipients[:3])}",
            f"Subject: {subject or phrase(rng, 3)}",
            f"Message-ID: <{token(rng, 12, 16)}@{domain}>"]
    if extra:
        head.append(extra)
    body = [phrase(rng, rng.randint(5, 10)) for _ in range(lines)]
    return "\r\n".join([*head, "", *body, ""])


def submit(space, server: str, port: int, helo: str, sender: str, recipients: list[str], text: str,
           timeout: float = 60) -> dict[str, tuple[int, str]]:
    """Sends as a mail program does (Python's smtplib). Returns the refused recipients with the reply."""
    with space.inside():
        client = smtplib.SMTP(timeout=timeout, local_hostname=helo)
        try:
            client.connect(server, port)
            refused = client.sendmail(sender, recipients, text)
            client.quit()
        except smtplib.SMTPRecipientsRefused as error:
            client.close()
            refused = error.recipients
        except (smtplib.SMTPException, OSError):
            client.close()
            return {one: (0, "no session") for one in recipients}
    return {who: (code, text.decode("ascii", "replace")) for who, (code, text) in refused.items()}


def swaks(space, server: str, helo: str, sender: str, recipient: str, text: str) -> None:
    """Sends one message with swaks, whose dialect is another one than smtplib's."""
    space.run("swaks", "--server", server, "--helo", helo, "--from", sender, "--to", recipient,
              "--data", "-", "--suppress-data", check=False, input=text.replace("\r\n", "\n"))
