//! The rule that would have kept the worm in: only the mail servers may go out on port 25. Written in the syntax of four
//! common firewalls, with the site's own servers filled in; the operator picks the one that fits.

use std::net::IpAddr;

/// One line a firewall; a plain sentence where no server of IPv4 is known.
pub(super) fn only_servers_on_25(servers: &[IpAddr]) -> Vec<String> {
    let known: Vec<String> = servers.iter().filter(|ip| ip.is_ipv4()).map(ToString::to_string).collect();
    let Some(first) = known.first() else {
        return vec![
            "Let only your mail server out on port 25; other machines submit on port 587 with a login.".to_owned(),
        ];
    };
    let set = known.join(", ");
    let accept = |one: &dyn Fn(&String) -> String| known.iter().map(one).collect::<Vec<_>>().join("; ");
    let iptables = accept(&|ip| format!("iptables -I FORWARD -s {ip} -p tcp --dport 25 -j ACCEPT"));
    let cisco = accept(&|ip| format!("access-list 125 permit tcp host {ip} any eq smtp"));
    let not_pf = if known.len() == 1 { format!("! {first}") } else { "! <mailservers>".to_owned() };
    let table = if known.len() == 1 { String::new() } else { format!("table <mailservers> {{ {set} }}; ") };
    vec![
        "Let only your mail server out on port 25; other machines submit on port 587 with a login. On the gateway, one of:"
            .to_owned(),
        format!("nftables: nft insert rule inet filter forward ip saddr != {{ {set} }} tcp dport 25 counter drop"),
        // Rules are inserted at the top, so the last one inserted is looked at first.
        format!("iptables: iptables -I FORWARD -p tcp --dport 25 -j DROP; {iptables}"),
        format!("pf: {table}block drop in quick on $int_if proto tcp from {not_pf} to any port 25"),
        format!("Cisco IOS, inbound on the LAN interface: {cisco}; access-list 125 deny tcp any any eq smtp; access-list 125 permit ip any any"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_stand_in_every_rule() {
        let rules = only_servers_on_25(&["192.168.10.10".parse().unwrap(), "2001:db8::25".parse().unwrap()]);
        assert_eq!(rules.len(), 5);
        assert!(rules[1..].iter().all(|rule| rule.contains("192.168.10.10")), "{rules:#?}");
        assert_eq!(
            rules[1],
            "nftables: nft insert rule inet filter forward ip saddr != { 192.168.10.10 } tcp dport 25 counter drop"
        );
    }

    #[test]
    fn several_servers_share_one_rule_where_the_firewall_can() {
        let rules = only_servers_on_25(&["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()]);
        assert!(rules[1].contains("{ 10.0.0.1, 10.0.0.2 }"));
        assert!(rules[2].ends_with(
            "-s 10.0.0.1 -p tcp --dport 25 -j ACCEPT; iptables -I FORWARD -s 10.0.0.2 -p tcp --dport 25 -j ACCEPT"
        ));
        assert!(rules[3].contains("table <mailservers> { 10.0.0.1, 10.0.0.2 }"));
    }

    #[test]
    fn without_a_known_server_it_is_said_in_words() {
        assert_eq!(only_servers_on_25(&[]).len(), 1);
    }
}
