//! D13: a second mail hidden in the data of a first; not a script that knows no CR, not a mail about it.

use smtphound::detect::{Class, Tier};

use crate::office::{Letter, Manner};
use crate::talk::{Side, Stack};
use crate::texts;
use crate::world::World;

/// A dot line that only our server takes for the end, and a forged mail behind it: the server answers both.
pub(crate) fn smuggled(w: &mut World) {
    let (start, server, from) = (w.onset(), w.server, w.outside());
    let (mta, name) = (w.host(server).mta, w.host(server).name.clone());
    let helo = w.host(from).name.clone();
    let mut at = start;
    for _ in 0..w.rng.between(1, 4) {
        let (sender, to, boss) = (w.someone_at(from), w.user(), format!("ceo@{}", w.domain));
        let end = w.rng.pick(&["\n.\r\n", "\n.\n"]);
        let first = texts::mail(&mut w.rng, &sender, &to, &[], 400);
        let second = texts::mail(&mut w.rng, &boss, &to, &[], 300);
        let (taken, again) = (mta.taken(&mut w.rng), mta.taken(&mut w.rng));
        let mut talk = w.call(at, from, server);
        talk.open();
        talk.reply(&mta.banner(&name));
        talk.ask(&format!("EHLO {helo}"), &mta.ehlo(&name, &[]));
        talk.ask(&format!("MAIL FROM:<{sender}>"), mta.ok());
        talk.ask(&format!("RCPT TO:<{to}>"), mta.rcpt_ok());
        talk.ask("DATA", "354 End data with <CR><LF>.<CR><LF>");
        let hidden = format!("{}{end}MAIL FROM:<{boss}>\r\nRCPT TO:<{to}>\r\nDATA\r\n{second}.\r\n", first.trim_end());
        talk.put(Side::Client, hidden.as_bytes());
        talk.reply(&taken);
        talk.reply(mta.ok());
        talk.reply(mta.rcpt_ok());
        talk.reply("354 End data with <CR><LF>.<CR><LF>");
        talk.reply(&again);
        at = talk.quit() + w.wait(60.0);
    }
    w.expect(server, Class::SmtpSmuggling, Tier::Confirmed, start);
}

/// Nightly mail of a script that ends all lines by LF.
pub(crate) fn cron(w: &mut World) {
    let (mut at, server) = (w.onset(), w.server);
    let box_ = w.inside("backup", Stack::Linux);
    // On a tap outside it uses a smart host of the provider, or nothing would be seen.
    let to_host = if w.vary.outside { w.outside() } else { server };
    let (mta, name) = (w.host(to_host).mta, w.host(to_host).name.clone());
    let from = format!("root@backup.{}", w.domain);
    for _ in 0..12 {
        let to = w.user();
        let text = texts::mail(&mut w.rng, &from, &to, &[], 500).replace("\r\n", "\n");
        let taken = mta.taken(&mut w.rng);
        let mut talk = w.call(at, box_, to_host);
        talk.open();
        talk.reply(&mta.banner(&name));
        for (line, reply) in [
            ("HELO backup".to_owned(), format!("250 {name}")),
            (format!("MAIL FROM:<{from}>"), mta.ok().to_owned()),
            (format!("RCPT TO:<{to}>"), mta.rcpt_ok().to_owned()),
            ("DATA".to_owned(), "354 go ahead".to_owned()),
        ] {
            talk.put(Side::Client, format!("{line}\n").as_bytes());
            talk.reply(&reply);
        }
        talk.put(Side::Client, format!("{text}.\n").as_bytes());
        talk.reply(&taken);
        talk.put(Side::Client, b"QUIT\n");
        talk.reply("221 2.0.0 Bye");
        at = talk.close() + w.wait(600.0);
    }
}

/// A newsletter that quotes the advisory, with proper line ends and dots doubled.
pub(crate) fn quoted(w: &mut World) {
    let (mut at, server, from) = (w.onset(), w.server, w.outside());
    let helo = w.host(from).name.clone();
    for _ in 0..8 {
        let (sender, to) = (w.someone_at(from), w.user());
        let mut text = texts::mail(&mut w.rng, &sender, &to, &[], 300);
        text.push_str(
            "The attacker sends this:\r\n.\r\nMAIL FROM:<admin@bank.example>\r\nRCPT TO:<you@shop.example>\r\nDATA\r\n",
        );
        text.push_str("and <LF>.<CR><LF> is what makes the difference.\r\n");
        let letter = Letter::new(&mut w.rng, &sender, &to).with_text(text);
        w.deliver(at, from, server, &Manner::of_server(&helo), &[letter]);
        at += w.wait(300.0);
    }
    w.truth.never.push(Class::SmtpSmuggling);
}
