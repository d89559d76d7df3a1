//! How the report is laid out: one JSON value, with a line for each key at the top and for each entry of the lists
//! there. So a host or an incident is one line: short enough a file, and still to be read, compared and searched by line.

use std::io::{self, Write};

use serde_json::ser::Formatter;

/// Levels of nesting whose entries begin a line: the report itself, and its lists.
const LEVELS: usize = 2;

/// serde_json's compact form with line feeds at the upper levels.
#[derive(Default)]
pub(super) struct Lines {
    /// Open objects and arrays; `true` for those of the upper levels that begin lines.
    open: Vec<bool>,
}

impl Lines {
    fn enter(&mut self, breaks: bool) {
        self.open.push(breaks && self.open.len() < LEVELS);
    }

    /// Before an entry.
    fn entry<W: ?Sized + Write>(&self, out: &mut W, first: bool) -> io::Result<()> {
        if !first {
            out.write_all(b",")?;
        }
        if self.open.last() == Some(&true) && !(first && self.open.len() == 1) {
            out.write_all(b"\n")?;
            out.write_all(&b"  "[..self.open.len()])?;
        }
        Ok(())
    }
}

impl Formatter for Lines {
    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.enter(self.open.is_empty());
        out.write_all(b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open.pop();
        out.write_all(b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.entry(out, first)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.enter(self.open.len() == 1);
        out.write_all(b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open.pop();
        out.write_all(b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.entry(out, first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;

    #[test]
    fn an_entry_of_a_top_list_is_a_line() {
        let value = serde_json::json!({"a": 1, "hosts": [{"n": [1, 2]}, {"n": []}], "none": [], "z": {"k": [1, 2]}});
        let mut out = Vec::new();
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Lines::default())).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "{\"a\":1,\n \"hosts\":[\n  {\"n\":[1,2]},\n  {\"n\":[]}],\n \"none\":[],\n \"z\":{\"k\":[1,2]}}"
        );
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
