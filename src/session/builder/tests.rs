use crate::smtp::testing::play;

#[test]
fn nothing() {
    let played = play("S: 220 hi\nC: EHLO x\nS: 250 ok\nC: QUIT\nS: 221 bye\n");
    assert_eq!(played.log(), ["EHLO 250", "QUIT 221"]);
    assert_eq!(played.weird(), [""; 0]);
}
