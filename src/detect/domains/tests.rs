use super::*;
use crate::detect::testing::{Letter, Scene, host};
use crate::site::Site;

const SERVER: &str = "192.168.10.10";
const QUEUED: &str = "250 2.0.0 queued";

struct Office {
    scene: Scene,
    banner: &'static str,
}

impl Office {
    fn new(banner: &'static str) -> Self {
        Self { scene: Scene::new(Site::default()), banner }
    }

    /// Outsiders from `networks` networks mail a domain, `each` times.
    fn takes(&mut self, domain: &str, networks: usize, each: usize) -> &mut Self {
        for n in 0..networks * each {
            let client = format!("198.51.{}.7", n % networks);
            self.hears(&client, "a@contoso.example", &format!("jo@{domain}"), QUEUED);
        }
        self
    }

    fn hears(&mut self, client: &str, sender: &str, recipient: &str, answer: &str) -> &mut Self {
        let letter = if answer.starts_with('2') {
            Letter::from(sender).rcpt(recipient).data("", "x", answer)
        } else {
            Letter::from(sender).to(recipient, answer)
        };
        self.scene.call(client, SERVER).greets(self.banner).helo("mx.contoso.example").mail(letter).quit();
        self
    }

    /// The server sends.
    fn sends(&mut self, sender: &str, recipient: &str) -> &mut Self {
        let letter = Letter::from(sender).rcpt(recipient).data("", "x", QUEUED);
        self.scene.call(SERVER, "203.0.113.77").greets("220 mx.outside.example").helo("mail").mail(letter).quit();
        self
    }

    fn standing(&self, domain: &str) -> Standing {
        let judge = &self.scene.judge;
        judge.domains().standing(host(SERVER), domain.as_bytes(), judge.roles().banner_name(host(SERVER)))
    }
}

const NAMED: &str = "220 mail.adatum.example ESMTP";
const NAMELESS: &str = "220 ESMTP ready";

#[test]
fn acceptance_alone_says_nothing() {
    assert_eq!(Office::new(NAMELESS).takes("other.example", 20, 5).standing("other.example"), Standing::Unknown);
}

#[test]
fn a_domain_that_the_server_takes_and_uses_is_a_candidate() {
    let mut office = Office::new(NAMELESS);
    office.takes("adatum.example", 3, 2).sends("jo@Adatum.example.", "x@contoso.example");
    assert_eq!(office.standing("ADATUM.example."), Standing::Candidate);
    // It knows the domain's users: a second sign.
    office.hears("198.51.0.9", "a@contoso.example", "nobody@adatum.example", "550 5.1.1 User unknown");
    assert_eq!(office.standing("adatum.example"), Standing::Confirmed);
}

#[test]
fn mail_that_the_servers_own_users_submit_is_use_too() {
    let mut office = Office::new(NAMELESS);
    office.takes("adatum.example", 3, 2).hears("192.168.10.21", "jo@adatum.example", "x@contoso.example", QUEUED);
    assert_eq!(office.standing("adatum.example"), Standing::Candidate);
}

#[test]
fn the_servers_own_name_needs_no_spread() {
    let mut office = Office::new(NAMED);
    office.takes("adatum.example", 1, 5);
    assert_eq!(office.standing("adatum.example"), Standing::Candidate);
    office.sends("jo@adatum.example", "x@contoso.example");
    assert_eq!(office.standing("adatum.example"), Standing::Confirmed);
    let (domains, roles) = (office.scene.judge.domains(), office.scene.judge.roles());
    let owns = |domain: &str| domains.owns(host(SERVER), domain.as_bytes(), roles.banner_name(host(SERVER)));
    assert!(owns("mail.adatum.example") && owns("Adatum.Example") && !owns("example") && !owns("contoso.example"));
    assert_eq!(domains.best(host(SERVER), None), Standing::Confirmed, "the reply to EHLO names it as well");
    assert_eq!(domains.servers(), [host(SERVER)]);
}

#[test]
fn each_condition_is_needed() {
    let use_it = |office: &mut Office| {
        office.sends("jo@adatum.example", "x@contoso.example");
    };
    // Four recipients; two networks; one network with more than half.
    let mut few = Office::new(NAMELESS);
    use_it(few.takes("adatum.example", 4, 1));
    let mut narrow = Office::new(NAMELESS);
    use_it(narrow.takes("adatum.example", 2, 9));
    let mut lopsided = Office::new(NAMELESS);
    use_it(lopsided.takes("adatum.example", 3, 1).takes("adatum.example", 1, 9));
    // One in thirty of what the server takes.
    let mut rare = Office::new(NAMELESS);
    use_it(rare.takes("adatum.example", 5, 1).takes("other.example", 5, 30));
    for mut office in [few, narrow, lopsided, rare] {
        assert_eq!(office.standing("adatum.example"), Standing::Unknown);
        use_it(office.takes("adatum.example", 20, 2));
        assert_eq!(office.standing("adatum.example"), Standing::Candidate, "with more of it");
    }
}

#[test]
fn a_domain_that_mail_is_passed_on_to_is_not_ours() {
    for passed_on_first in [true, false] {
        let mut office = Office::new(NAMED);
        office.takes("adatum.example", 1, 1);
        for onward in [passed_on_first, !passed_on_first] {
            if onward {
                office.sends("jo@adatum.example", "jo@partner.example");
            } else {
                office.takes("partner.example", 5, 2).sends("x@partner.example", "y@contoso.example");
            }
        }
        assert_eq!(office.standing("partner.example"), Standing::Unknown);
    }
}

#[test]
fn an_open_relay_does_not_learn_what_spammers_use() {
    let mut office = Office::new(NAMELESS);
    for n in 0..60 {
        let (sender, recipient) = (format!("u{n}@big.example"), format!("v{n}@big.example"));
        office.hears(&format!("198.51.{n}.7"), &sender, &recipient, QUEUED);
        // The onward session to big.example is hidden by TLS; others are not.
        office.sends(&sender, "w@contoso.example");
    }
    assert_eq!(office.standing("big.example"), Standing::Unknown);
}

#[test]
fn a_flood_of_domains_leaves_the_one_that_is_used() {
    let mut office = Office::new(NAMED);
    office.takes("adatum.example", 3, 40).sends("jo@adatum.example", "x@contoso.example");
    for n in 0..1000 {
        office.hears("198.51.100.9", "a@contoso.example", &format!("u@d{n}.example"), QUEUED);
    }
    assert_eq!(office.standing("adatum.example"), Standing::Confirmed);
    let state = office.scene.judge.domains().servers.get(host(SERVER)).unwrap();
    assert_eq!(state.domains.len(), DOMAINS_MAX);
}
