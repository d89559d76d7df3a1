//! Mails that are put off: queues come back, bots do not, and captures miss things.

use crate::detect::testing::{Letter, Scene};
use crate::site::Site;
use crate::time::Span;

const SERVER: &str = "192.168.10.10";

fn mail(scene: &mut Scene, n: usize, answer: &str) {
    let letter = Letter::from("news@adatum.example").to(&format!("a@customer{n}.example"), answer);
    scene
        .call(SERVER, &format!("198.51.{n}.25"))
        .greets("220 mx.customer.example ESMTP")
        .helo("mail.adatum.example")
        .mail(letter)
        .quit();
}

/// Of a hundred greylisted mails the capture misses the second try of twenty.
#[test]
fn second_tries_that_a_capture_missed_are_no_giving_up() {
    let mut scene = Scene::new(Site::default());
    for n in 0..100 {
        mail(&mut scene, n, "451 4.7.1 come back later");
    }
    scene.wait(Span::mins(20));
    for n in (0..100).filter(|n| n % 5 != 0) {
        mail(&mut scene, n, "250 ok");
    }
    scene.wait(Span::hours(5));
    mail(&mut scene, 101, "250 ok");
    let sums: f64 = scene.findings("outcome_burst").iter().filter_map(|found| found.numbers.get("s_peak_db")).sum();
    assert!(sums < 20.0, "{sums}");
}

/// All are tried again, and then nothing happens for a night.
#[test]
fn a_quiet_night_makes_nothing_of_mails_that_were_put_off() {
    let mut scene = Scene::new(Site::default());
    for round in ["451 4.7.1 come back later", "250 ok"] {
        for n in 0..20 {
            mail(&mut scene, n, round);
        }
        scene.wait(Span::mins(20));
    }
    scene.wait(Span::hours(11));
    mail(&mut scene, 101, "250 ok");
    let sums: f64 = scene.findings("outcome_burst").iter().filter_map(|found| found.numbers.get("s_peak_db")).sum();
    assert!(sums < 20.0, "{sums}");
}

/// Nobody comes back: a bot.
#[test]
fn mails_that_nobody_tries_again_count() {
    let mut scene = Scene::new(Site::default());
    for n in 0..30 {
        mail(&mut scene, n, "451 4.7.1 come back later");
    }
    scene.wait(Span::hours(5));
    mail(&mut scene, 101, "250 ok");
    let sums: f64 = scene.findings("outcome_burst").iter().filter_map(|found| found.numbers.get("s_peak_db")).sum();
    assert!(sums > 50.0, "{sums}");
}
