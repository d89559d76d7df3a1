//! Text in HTML: whatever it holds, it is text and nothing else.

use std::fmt::{self, Write};

use crate::wire::is_hidden;

/// Shows anything as text of an element or of a quoted attribute.
///
/// What could end the text or begin a tag or an entity is written as an entity. Wire text comes escaped already; should
/// a character slip through that cannot be seen or that turns the direction of what follows, it is replaced.
pub(super) struct Text<T>(pub(super) T);

impl<T: fmt::Display> fmt::Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

/// Passes text on, escaped.
struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.write_str("&amp;")?,
                '<' => self.0.write_str("&lt;")?,
                '>' => self.0.write_str("&gt;")?,
                '"' => self.0.write_str("&quot;")?,
                '\'' => self.0.write_str("&#39;")?,
                '\n' => self.0.write_char(c)?,
                c if is_hidden(c) => self.0.write_char(char::REPLACEMENT_CHARACTER)?,
                c => self.0.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_text_comes_through() {
        assert_eq!(
            Text("</td><script>alert('1')</script> &lt; \" `x`").to_string(),
            "&lt;/td&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp;lt; &quot; `x`"
        );
        assert_eq!(Text("a\u{202e}b\u{0}c\u{200b}").to_string(), "a\u{fffd}b\u{fffd}c\u{fffd}");
        assert_eq!(Text("é 日本 😀\nx").to_string(), "é 日本 😀\nx");
    }

    proptest::proptest! {
        #[test]
        fn no_text_holds_a_tag_a_quote_or_a_bare_ampersand(text: String) {
            let shown = Text(&text).to_string();
            proptest::prop_assert!(!shown.contains(['<', '>', '"', '\'']));
            for rest in shown.split('&').skip(1) {
                proptest::prop_assert!(["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|name| rest.starts_with(name)));
            }
        }
    }
}
