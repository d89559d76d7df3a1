//! Reading rules, and what mistakes in them say.

use super::*;

#[track_caller]
fn refused(text: &str, message: &str) {
    let error = ReplyRules::from_toml(text).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn mistakes_name_the_rule_the_key_and_the_line() {
    let head = "[[rule]]\nid = \"mine\"\n";
    refused(&format!("{head}class = \"spam\"\n"), "line 3: rule `mine`: key `class`: unknown class `spam`");
    refused(&format!("{head}class = \"policy\"\ncods = [\"550\"]\n"), "line 4: rule `mine`: key `cods`: unknown key");
    refused(
        &format!("{head}class = \"policy\"\ncodes = [\n  \"550\",\n  \"5x\",\n]\n"),
        "line 6: rule `mine`: key `codes`: `5x` is not a code",
    );
    refused(
        &format!("{head}class = \"policy\"\nstatus = [\"5.7\"]\n"),
        "line 4: rule `mine`: key `status`: `5.7` is not a status",
    );
    refused(
        &format!("{head}class = \"policy\"\nstage = [\"rctp\"]\n"),
        "line 4: rule `mine`: key `stage`: `rctp` is not one of greeting",
    );
    refused(&format!("{head}class = \"policy\"\ntext = '('\n"), "line 4: rule `mine`: key `text`: regex parse error");
    refused(&format!("{head}class = \"policy\"\ntext = 5\n"), "line 4: rule `mine`: key `text`: must be a string");
    refused(
        &format!("{head}class = \"policy\"\ncodes = \"550\"\n"),
        "line 4: rule `mine`: key `codes`: must be a list of strings",
    );
    refused(&format!("{head}text = 'x'\n"), "rule `mine`: key `class`: is missing");
    refused(&format!("{head}class = \"policy\"\n"), "rule `mine`: key `text`: a rule needs at least one of codes");
    refused("[[rule]]\nclass = \"policy\"\ntext = 'x'\n", "rule `#1`: key `id`: is missing");
    refused("[[rule]]\nid = \"My rule\"\n", "line 2: rule `My rule`: key `id`: must be of a-z");
}

#[test]
fn mistakes_outside_rules() {
    refused("", "there is no [[rule]]");
    refused("rule = 3", "line 1: key `rule`: write each rule as [[rule]]");
    refused("rule = [3]", "line 1: key `rule`: write each rule as [[rule]]");
    refused("extends = 1", "line 1: key `extends`: must be true or false");
    refused("\nrules = []", "line 2: key `rules`: unknown key");
    refused("[[rule]]\nid = \n", "line 2: ");
    let twice = "[[rule]]\nid = \"a\"\nclass = \"policy\"\ntext = 'x'\n".repeat(2);
    refused(&twice, "line 6: rule `a`: key `id`: another rule has this id");
}

#[test]
fn an_expression_that_grows_without_end_is_refused() {
    refused("[[rule]]\nid = \"a\"\nclass = \"policy\"\ntext = '((a{100}){100}){100}'\n", "key `text`");
}

#[test]
fn rules_of_the_user_come_before_the_built_in_ones() {
    let text = "extends = true\n[[rule]]\nid = \"ours\"\nclass = \"policy\"\ntext = 'spamhaus'\n";
    let rules = ReplyRules::from_toml(text).unwrap();
    assert_eq!(rules.rules().len(), builtin().rules().len() + 1);
    let listed = reply("554 5.7.1 Client host blocked using zen.spamhaus.org");
    assert_eq!(rules.classify(&listed, Stage::Rcpt).rule, Some("ours"));
    assert_eq!(rules.classify(&reply("550 5.1.1 User unknown"), Stage::Rcpt).class, ReplyClass::UserUnknown);
}

#[test]
fn rules_of_the_user_replace_the_built_in_ones() {
    let rules = ReplyRules::from_toml("[[rule]]\nid = \"ours\"\nclass = \"policy\"\ncodes = [\"554\"]\n").unwrap();
    assert_eq!(rules.classify(&reply("554 no"), Stage::Rcpt).rule, Some("ours"));
    assert_eq!(rules.classify(&reply("550 5.1.1 User unknown"), Stage::Rcpt).class, ReplyClass::Other);
}
