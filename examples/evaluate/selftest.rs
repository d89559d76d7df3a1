//! x
pub(crate) fn report(_: &mut impl std::io::Write) -> std::io::Result<()> { Ok(()) }
