//! Any order of attempts, onward mails and reports: what is proven, and what never is.

use proptest::prelude::*;

use super::*;

/// What may happen, over three recipients (written in two ways each) and two senders.
#[derive(Clone, Debug)]
enum Step {
    /// An outsider brings a mail; the server takes it, refuses its data, or refuses to relay.
    Brings { to: usize, routed: bool, from: usize, answer: usize },
    /// The server sends a mail whose Message-ID is that of the mail `of` to `to`.
    Sends { of: usize, to: usize, from: usize },
    /// The server reports to a sender.
    Reports { from: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3_usize, any::<bool>(), 0..2_usize, 0..3_usize).prop_map(|(to, routed, from, answer)| Step::Brings {
            to,
            routed,
            from,
            answer
        }),
        (0..3_usize, 0..3_usize, 0..2_usize).prop_map(|(of, to, from)| Step::Sends { of, to, from }),
        (0..2_usize).prop_map(|from| Step::Reports { from }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nothing_is_proven_that_was_not_taken_and_sent_on(steps in prop::collection::vec(step(), 1..14)) {
        let sender = |n: usize| format!("s{n}@contoso.example");
        let recipient = |n: usize| format!("u{n}@fabrikam.example");
        let id = |n: usize| format!("{n}@contoso.example");
        let mut scene = ours();
        let mut before: BTreeMap<(Wire, Wire), RelayOutcome> = BTreeMap::new();
        let (mut taken_ids, mut proven, mut reported) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for step in steps {
            match step {
                Step::Brings { to, routed, from, answer } => {
                    let path = if routed { format!("u{to}%fabrikam.example@adatum.example") } else { recipient(to) };
                    let letter = Letter::from(&sender(from));
                    let letter = match answer {
                        0 => letter.rcpt(&path).data(&id(to), "", QUEUED),
                        1 => letter.rcpt(&path).data(&id(to), "", "554 5.6.0 no"),
                        _ => letter.to(&path, DENIED),
                    };
                    if answer == 0 {
                        taken_ids.insert(to);
                    }
                    brings(&mut scene, TESTER, letter);
                }
                Step::Sends { of, to, from } => {
                    hands_on(&mut scene, SERVER, OUTSIDE_MX, Letter::from(&sender(from)).rcpt(&recipient(to)).data(&id(of), "", QUEUED));
                    if of == to && taken_ids.contains(&to) {
                        proven.insert(recipient(to));
                    }
                }
                Step::Reports { from } => {
                    hands_on(&mut scene, SERVER, OUTSIDE_MX, Letter::from("").rcpt(&sender(from)).data("", "", QUEUED));
                    reported.insert(Wire::from(sender(from).as_str()));
                }
            }
            let relays: Vec<RelayVerdict> = scene.findings("relay").into_iter().flat_map(|found| found.relays).collect();
            for relay in &relays {
                let key = (relay.recipient.clone(), Wire::from(relay.technique.join(" ").as_str()));
                if let Some(old) = before.insert(key, relay.verdict) {
                    prop_assert!(relay.verdict >= old, "{relay:?} was {old:?}");
                }
                let effective = relay.effective.escaped().into_owned();
                prop_assert!(relay.verdict != RelayOutcome::Proven || proven.contains(&effective), "{relay:?}");
                prop_assert!(relay.verdict != RelayOutcome::AcceptedThenNdr || !reported.is_empty(), "{relay:?}");
            }
            for effective in &proven {
                let is_proven = |relay: &RelayVerdict| {
                    relay.verdict == RelayOutcome::Proven && relay.effective.as_bytes() == effective.as_bytes()
                };
                prop_assert!(relays.iter().any(is_proven), "{effective} was taken and sent on");
            }
        }
    }
}
