use super::*;

#[test]
fn every_rule_takes_its_own_examples() {
    let rules = ReplyRules::builtin();
    let wrong: Vec<String> = rules.mismatches().iter().map(ToString::to_string).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
