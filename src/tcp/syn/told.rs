//! A SYN out of its text again, as a session line tells it.
//!
//! p0f's text leaves out what p0f does not compare: the window is told as a multiple where it is one, mostly of the MSS, and
//! the length of options not at all. So a line tells either beside it where the text does not.

use super::{HEADERS_V4, QUIRKS, SynSignature, layout};

/// What a session line tells of a SYN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ToldSyn<'a> {
    /// p0f's text.
    pub p0f: &'a str,
    /// Window, where the text does not tell.
    pub wsize: Option<u16>,
    /// Four-byte words of options, where their kinds do not tell.
    pub option_words: Option<u8>,
    /// TCP timestamp value.
    pub tsval: Option<u32>,
    /// IPv4 identification.
    pub ip_id: u16,
}

impl SynSignature {
    /// Four-byte words of TCP options.
    pub const fn option_words(&self) -> u8 {
        (self.quirks >> Self::OPTION_WORDS) as u8
    }

    /// The words that the options' kinds take if each has its usual length (RFC 9293 section 3.2, RFC 7323, RFC 2018).
    pub fn option_words_told(&self) -> u8 {
        let mut codes = self.olayout;
        let mut bytes = 0;
        while codes & 15 != 0 {
            let code = codes & 15;
            codes >>= 4;
            bytes += match code {
                layout::EOL => {
                    let after = (codes & 15) << 4 | codes >> 4 & 15;
                    codes >>= 8;
                    1 + after
                }
                layout::NOP => 1,
                layout::MSS => 4,
                layout::WS => 3,
                layout::SACK | layout::TS => 10,
                layout::OTHER => {
                    codes >>= 8;
                    2
                }
                _ => 2,
            };
        }
        (bytes.div_ceil(4) as u8).min(10)
    }

    /// The window that the text is read as: that many times the MSS, or what a packet of it measures.
    pub fn wsize_told(&self) -> u16 {
        match self.window_multiple() {
            Some((unit, factor)) => self.window_of(unit, factor),
            None => self.wsize,
        }
    }

    fn window_of(&self, unit: &str, factor: u32) -> u16 {
        let headers = if unit == "mtu" { HEADERS_V4 } else { 0 };
        (u32::from(self.mss) + headers).wrapping_mul(factor) as u16
    }

    /// The signature that was told so; `None` where the text is none of ours.
    pub fn from_told(told: &ToldSyn<'_>) -> Option<Self> {
        let parts: Vec<&str> = told.p0f.split(':').collect();
        let &[version, ttl, olen, mss, window, options, quirks, payload] = parts.as_slice() else { return None };
        let mut syn = Self {
            v6: version == "6",
            ttl: ttl.split_once('+')?.0.parse().ok()?,
            olen: olen.parse().ok()?,
            mss: mss.parse().ok()?,
            tsval: told.tsval,
            ip_id: told.ip_id,
            ..Self::default()
        };
        let mut writer = super::LayoutWriter::default();
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option {
                "nop" => writer.push(layout::NOP),
                "mss" => writer.push(layout::MSS),
                "ws" => writer.push(layout::WS),
                "sok" => writer.push(layout::SOK),
                "sack" => writer.push(layout::SACK),
                "ts" => writer.push(layout::TS),
                other => match other.strip_prefix("eol+") {
                    Some(after) => writer.push_with(layout::EOL, after.parse().ok()?),
                    None => writer.push_with(layout::OTHER, other.strip_prefix('?')?.parse().ok()?),
                },
            }
        }
        syn.olayout = writer.codes;
        let (window, scale) = window.split_once(',')?;
        let scale: u8 = scale.parse().ok()?;
        syn.wsize = match (told.wsize, window.split_once('*')) {
            (Some(wsize), _) => wsize,
            (None, Some((unit, factor))) => syn.window_of(unit, factor.parse().ok()?),
            (None, None) => window.parse().ok()?,
        };
        syn.scale = options.split(',').any(|option| option == "ws").then_some(scale);
        for quirk in quirks.split(',').filter(|quirk| !quirk.is_empty()) {
            syn.quirks |= QUIRKS.iter().find(|(_, token)| *token == quirk)?.0;
        }
        if payload == "+" {
            syn.quirks |= Self::PAYLOAD;
        }
        let words = told.option_words.unwrap_or_else(|| syn.option_words_told()).min(10);
        syn.quirks |= u32::from(words) << Self::OPTION_WORDS;
        Some(syn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Segment;
    use crate::tcp::testing::Script;
    use proptest::prelude::*;

    fn again(syn: &SynSignature) -> Option<SynSignature> {
        let words = syn.option_words();
        SynSignature::from_told(&ToldSyn {
            p0f: &syn.to_string(),
            wsize: (syn.wsize != syn.wsize_told()).then_some(syn.wsize),
            option_words: (words != syn.option_words_told()).then_some(words),
            tsval: syn.tsval,
            ip_id: syn.ip_id,
        })
    }

    #[test]
    fn usual_systems_need_no_more_than_the_text() {
        for options in [
            [2_u8, 4, 5, 180, 4, 2, 8, 10, 0, 0, 1, 1, 0, 0, 0, 0, 1, 3, 3, 7].as_slice(),
            &[2, 4, 5, 180, 1, 3, 3, 8, 1, 1, 4, 2],
            &[2, 4, 5, 180],
            &[],
        ] {
            let mut head = Script::new().syn(1).head;
            head.window = 44 * 1460;
            let syn = SynSignature::from_segment(&Segment { head: &head, options, payload: b"" });
            assert_eq!((syn.option_words(), syn.wsize), (syn.option_words_told(), syn.wsize_told()), "{syn}");
            assert_eq!(again(&syn), Some(syn));
        }
        assert_eq!(
            SynSignature::from_told(&ToldSyn { p0f: "4:64", wsize: None, option_words: None, tsval: None, ip_id: 0 }),
            None
        );
    }

    proptest! {
        #[test]
        fn what_was_told_comes_back(
            kinds in prop::collection::vec(prop::sample::select(vec![
                vec![1_u8], vec![2, 4, 5, 180], vec![3, 3, 7], vec![4, 2], vec![8, 10, 0, 0, 0, 9, 0, 0, 0, 0],
                vec![34, 2], vec![30, 4, 0, 1],
            ]), 0..6),
            window in prop_oneof![any::<u16>(), (1_u16..44).prop_map(|factor| factor * 1460), (1_u16..43).prop_map(|factor| factor * 1500)],
            ttl in 1_u8.., v6: bool,
        ) {
            let options: Vec<u8> = kinds.concat().into_iter().take(40).collect();
            let mut head = Script::new().syn(1).head;
            (head.window, head.ip.ttl, head.ip.v6) = (window, ttl, v6);
            let syn = SynSignature::from_segment(&Segment { head: &head, options: &options, payload: b"" });
            prop_assume!(!syn.has(SynSignature::BAD));
            prop_assert_eq!(again(&syn), Some(syn), "{}", syn);
        }
    }
}
