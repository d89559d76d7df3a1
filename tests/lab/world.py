"""The outside sites: who they are, what they run, what they do with a listed client."""

from __future__ import annotations

from mta import Site

SITES = [
    Site("contoso.example", "192.0.2.25", policy=("dnsbl",)),
    # `relaytest` is the mailbox of the relay tests: what is relayed arrives.
    Site("adventure-works.example", "198.51.100.25", users=("info", "sales", "orders", "relaytest"), policy=("dnsbl-connect",)),
    Site("birch.example", "192.0.2.33"),
    Site("cedar.example", "198.51.100.41", policy=("dnsbl-550",)),
    Site("delta.example", "203.0.113.25", policy=("throttle",)),
    Site("elm.example", "192.0.2.57", policy=("dnsbl",)),
    Site("fir.example", "198.51.100.77", policy=("sender-domain",)),
    Site("grove.example", "203.0.113.26", policy=("fqdn-helo",)),
    Site("hazel.example", "192.0.2.90", policy=("dnsbl",)),
    Site("iris.example", "198.51.100.110", policy=("catch-all",)),
    Site("juniper.example", "203.0.113.27", policy=("dnsbl",)),
    Site("kelp.example", "192.0.2.121", policy=("greylist",)),
    Site("larch.example", "198.51.100.140", "exim", policy=("dnsbl-connect",)),
    Site("maple.example", "203.0.113.28", "exim", policy=("dnsbl",)),
    Site("nettle.example", "192.0.2.150", "exim"),
    Site("oak.example", "198.51.100.170", "exim", policy=("dnsbl",)),
    Site("pine.example", "203.0.113.29", "exim"),
    Site("quince.example", "192.0.2.180", "exim"),
]
# Mail exchangers that never answer, and that refuse the connection.
DEAD = {"rowan.example": "198.51.100.200", "sedge.example": "192.0.2.201", "thorn.example": "198.51.100.202"}
RESETS = {"ulmus.example": "192.0.2.210", "vine.example": "198.51.100.211"}
NOWHERE = "willow.example"  # a domain without any record
