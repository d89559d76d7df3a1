//! Rights that are given up once the device is open: what traffic can make the program do must not matter.
//!
//! Read `capabilities(7)` and `landlock(7)` first. Capabilities belong to threads, and a new thread has those of the one
//! that started it. So everything but the right to open a device goes before the first thread begins; the thread that
//! copies frames starts with that one, because a device that comes back has to be opened anew, and it never looks into a
//! frame; then it goes too, before any thread that does. Where the kernel has Landlock, no thread can write outside the
//! directories of the outputs, run a program, or use TCP. The account stays: who wants another starts the program under it.
//!
//! Only on Linux; elsewhere nothing is given up, and [`Given`] says so.

use std::path::{Path, PathBuf};

/// What was given up.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Given {
    /// All capabilities, but for the one of the thread that copies frames.
    pub capabilities: bool,
    /// Writing outside the directories of the outputs, and running programs: the kernel has Landlock.
    pub files: bool,
    /// Opening TCP connections: the kernel has Landlock of version 4.
    pub network: bool,
}

/// The directory in which a file is or will be.
pub fn directory_of(path: &Path) -> PathBuf {
    // Behind a link is where it is written.
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match real.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::path::PathBuf;

    use capctl::caps::{Cap, CapSet, CapState, ambient, bounding};
    use landlock::{
        ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
        RulesetStatus, path_beneath_rules,
    };

    /// The newest version of Landlock whose rights are known here; an older kernel gets what it knows.
    const NEWEST: ABI = ABI::V4;

    /// Keeps the capabilities that are both had and named.
    pub(super) fn keep(named: &[Cap]) -> Result<(), String> {
        let told = |what: &str, error: capctl::Error| format!("{what}: {error}");
        capctl::prctl::set_no_new_privs().map_err(|error| told("no_new_privs", error))?;
        // Where the right to do this is missing, so is any way to get what the set would allow.
        let _ = bounding::clear();
        let _ = ambient::clear();
        let had = CapState::get_current().map_err(|error| told("capget", error))?.permitted;
        let kept: CapSet = named.iter().copied().filter(|cap| had.has(*cap)).collect();
        let mut state = CapState::empty();
        (state.permitted, state.effective) = (kept, kept);
        state.set_current().map_err(|error| told("capset", error))
    }

    pub(super) const CAPTURE: &[Cap] = &[Cap::NET_RAW];

    /// Confines this thread and all that it starts; whether files are, and TCP is.
    pub(super) fn confine(writable: &[PathBuf]) -> Result<(bool, bool), String> {
        let may = AccessFs::from_write(NEWEST);
        let rules = path_beneath_rules(writable, may);
        let devices = path_beneath_rules(["/dev/null", "/dev/tty", "/dev/pts"], AccessFs::WriteFile);
        let files = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(may | AccessFs::Execute)
            .and_then(Ruleset::create)
            .and_then(|set| set.add_rules(rules))
            .and_then(|set| set.add_rules(devices))
            .and_then(landlock::RulesetCreated::restrict_self)
            .map_err(|error| error.to_string())?;
        let network = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessNet::from_all(NEWEST))
            .and_then(Ruleset::create)
            .and_then(landlock::RulesetCreated::restrict_self)
            .map_err(|error| error.to_string())?;
        Ok((files.ruleset != RulesetStatus::NotEnforced, network.ruleset == RulesetStatus::FullyEnforced))
    }
}

/// Gives up all but the right to open devices, and all files but those below `writable`. What starts now may still open
/// a device.
#[cfg(target_os = "linux")]
pub fn give_up_most(writable: &[PathBuf]) -> Result<Given, String> {
    linux::keep(linux::CAPTURE)?;
    let (files, network) = linux::confine(writable)?;
    Ok(Given { capabilities: true, files, network })
}

/// Gives up the rest in this thread, and so in all that it starts.
#[cfg(target_os = "linux")]
pub fn give_up_rest() -> Result<(), String> {
    linux::keep(&[])
}

/// Whether this thread has the right to open a device; `None` where that cannot be told.
#[cfg(target_os = "linux")]
pub fn may_capture() -> Option<bool> {
    capctl::caps::CapState::get_current().ok().map(|state| state.effective.has(capctl::caps::Cap::NET_RAW))
}

/// Not on this system.
#[cfg(not(target_os = "linux"))]
pub fn may_capture() -> Option<bool> {
    None
}

/// Not on this system.
#[cfg(not(target_os = "linux"))]
pub fn give_up_most(_: &[PathBuf]) -> Result<Given, String> {
    Ok(Given::default())
}

/// Not on this system.
#[cfg(not(target_os = "linux"))]
pub fn give_up_rest() -> Result<(), String> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;

    use super::*;

    /// The field of a thread's status.
    fn status(field: &str) -> String {
        let text = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(field));
        line.and_then(|line| line.split_whitespace().nth(1)).map(str::to_owned).expect("a field of the status")
    }

    const NONE: &str = "0000000000000000";
    /// Bit 13.
    const NET_RAW: &str = "0000000000002000";

    #[test]
    fn nothing_is_left_but_what_the_capture_needs_and_then_nothing() {
        // Rights belong to threads, so this one's loss is nobody else's.
        let lost = std::thread::spawn(|| {
            let had = status("CapPrm:");
            let dir = tempfile::tempdir().unwrap();
            let other = tempfile::tempdir().unwrap();
            let given = give_up_most(&[dir.path().to_owned()]).unwrap();
            assert!(given.capabilities);
            let may_capture = u64::from_str_radix(&had, 16).unwrap() & 1 << 13 != 0;
            let expected = if may_capture { NET_RAW } else { NONE };
            assert_eq!((status("CapPrm:"), status("CapEff:")), (expected.to_owned(), expected.to_owned()));
            assert_eq!(status("NoNewPrivs:"), "1");
            fs::write(dir.path().join("report.json"), "mine").unwrap();
            if given.files {
                assert!(fs::write(other.path().join("x"), "not mine").is_err());
                assert!(std::process::Command::new("/bin/true").spawn().is_err());
            }
            if given.network {
                let error = std::net::TcpStream::connect("127.0.0.1:9").unwrap_err();
                assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
            }
            // A thread that starts now may open devices; this one may not any more.
            let later = std::thread::spawn(|| status("CapEff:")).join().unwrap();
            assert_eq!(later, expected);
            give_up_rest().unwrap();
            assert_eq!((status("CapPrm:"), status("CapEff:")), (NONE.to_owned(), NONE.to_owned()));
            assert_eq!(std::thread::spawn(|| status("CapEff:")).join().unwrap(), NONE);
            // A directory that the thread cannot remove any more is removed by the caller.
            (dir.keep(), other.keep())
        });
        let (dir, other) = lost.join().unwrap();
        fs::remove_dir_all(dir).unwrap();
        fs::remove_dir_all(other).unwrap();
    }

    #[test]
    fn outputs_without_a_directory_are_here() {
        assert_eq!(directory_of(Path::new("report-that-is-not-there.json")), Path::new("."));
        assert_eq!(directory_of(Path::new("/no/such/report.json")), Path::new("/no/such"));
    }
}
