"""Real mail servers: Postfix and Exim instances with a configuration of their own, each inside a namespace.

A `Site` is a domain out in the world with its mail exchanger. Many sites share one Postfix or one Exim instance: each
has its own address, its own name in the greeting and its own policy, as with any hosted mail exchanger.
"""

from __future__ import annotations

import os
import pwd
import re
import time
from dataclasses import dataclass
from pathlib import Path

from dns import Zone
from lab import Lab, LabError, Namespace, sh

EXIM = "/opt/smtphound-lab/exim/usr/sbin/exim4"
INJECT_PORT = 2525  # on 127.0.0.1 of the world: how the lab hands mail to the outside servers; never captured

# What block-list users answer; the block list itself lives in the lab's own DNS.
LISTED_554 = "$rbl_code 5.7.1 Service unavailable; $rbl_class [$rbl_what] blocked using zen.spamhaus.org; $rbl_reason"
LISTED_550 = "550 5.7.1 $rbl_class [$rbl_what] rejected: listed at zen.spamhaus.org, see $rbl_reason"
THROTTLED_421 = ("421 4.7.0 [$rbl_what] Our system has detected an unusual rate of unsolicited mail originating from your"
                 " IP address. Try again later.")


@dataclass
class Site:
    """One domain in the world. `policy` is any of: dnsbl, dnsbl-connect, dnsbl-550, throttle, greylist, fqdn-helo,
    sender-domain, callout, catch-all."""

    domain: str
    address: str
    software: str = "postfix"
    users: tuple[str, ...] = ("info", "sales", "orders", "office", "support")
    policy: tuple[str, ...] = ()
    host: str = ""
    greeting: str = ""

    def __post_init__(self):
        self.host = self.host or f"mx.{self.domain}"

    def mailbox(self, rng) -> str:
        return f"{rng.choice(self.users)}@{self.domain}"

    def publish(self, zone: Zone) -> None:
        zone.host(self.host, self.address)
        zone.add(self.domain, "MX", (10, self.host))
        zone.add(self.domain, "A", self.address)


def await_port(space: Namespace, address: str, port: int, seconds: float = 20) -> None:
    """Waits until something listens, without connecting (a capture may be running)."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        listening = space.run("ss", "-Hltn", "sport", "=", f":{port}").stdout
        if f"{address}:{port} " in listening or f"0.0.0.0:{port} " in listening:
            return
        time.sleep(0.1)
    raise LabError(f"nothing listens on {address}:{port} in {space.name}")


# The processes every Postfix instance has, beside the smtpd and smtp entries that the caller writes.
MASTER = """\
postlog   unix-dgram n -       n       -       1       postlogd
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
proxywrite unix -       -       n       -       1       proxymap
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
local     unix  -       n       n       -       -       local
virtual   unix  -       n       n       -       -       virtual
lmtp      unix  -       -       n       -       -       lmtp
anvil     unix  -       -       n       -       1       anvil
scache    unix  -       -       n       -       1       scache
"""

MAIN = {
    "compatibility_level": "3.6",
    "maillog_file_prefixes": "/tmp",
    "inet_protocols": "ipv4",
    "mydestination": "",
    "mynetworks": "127.0.0.0/8",
    "alias_maps": "",
    "alias_database": "",
    "biff": "no",
    "smtpd_tls_security_level": "none",
    "smtp_tls_security_level": "",
    "smtpd_peername_lookup": "yes",
    # Retries within minutes, so that a capture of some minutes shows them.
    "queue_run_delay": "20s",
    "minimal_backoff_time": "70s",
    "maximal_backoff_time": "150s",
    "smtp_connect_timeout": "15s",
    "bounce_size_limit": "400",
    "default_process_limit": "60",
}


class Postfix:
    """One Postfix instance: a configuration directory, a queue, a log, all below the lab's directory."""

    def __init__(self, lab: Lab, space: Namespace, name: str, main: dict[str, str], services: str,
                 files: dict[str, str] | None = None):
        self.lab, self.space = lab, space
        self.config = lab.dir / f"postfix-{name}"
        self.queue = lab.dir / f"postfix-{name}-queue"
        self.data = lab.dir / f"postfix-{name}-data"
        self.log = lab.dir / f"postfix-{name}.log"
        for directory in (self.config, self.queue, self.data):
            directory.mkdir(mode=0o755)
        owner = pwd.getpwnam("postfix")
        os.chown(self.data, owner.pw_uid, owner.pw_gid)
        settings = {**MAIN, "queue_directory": str(self.queue), "data_directory": str(self.data),
                    "maillog_file": str(self.log), **main}
        self.settings = settings
        self._write_main()
        (self.config / "master.cf").write_text(services + MASTER)
        for path, text in (files or {}).items():
            (self.config / path).parent.mkdir(exist_ok=True)
            (self.config / path).write_text(text)
        self._command("start")
        # Closed by the lab: master and all its children end together.
        lab.closing.append(self.stop)

    def _write_main(self) -> None:
        text = "".join(f"{key} = {value}\n" for key, value in self.settings.items())
        (self.config / "main.cf").write_text(text)

    def _command(self, verb: str, check: bool = True) -> None:
        done = self.space.run("postfix", "-c", str(self.config), verb, check=False)
        if check and done.returncode != 0:
            log = self.log.read_text() if self.log.exists() else ""
            raise LabError(f"postfix {verb}: {done.stderr}{done.stdout}{log}")

    def set(self, **settings: str) -> None:
        """Changes main.cf under the running instance, as an administrator does."""
        self.settings.update(settings)
        self._write_main()
        self._command("reload")

    def flush(self) -> None:
        self.space.run("postqueue", "-c", str(self.config), "-f", check=False)

    def became(self, queue_id: str) -> dict[str, str]:
        """What the log says became of a mail of one recipient: which program had it last and with what result, and the
        same of the report to its sender, if there is one."""
        log = self.log.read_text()
        delivery = re.compile(rf" postfix/(\w+)\[\d+\]: {queue_id}: to=<.*, status=(\w+) \((.*)\)$", re.MULTILINE)
        found = {}
        for program, status, words in delivery.findall(log):
            found = {"by": program, "status": status, "words": words}
        report = re.search(rf": {queue_id}: sender non-delivery notification: (\w+)$", log, re.MULTILINE)
        if report:
            found["report"] = self.became(report[1]).get("status", "queued")
        return found

    def stop(self) -> None:
        self._command("stop", check=False)

    def table(self, name: str, rows: dict[str, str]) -> str:
        """A lookup table in the configuration directory; returns how main.cf names it."""
        return write_table(self.config / name, rows)


def write_table(path: Path, rows: dict[str, str]) -> str:
    path.write_text("".join(f"{key} {value}\n" for key, value in rows.items()))
    path.chmod(0o644)
    return f"texthash:{path}"


def service(address: str, options: dict[str, str], port: int = 25) -> str:
    """An smtpd entry of master.cf that listens on one address with options of its own."""
    lines = [f"{address}:{port} inet n - n - - smtpd"]
    lines += [f"    -o {{ {key} = {value} }}" for key, value in options.items()]
    return "\n".join(lines) + "\n"


def transport(name: str, options: dict[str, str]) -> str:
    lines = [f"{name} unix - - n - - smtp"]
    lines += [f"    -o {{ {key} = {value} }}" for key, value in options.items()]
    return "\n".join(lines) + "\n"


def postfix_world(lab: Lab, world: Namespace, sites: list[Site]) -> Postfix:
    """The outside servers that run Postfix; it also sends, each domain from its own address."""
    services = service("127.0.0.1", {"smtpd_recipient_restrictions": "permit_mynetworks, reject",
                                     "smtpd_relay_restrictions": "permit_mynetworks, reject",
                                     "myhostname": "inject.test"}, INJECT_PORT)
    senders = {}
    for number, site in enumerate(sites):
        client, recipient = [], ["reject_unauth_destination"]
        options = {"myhostname": site.host, "smtpd_banner": site.greeting or "$myhostname ESMTP $mail_name"}
        for rule in site.policy:
            if rule.startswith("dnsbl") or rule == "throttle":
                client.append(f"reject_rbl_client {Zone.BLOCK_LIST}")
                # An smtpd process remembers what a block list said for as long as it lives; let none live long.
                options["max_use"] = "1"
                options["smtpd_delay_reject"] = "no" if rule == "dnsbl-connect" else "yes"
                options["default_rbl_reply"] = {"throttle": THROTTLED_421, "dnsbl-550": LISTED_550}.get(rule, LISTED_554)
            elif rule == "greylist":
                recipient.append("reject_unlisted_recipient")
                recipient.append("check_policy_service inet:127.0.0.1:10023")
            elif rule == "callout":
                recipient.append("reject_unverified_sender")
            elif rule == "fqdn-helo":
                options["smtpd_helo_restrictions"] = "reject_non_fqdn_helo_hostname"
            elif rule == "sender-domain":
                options["smtpd_sender_restrictions"] = "reject_unknown_sender_domain"
            elif rule != "catch-all":
                raise LabError(f"{site.domain}: no policy {rule}")
        if client:
            options["smtpd_client_restrictions"] = ", ".join(client)
        options["smtpd_recipient_restrictions"] = ", ".join(recipient)
        services += service(site.address, options)
        services += transport(f"out{number}", {"smtp_bind_address": site.address, "smtp_helo_name": site.host,
                                               "myhostname": site.host})
        senders[f"@{site.domain}"] = f"out{number}:"
    tables = lab.dir / "world-tables"
    tables.mkdir()
    mailboxes = {f"{user}@{site.domain}": "x" for site in sites for user in site.users}
    mailboxes |= {f"@{site.domain}": "x" for site in sites if "catch-all" in site.policy}
    if any("greylist" in site.policy for site in sites):
        greylister(lab, world)
    world_mta = Postfix(lab, world, "world", {
        "myhostname": "world.test",
        "inet_interfaces": ", ".join(["127.0.0.1", *[site.address for site in sites]]),
        "virtual_mailbox_domains": ", ".join(site.domain for site in sites),
        "virtual_mailbox_maps": write_table(tables / "mailboxes", mailboxes),
        "virtual_transport": "discard:",
        "sender_dependent_default_transport_maps": write_table(tables / "senders", senders),
        "default_transport": "out0:",
        "smtpd_error_sleep_time": "1s",
        "address_verify_sender": "",
        "address_verify_poll_delay": "1s",
        "smtpd_client_connection_count_limit": "0",
    }, services)
    await_port(world, sites[-1].address, 25)
    return world_mta


def greylister(lab: Lab, world: Namespace) -> None:
    """The real postgrey, with a short delay for a short capture."""
    state = lab.dir / "postgrey"
    state.mkdir()
    owner = pwd.getpwnam("postgrey")
    os.chown(state, owner.pw_uid, owner.pw_gid)
    world.start("postgrey", "--inet=127.0.0.1:10023", "--delay=60", f"--dbdir={state}", "--hostname=mx.test",
                f"--pidfile={state}/pid", "--auto-whitelist-clients=0", log="postgrey.log")
    await_port(world, "127.0.0.1", 10023)


EXIM_WORLD = """\
exim_path = {exim}
primary_hostname = mx.test
smtp_active_hostname = ${{lookup{{$received_ip_address}}lsearch{{{dir}/hosts}}{{$value}}{{mx.test}}}}
local_interfaces = {interfaces}
daemon_smtp_ports = 25
spool_directory = {dir}/spool
log_file_path = {dir}/log-%s
pid_file_path = {dir}/pid
tls_advertise_hosts =
chunking_advertise_hosts =
rfc1413_query_timeout = 0s
smtp_accept_max = 100
domainlist local_domains = {domains}
acl_smtp_connect = acl_connect
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_data
begin acl
acl_connect:
  deny condition = ${{lookup{{$received_ip_address}}lsearch{{{dir}/dnsbl-connect}}{{yes}}{{no}}}}
       dnslists = {block_list}
       message = $sender_host_address is listed at zen.spamhaus.org; $dnslist_text
  accept
acl_rcpt:
  deny domains = ! +local_domains
       message = relay not permitted
  deny condition = ${{lookup{{$received_ip_address}}lsearch{{{dir}/dnsbl}}{{yes}}{{no}}}}
       dnslists = {block_list}
       message = JunkMail rejected - [$sender_host_address] is in an RBL: blocked using zen.spamhaus.org, $dnslist_text
  deny ! verify = recipient
       message = Unknown user
  accept
acl_data:
  discard
begin routers
mailboxes:
  driver = accept
  condition = ${{lookup{{$local_part@$domain}}lsearch{{{dir}/mailboxes}}{{yes}}{{no}}}}
  transport = nowhere
begin transports
nowhere:
  driver = appendfile
  file = /dev/null
  user = Debian-exim
begin retry
"""


def exim_world(lab: Lab, world: Namespace, sites: list[Site]) -> None:
    """The outside servers that run Exim. They verify recipients and throw away what they accept."""
    where = lab.dir / "exim-world"
    spool = where / "spool"
    spool.mkdir(parents=True)
    (where / "hosts").write_text("".join(f"{site.address}: {site.host}\n" for site in sites))
    (where / "mailboxes").write_text("".join(f"{user}@{site.domain}: x\n" for site in sites for user in site.users))
    for rule in ("dnsbl", "dnsbl-connect"):
        (where / rule).write_text("".join(f"{site.address}: x\n" for site in sites if rule in site.policy))
    config = where / "exim.conf"
    config.write_text(EXIM_WORLD.format(
        exim=EXIM, dir=where, interfaces=" : ".join(site.address for site in sites), block_list=Zone.BLOCK_LIST,
        domains=" : ".join(site.domain for site in sites)))
    start_exim(world, where, config)
    await_port(world, sites[-1].address, 25)


EXIM_SERVER = """\
exim_path = {exim}
primary_hostname = {host}
qualify_domain = {domain}
local_interfaces = {address}
daemon_smtp_ports = 25
spool_directory = {dir}/spool
log_file_path = {dir}/log-%s
pid_file_path = {dir}/pid
tls_advertise_hosts =
chunking_advertise_hosts =
rfc1413_query_timeout = 0s
deliver_drop_privilege = true
bounce_return_body = false
allow_domain_literals = true
sender_unqualified_hosts = *
recipient_unqualified_hosts = *
domainlist local_domains = @ : @[] : [203.0.113.5] : {domain}
hostlist relay_from_hosts = 192.168.10.0/24
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_data
begin acl
acl_rcpt:
{rules}
  accept domains = +local_domains
  accept hosts = +relay_from_hosts
  deny message = relay not permitted
acl_data:
  accept
begin routers
outside:
  driver = dnslookup
  domains = ! +local_domains
  transport = remote
  no_more
mailboxes:
  driver = accept
  local_parts = {users}
  transport = nowhere
begin transports
remote:
  driver = smtp
nowhere:
  driver = appendfile
  file = /dev/null
  user = Debian-exim
begin retry
* * F,2h,1m
"""


class EximServer:
    """An office's mail server that runs Exim. It takes what has no domain for its own domain; without `rules` it finds
    out only at delivery who does not exist, and then reports to the sender."""

    def __init__(self, lab: Lab, space: Namespace, address: str, host: str, domain: str, users: tuple[str, ...], rules: str = ""):
        where = lab.dir / "exim-server"
        (where / "spool").mkdir(parents=True)
        config = where / "exim.conf"
        config.write_text(EXIM_SERVER.format(exim=EXIM, dir=where, address=address, host=host, domain=domain,
                                             users=" : ".join(users), rules=rules))
        self.log = where / "log-main"
        start_exim(space, where, config, "-q20s")
        await_port(space, address, 25)


def start_exim(space: Namespace, where: Path, config: Path, *more: str) -> None:
    owner = pwd.getpwnam("Debian-exim")
    for path in (where, where / "spool"):
        os.chown(path, owner.pw_uid, owner.pw_gid)
    space.start(EXIM, "-C", str(config), "-bdf", *more, log=f"{where.name}.out")


def versions() -> str:
    """The software a capture was made with."""
    found = []
    for package in ("postfix", "swaks", "postgrey", "tcpdump", "dnsmasq-base", "udhcpc", "sasl2-bin"):
        version = sh("dpkg-query", "-W", "-f", "${Version}", package, check=False).stdout
        if version:
            found.append(f"{package} {version}")
    found.append(sh(EXIM, "-bV", check=False).stdout.splitlines()[0].replace("Exim version", "exim").split(" built")[0])
    found.append(f"Linux {os.uname().release.split('-')[0]}")
    return ", ".join(found)
