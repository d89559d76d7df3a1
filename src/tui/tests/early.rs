//! A suspicion of the first seconds: its evidence is shown, and nobody is called out for it.

use super::*;
use crate::detect::Tier;
use crate::ledger::Role;
use crate::time::Span;

/// The infected PC, of which only suspicions are known, so long after the first sign.
fn suspected(role: Role, after: Span, over: bool) -> Stage {
    let stage = stage_of("infected-pc.pcap");
    let full = stage.snapshot.load_full();
    let mut judgement = full.judgement.clone();
    judgement.incidents.retain(|incident| incident.tier == Tier::Confirmed && !incident.class.is_victim());
    let first = judgement.incidents[0].first;
    judgement.incidents[0].tier = Tier::Suspect;
    judgement.hosts.truncate(1);
    judgement.hosts[0].tier = Some(Tier::Suspect);
    judgement.hosts[0].row.role = role;
    let snapshot = Snapshot { serial: 2, now: first + after, judgement, over, ..Snapshot::default() };
    stage.snapshot.store(Arc::new(snapshot.indexed()));
    stage
}

#[test]
fn what_is_too_early_to_tell_is_shown_as_that() {
    let stage = suspected(Role::Unknown, Span::secs(10), false);
    let mut app = app(&stage);
    let text = drawn(&app, 80, 24);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[1].starts_with(" nothing against any of your hosts that has lasted"), "{text}");
    assert!(lines[3].contains("192.168.10.23") && lines[3].contains("too early"), "{text}");
    assert!(text.contains("Too early to tell:"), "{text}");
    app.act(Action::View(2));
    assert!(drawn(&app, 80, 24).lines().nth(3).unwrap().contains("too early"));
    for (filter, shown) in [("tier:early", 1), ("tier:suspect", 0)] {
        app.typing = Some(String::new());
        filter.chars().for_each(|c| app.type_in(c));
        assert_eq!(app.lists.order(app.view).len(), shown, "{filter}");
        app.type_end(false);
    }
}

#[test]
fn what_lasts_or_is_of_a_known_role_or_stands_at_the_end_is_told() {
    for (role, secs, over) in
        [(Role::Unknown, 31, false), (Role::Client, 10, false), (Role::Server, 10, false), (Role::Unknown, 10, true)]
    {
        let stage = suspected(role, Span::secs(secs), over);
        let text = drawn(&app(&stage), 80, 24);
        assert!(text.lines().nth(1).unwrap().starts_with(" ?  SUSPECT  192.168.10.23"), "{role:?} {secs}: {text}");
        assert!(!text.contains("oo early"), "{text}");
    }
}
