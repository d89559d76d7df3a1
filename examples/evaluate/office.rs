//! An ordinary day: mail that comes and goes, and how one mail is delivered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::rng::Rng;
use crate::talk::{Side, seconds};
use crate::texts::{self, Mta};
use crate::wire::{Micros, SECOND};
use crate::world::{HOUR, Id, MINUTE, World};

/// A mail, and what becomes of it.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) from: String,
    /// Recipients, each with the server's words if it refuses.
    pub(crate) to: Vec<(String, Option<String>)>,
    /// Refused at MAIL.
    pub(crate) sender_refused: Option<String>,
    /// Refused after the data.
    pub(crate) data_refused: Option<String>,
    pub(crate) text: String,
    /// The client goes away after RCPT.
    pub(crate) no_data: bool,
}

impl Letter {
    /// An ordinary mail that is taken.
    pub(crate) fn new(rng: &mut Rng, from: &str, to: &str) -> Self {
        let bytes = rng.between(200, 1_400);
        let text = texts::mail(rng, from, to, &[], bytes);
        Self {
            from: from.to_owned(),
            to: vec![(to.to_owned(), None)],
            sender_refused: None,
            data_refused: None,
            text,
            no_data: false,
        }
    }

    /// The same with other words.
    pub(crate) fn with_text(mut self, text: String) -> Self {
        self.text = text;
        self
    }

    /// Only asks whether recipients exist.
    pub(crate) fn without_data(mut self) -> Self {
        self.no_data = true;
        self
    }

    /// Its first recipient is refused.
    pub(crate) fn refused(mut self, words: String) -> Self {
        if let Some(first) = self.to.first_mut() {
            first.1 = Some(words);
        }
        self
    }

    pub(crate) fn refused_after_data(mut self, words: String) -> Self {
        self.data_refused = Some(words);
        self
    }
}

/// A login.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) right: bool,
}

/// How a client behaves.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    pub(crate) helo: String,
    pub(crate) esmtp: bool,
    /// `MAIL FROM: <a@b>` with a blank.
    pub(crate) blank: bool,
    pub(crate) pipelines: bool,
    pub(crate) login: Option<Login>,
    /// What the server offers beside its own.
    pub(crate) offers: &'static [&'static str],
    /// Whether it would use TLS where there is some.
    pub(crate) may_tls: bool,
    /// Leaves without QUIT.
    pub(crate) rude: bool,
}

impl Manner {
    /// A mail server's.
    pub(crate) fn of_server(name: &str) -> Self {
        Self {
            helo: name.to_owned(),
            esmtp: true,
            blank: false,
            pipelines: false,
            login: None,
            offers: &[],
            may_tls: true,
            rude: false,
        }
    }

    pub(crate) fn logged_in(name: &str, user: &str) -> Self {
        let login = Some(Login { user: user.to_owned(), right: true });
        Self { login, offers: &["AUTH PLAIN LOGIN"], ..Self::of_server(name) }
    }
}

impl World {
    /// One session with some mails; returns its end.
    pub(crate) fn deliver(&mut self, at: Micros, from: Id, to: Id, how: &Manner, letters: &[Letter]) -> Micros {
        let tls = how.may_tls && self.rng.chance(self.vary.tls);
        let (mta, name) = (self.host(to).mta, self.host(to).name.clone());
        let taken: Vec<String> = letters.iter().map(|_| mta.taken(&mut self.rng)).collect();
        let offers: Vec<&str> = how.offers.iter().copied().chain(tls.then_some("STARTTLS")).collect();
        let mut talk = self.call(at, from, to);
        talk.open();
        talk.reply(&mta.banner(&name));
        let hello = |sealed: bool| mta.ehlo(&name, if sealed { how.offers } else { &offers });
        if how.esmtp {
            talk.ask(&format!("EHLO {}", how.helo), &hello(false));
            if tls {
                talk.start_tls();
                talk.ask(&format!("EHLO {}", how.helo), &hello(true));
            }
        } else {
            talk.ask(&format!("HELO {}", how.helo), &format!("250 {name}"));
        }
        if let Some(login) = &how.login {
            let plain = BASE64.encode(format!("\0{}\0geheim{}", login.user, login.user.len()));
            let reply = if login.right {
                "235 2.7.0 Authentication successful"
            } else {
                "535 5.7.8 Error: authentication failed"
            };
            talk.ask(&format!("AUTH PLAIN {plain}"), reply);
            if !login.right {
                return talk.quit();
            }
        }
        let gap = if how.blank { " " } else { "" };
        for (letter, taken) in letters.iter().zip(&taken) {
            let mail = format!("MAIL FROM:{gap}<{}>", letter.from);
            if let Some(words) = &letter.sender_refused {
                talk.ask(&mail, words);
                talk.ask("RSET", "250 2.0.0 Ok");
                continue;
            }
            let accepted = letter.to.iter().filter(|(_, refusal)| refusal.is_none()).count();
            if how.pipelines && accepted > 0 && !letter.no_data {
                let rcpts: Vec<String> = letter.to.iter().map(|(to, _)| format!("RCPT TO:{gap}<{to}>")).collect();
                talk.say(&format!("{mail}\r\n{}\r\nDATA", rcpts.join("\r\n")));
                let mut replies = vec![mta.ok().to_owned()];
                replies.extend(letter.to.iter().map(|(_, no)| no.clone().unwrap_or_else(|| mta.rcpt_ok().to_owned())));
                replies.push("354 End data with <CR><LF>.<CR><LF>".to_owned());
                talk.reply(&replies.join("\n"));
            } else {
                talk.ask(&mail, mta.ok());
                for (to, refusal) in &letter.to {
                    talk.ask(&format!("RCPT TO:{gap}<{to}>"), refusal.as_deref().unwrap_or(mta.rcpt_ok()));
                }
                if accepted == 0 || letter.no_data {
                    if letters.len() > 1 {
                        talk.ask("RSET", "250 2.0.0 Ok");
                    }
                    continue;
                }
                talk.ask("DATA", "354 Start mail input; end with <CRLF>.<CRLF>");
            }
            talk.body(&letter.text, letter.data_refused.as_deref().unwrap_or(taken));
        }
        if how.rude { talk.reset() } else { talk.quit() }
    }

    /// A failed or a right login and nothing else.
    pub(crate) fn log_in(&mut self, at: Micros, from: Id, to: Id, helo: &str, user: &str, right: bool) -> Micros {
        let login = Some(Login { user: user.to_owned(), right });
        let how = Manner { login, offers: &["AUTH PLAIN LOGIN"], ..Manner::of_server(helo) };
        self.deliver(at, from, to, &how, &[])
    }

    /// Somebody of ours.
    pub(crate) fn user(&mut self) -> String {
        let n = self.rng.below(self.users.len());
        format!("{}@{}", self.users[n], self.domain)
    }

    pub(crate) fn partner(&mut self) -> Id {
        self.partners[self.rng.below(self.partners.len())]
    }

    /// Somebody at another domain.
    pub(crate) fn someone_at(&mut self, host: Id) -> String {
        format!("{}@{}", texts::person(&mut self.rng), self.host(host).domain)
    }

    /// A moment of the day: mostly in working hours.
    fn moment(&mut self) -> Micros {
        let hour = if self.rng.chance(0.85) { self.rng.within(7.0, 19.0) } else { self.rng.within(0.0, 24.0) };
        self.at(hour * HOUR)
    }

    fn cut(&self, at: Micros) -> bool {
        self.blackout.is_some_and(|(from, until)| (from..until).contains(&at))
    }

    /// The server sends a mail on; what comes of it is life.
    pub(crate) fn send_out(&mut self, at: Micros, from: &str, partner: Id) {
        let to = self.someone_at(partner);
        let letter = Letter::new(&mut self.rng, from, &to);
        let server = self.server;
        let how = Manner::of_server(&self.host(server).name.clone());
        if self.cut(at) {
            self.call(at, server, partner).unanswered(3);
            return;
        }
        let refuses = self.refusing.iter().any(|(id, from, until)| *id == partner && (*from..*until).contains(&at));
        let (mta, seen_as) = (self.host(partner).mta, self.host(server).public);
        if refuses {
            let words = mta.listed(&mut self.rng, seen_as, &to);
            self.deliver(at, server, partner, &how, &[letter.refused(words)]);
            return;
        }
        match self.rng.below(100) {
            0 | 1 => {
                let words = mta.unknown(&to);
                self.deliver(at, server, partner, &how, &[letter.refused(words)]);
            }
            2 => {
                let words = mta.other(&mut self.rng, &to);
                self.deliver(at, server, partner, &how, &[letter.refused(words)]);
            }
            3..6 => {
                let words = mta.greylisted(&mut self.rng, &to);
                self.deliver(at, server, partner, &how, &[letter.clone().refused(words)]);
                let again = at + seconds(self.rng.within(5.0, 25.0) * MINUTE);
                self.deliver(again, server, partner, &how, &[letter]);
            }
            _ => {
                self.deliver(at, server, partner, &how, &[letter]);
            }
        }
    }

    /// A user of ours sends through our server.
    pub(crate) fn submit(&mut self, at: Micros) {
        let pc = self.pcs[self.rng.below(self.pcs.len())];
        let (from, partner) = (self.user(), self.partner());
        let to = self.someone_at(partner);
        let letter = Letter::new(&mut self.rng, &from, &to);
        let helo = self.host(pc).name.split('.').next().unwrap_or("pc").to_owned();
        let how = Manner { may_tls: false, ..Manner::of_server(&helo) };
        let end = self.deliver(at, pc, self.server, &how, &[letter]);
        self.send_out(end + SECOND, &from, partner);
    }

    /// A partner writes to us.
    pub(crate) fn receive(&mut self, at: Micros, partner: Id) {
        let (from, to) = (self.someone_at(partner), self.user());
        let mut letter = Letter::new(&mut self.rng, &from, &to);
        while self.rng.chance(0.1) {
            let another = self.user();
            letter.to.push((another, None));
        }
        if self.rng.chance(0.02) {
            let typo = format!("x{to}");
            let words = self.host(self.server).mta.unknown(&typo);
            letter.to = vec![(typo, Some(words))];
        }
        let how = Manner::of_server(&self.host(partner).name.clone());
        let pipelines = self.rng.chance(0.3) && can_pipeline(self.host(self.server).mta);
        self.deliver(at, partner, self.server, &Manner { pipelines, ..how }, &[letter]);
    }

    /// Spam for us: from anywhere, to people who may or may not exist.
    fn spam(&mut self, at: Micros) {
        let from = self.outside();
        let sender = self.someone_at(from);
        let to = if self.rng.chance(0.5) { self.user() } else { format!("info{}@{}", self.rng.below(9), self.domain) };
        let mut letter = Letter::new(&mut self.rng, &sender, &to);
        if !self.users.iter().any(|user| to.starts_with(&format!("{user}@"))) {
            let words = self.host(self.server).mta.unknown(&to);
            letter = letter.refused(words);
        }
        let how = Manner { may_tls: false, rude: true, ..Manner::of_server(&texts::domain(&mut self.rng)) };
        self.deliver(at, from, self.server, &how, &[letter]);
    }
}

fn can_pipeline(mta: Mta) -> bool {
    !matches!(mta, Mta::Qmail | Mta::OpenSmtpd | Mta::MDaemon)
}

/// The whole day.
pub(crate) fn day(w: &mut World) {
    for _ in 0..w.rng.between(60, 110) {
        let (at, partner) = (w.moment(), w.partner());
        if !w.cut(at) {
            w.receive(at, partner);
        }
    }
    for _ in 0..w.rng.between(40, 80) {
        let at = w.moment();
        w.submit(at);
    }
    for _ in 0..w.rng.between(4, 14) {
        let at = w.moment();
        if !w.cut(at) {
            w.spam(at);
        }
    }
    // A few bounces come in, a few go out.
    for _ in 0..w.rng.between(0, 3) {
        let (at, partner, to) = (w.moment(), w.partner(), w.user());
        let name = w.host(partner).name.clone();
        let about = w.someone_at(partner);
        let text = texts::report(&mut w.rng, &name, &to, &about);
        let letter = Letter::new(&mut w.rng, "", &to).with_text(text);
        if !w.cut(at) {
            w.deliver(at, partner, w.server, &Manner::of_server(&name), &[letter]);
        }
    }
    // Somebody's scanner greets the server now and then.
    for _ in 0..w.rng.between(0, 4) {
        let (at, scanner, server) = (w.moment(), w.outside(), w.server);
        let banner = w.host(server).mta.banner(&w.host(server).name);
        let mut talk = w.call(at, scanner, server);
        talk.open();
        talk.reply(&banner);
        talk.put(Side::Client, b"QUIT\r\n");
        talk.reply("221 2.0.0 closing connection");
        talk.close();
    }
}
