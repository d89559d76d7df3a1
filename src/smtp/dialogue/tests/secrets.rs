//! A secret is in no step and no fact, however an exchange goes wrong.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use proptest::prelude::*;

use super::*;

const SECRET: &str = "hunter2!";

/// Answers with the secret in them: those that no mechanism takes for a name.
const ANSWERS: [&str; 9] = [
    "\0guest\0hunter2!",
    "me\0guest\0hunter2!",
    "guest\0hunter2!",
    "guest\0hunter2!\0",
    "\0hunter2!",
    "\0guest\0hunter2! x",
    "user=a@b\x01auth=Bearer hunter2!\x01\x01",
    "n,a=a@b,\x01port=25\x01auth=Bearer hunter2!\x01\x01",
    "guest\thunter2!",
];

/// Those that LOGIN takes for a name: nobody can tell.
const NOT_OF_LOGIN: [&str; 7] = [
    "guest hunter2!",
    "user=a@b auth=Bearer hunter2!",
    "n,a=a@b auth=Bearer hunter2!,",
    "n,,n=guest hunter2!",
    "n,,n=guest,p=hunter2!",
    "username=\"guest,password=hunter2!",
    "hunter2!",
];

const MECHANISMS: [&str; 11] = [
    "LOGIN",
    "PLAIN",
    "CRAM-MD5",
    "DIGEST-MD5",
    "NTLM",
    "SCRAM-SHA-1",
    "XOAUTH2",
    "OAUTHBEARER",
    "GSSAPI",
    SECRET,
    "AGd1ZXN0AGh1bnRlcjIh",
];

/// What a server says; `{}` is the line that it answers.
const REPLIES: [&str; 12] = [
    "334 VXNlcm5hbWU6",
    "334 UGFzc3dvcmQ6",
    "334 go",
    "235 ok",
    "535 5.7.8 no",
    "504 5.3.3 AUTH mechanism not available",
    "500 5.5.1 Command unrecognized: \"{}\"",
    "501 5.5.4 cannot BASE64 decode '{}'",
    "500-5.3.3 Unrecognized command '{}'\nS: 500 `{}'",
    "421 4.7.0 '{}' is too much",
    "250 ok",
    "",
];

/// A line of the client and what is said to it.
fn exchange() -> impl Strategy<Value = String> {
    let answer = (any::<prop::sample::Index>(), prop::bool::weighted(0.8));
    let reply = || prop::sample::select(&REPLIES[..]);
    let lines = prop::collection::vec((answer, reply()), 0..4);
    (
        prop::sample::select(&["AUTH", "X-EXPS"][..]),
        prop::sample::select(&MECHANISMS[..]),
        any::<bool>(),
        reply(),
        lines,
    )
        .prop_map(|(verb, mechanism, initial, reply, lines)| {
            let mut answers = ANSWERS.to_vec();
            if mechanism != "LOGIN" {
                answers.extend(NOT_OF_LOGIN);
            }
            let mut lines = lines.into_iter().map(|((at, encoded), reply)| {
                let answer = at.get(&answers);
                (if encoded { BASE64_STANDARD.encode(answer) } else { (*answer).to_owned() }, reply)
            });
            let mut begin = format!("{verb} {mechanism}");
            if let Some((answer, _)) = lines.by_ref().next().filter(|_| initial) {
                begin = format!("{begin} {answer}");
            }
            std::iter::once((begin, reply)).chain(lines).map(|(line, reply)| said(&line, reply)).collect()
        })
}

fn said(line: &str, reply: &str) -> String {
    let escaped = line.replace('\0', "\\0").replace('\x01', "\\x01").replace('\t', "\\t");
    // Of a reply the script knows no escapes.
    let quoted = reply.replace("{}", &line.replace(char::is_control, "."));
    let reply = if reply.is_empty() { String::new() } else { format!("S: {quoted}\n") };
    format!("C| {escaped}\\r\\n\n{reply}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_secret_is_told(
        exchanges in prop::collection::vec(exchange(), 1..4),
        side in prop::sample::select(&[None, Some(Side::Orig), Some(Side::Resp)][..]),
    ) {
        let text = format!("S: 220 x\nC: EHLO y\nS: 250 AUTH LOGIN\n{}{ENVELOPE}{BYE}", exchanges.concat());
        let mut events = script(&text);
        if let Some(side) = side {
            events = only(side, events);
        }
        let shown = format!("{:?} {:?}", steps(&events), play_events(&events, side.is_some()));
        let upper = shown.to_uppercase();
        prop_assert!(!upper.contains("HUNTER2"), "{}\n{}", text, shown);
        for answer in ANSWERS.iter().chain(&NOT_OF_LOGIN).chain(&["\0guest\0hunter2!"]) {
            let answer = BASE64_STANDARD.encode(answer);
            prop_assert!(!shown.contains(&answer), "{}\n{}", text, shown);
        }
    }
}
