//! The command line as it is typed; `config` makes of it what the program runs on.
//!
//! Only what works is offered. Values are checked here as far as one value alone can be; what needs the others, the
//! configuration file or the system is for [`crate::config`].

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args as ArgGroup, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

use crate::capture::{BUFFER_MIB, SNAP_LEN_MAX};
use crate::detect::Tier;
use crate::output::syslog;
use crate::values::{parse_domain, parse_home_net, parse_mail_server};

/// Find out who abuses port 25, from the wire alone.
#[derive(Parser, Debug)]
#[command(name = "smtphound", version, max_term_width = 100, after_help = EXIT_STATUS)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Rank offenders in saved captures
    ///
    /// Reads captures (pcap or pcapng, also compressed), rebuilds every mail conversation in them, and says which of
    /// your machines send spam or worms, which are misused, and which only suffer from it; with the evidence. Nothing is
    /// ever sent to the network.
    #[command(after_long_help = EXAMPLES, after_help = "More with --help, examples too.")]
    Replay(Box<ReplayArgs>),
    /// The same live: from a mirror port, in the terminal or as a service
    ///
    /// Captures on a device and ranks offenders while the traffic passes, on a screen (`?` shows its keys) or, with
    /// --headless, as lines of JSON. Nothing is ever sent to the network. Once the device is open, the program gives up
    /// every right that it does not need.
    #[command(after_long_help = WATCH_EXAMPLES, after_help = "More with --help, examples too.")]
    Watch(Box<WatchArgs>),
    /// List what can be captured on, and what right is missing
    Devices,
}

/// Told at the end of both helps.
macro_rules! exit_status {
    () => {
        "Exit status: 0 done; 1 an incident reached --fail-on; 2 wrong flags or configuration; 3 no device or no right \
         to capture; 4 an input was damaged or could not be read (what was readable is reported)."
    };
}

const EXIT_STATUS: &str = exit_status!();

const EXAMPLES: &str = concat!(
    "\
Examples:
  Who is it? (a table for people)
      smtphound replay monday.pcap

  The office and its mail server have public addresses:
      smtphound replay --home-net 203.0.113.0/28 --mail-server 203.0.113.5 monday.pcap

  The files of a ring buffer, the report for other programs, every connection as a line:
      smtphound replay --report report.json --sessions sessions.ndjson ring_*.pcapng

  From another machine, without a file in between:
      ssh gateway tcpdump -w - -c 100000 tcp port 25 | smtphound replay -

  In a script:
      smtphound replay --quiet --fail-on confirmed --report report.json night.pcap.gz

",
    exit_status!()
);

const WATCH_EXAMPLES: &str = concat!(
    "\
Examples:
  Who is it, right now?
      sudo smtphound watch -i eth0

  Without being root, once and for all:
      sudo setcap cap_net_raw=ep $(command -v smtphound)

  As a service: an incident a line, every connection a line in a file that SIGHUP opens anew:
      smtphound watch -i eth0 --headless --sessions /var/log/smtphound/sessions.ndjson >>incidents.ndjson

  The report of what was seen so far:
      smtphound watch -i eth0 --headless --report report.json &
      kill -USR1 $!

",
    exit_status!()
);

/// `replay` and its flags.
#[derive(ArgGroup, Debug)]
pub struct ReplayArgs {
    /// Captures to read, together as one in the order of time; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The flags that every way of running shares.
    #[command(flatten)]
    pub shared: SharedArgs,
    /// Write for each incident a capture with just its connections into this directory, comments say why (whole mails!)
    ///
    /// The captures are read a second and a third time for it, so they must be files. Each frame that an incident rests on
    /// has a comment that says what it shows; Wireshark lists them by the filter `frame.comment`.
    #[arg(long, value_name = "DIR", help_heading = OUTPUT)]
    pub evidence: Option<PathBuf>,
    /// Show the capture on the screen of `watch`; then `space` pauses it and `.` goes on by one frame
    #[arg(long, help_heading = SCREEN)]
    pub tui: bool,
    /// How fast the screen plays the capture: 1 is as it was recorded, 0 as fast as it can be read
    #[arg(long, value_name = "FACTOR", default_value_t = 0.0, value_parser = parse_speed, requires = "tui", help_heading = SCREEN)]
    pub speed: f64,
    /// The screen.
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// `watch` and its flags.
#[derive(ArgGroup, Debug)]
pub struct WatchArgs {
    /// The device to capture on, such as eth0 (`smtphound devices` lists them)
    #[arg(short = 'i', long = "interface", value_name = "DEVICE", help_heading = CAPTURE)]
    pub device: String,
    /// No screen: incidents go to standard output, a line of JSON whenever one opens, grows by a tier, or closes
    #[arg(long, help_heading = OUTPUT)]
    pub headless: bool,
    /// Look into tunnels too (GRE, ERSPAN, VXLAN, TZSP, IP in IP, GTP-U, MPLS, PPPoE): then the kernel hands up all of them
    #[arg(long, help_heading = CAPTURE)]
    pub tunnels: bool,
    /// Bytes of a frame to keep; fewer than all hide mail
    #[arg(long, value_name = "BYTES", default_value_t = SNAP_LEN_MAX, value_parser = clap::value_parser!(u32).range(96..=i64::from(SNAP_LEN_MAX)), help_heading = CAPTURE)]
    pub snaplen: u32,
    /// Mebibytes for frames that wait in the kernel
    #[arg(long, value_name = "MIB", default_value_t = BUFFER_MIB, value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = CAPTURE)]
    pub buffer: u32,
    /// Keep the frames that were looked at in this file, a capture that `replay` judges alike (it holds whole mails)
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub write: Option<PathBuf>,
    /// Take only frames that are addressed to this machine (a mirror port needs the others)
    #[arg(long, help_heading = CAPTURE)]
    pub no_promiscuous: bool,
    /// Keep the rights that the program was started with
    #[arg(long, help_heading = CAPTURE)]
    pub keep_privileges: bool,
    /// The flags that every way of running shares.
    #[command(flatten)]
    pub shared: SharedArgs,
    /// The screen.
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// How the screen looks.
#[derive(ArgGroup, Debug, Default)]
pub struct ScreenArgs {
    /// Colours of the screen [default: dark, or mono if NO_COLOR is set]
    #[arg(long, value_name = "NAME", help_heading = SCREEN)]
    pub theme: Option<ThemeName>,
    /// Take the mouse (the terminal's own selection of text needs Shift then)
    #[arg(long, help_heading = SCREEN)]
    pub mouse: bool,
}

/// `--theme`.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Default, Debug, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThemeName {
    /// For dark terminals
    #[default]
    Dark,
    /// For light terminals
    Light,
    /// Without colours
    Mono,
    /// Told apart by everybody: blue and orange, no red against green
    Colorblind,
}

/// Flags of every way of running.
#[derive(ArgGroup, Debug, Default)]
pub struct SharedArgs {
    /// A network of yours, such as 192.0.2.0/24 (repeatable)
    ///
    /// Only machines in these networks are judged. Without it: the private networks (10.0.0.0/8, 172.16.0.0/12,
    /// 192.168.0.0/16, fc00::/7) and link-local addresses.
    #[arg(long = "home-net", value_name = "CIDR", value_parser = parse_home_net, help_heading = SITE)]
    pub home_nets: Vec<IpNet>,
    /// A mail server of yours (repeatable)
    ///
    /// Mail servers are learned from what they take in. Naming them is surer, above all in short captures; then every
    /// other machine that mails the world is known to be none. A server counts as yours even outside the home networks.
    #[arg(long = "mail-server", value_name = "IP", value_parser = parse_mail_server, help_heading = SITE)]
    pub mail_servers: Vec<IpAddr>,
    /// A domain that you take mail for (repeatable)
    ///
    /// Tells mail for you from mail that somebody tries to relay through you.
    #[arg(long = "local-domain", value_name = "NAME", value_parser = parse_domain, help_heading = SITE)]
    pub local_domains: Vec<String>,
    /// A TCP port that SMTP is spoken on (repeatable) [default: 25]
    #[arg(long = "port", value_name = "N", value_parser = clap::value_parser!(u16).range(1..), help_heading = SITE)]
    pub ports: Vec<u16>,
    /// A TOML file with home_nets, mail_servers, local_domains, relay_domains, relay_networks, ports, reply_rules, theme,
    /// mouse, bindings
    ///
    /// A flag replaces the key of the same meaning in the file.
    #[arg(long, value_name = "FILE", help_heading = SITE)]
    pub config: Option<PathBuf>,
    /// Rules that say what servers' replies mean, instead of the built-in ones
    #[arg(long, value_name = "FILE", help_heading = SITE)]
    pub reply_rules: Option<PathBuf>,
    /// Read only frames that this libpcap filter lets through, such as 'host 192.0.2.7' (see `man pcap-filter`)
    #[arg(long, value_name = "BPF", help_heading = RUN)]
    pub filter: Option<String>,
    /// Threads to work with, 1 to 16; the result is the same with any number [default: one for each CPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=WORKERS_MAX), help_heading = RUN)]
    pub workers: Option<u16>,
    /// Write the incident report, JSON, to this file; `-` is standard output
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub report: Option<PathBuf>,
    /// Write every SMTP connection as a line of JSON to this file; `-` is standard output
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub sessions: Option<PathBuf>,
    /// Write a page for people, HTML without anything from elsewhere, to this file; `-` is standard output
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub html: Option<PathBuf>,
    /// Write metrics for Prometheus' textfile collector to this file (`watch`: four times a minute); `-` is standard output
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub metrics: Option<PathBuf>,
    /// Send each incident as a line to syslog: unix:/dev/log, udp:127.0.0.1:514 or tcp:127.0.0.1:514
    #[arg(long, value_name = "WHERE", help_heading = OUTPUT)]
    pub syslog: Option<syslog::Address>,
    /// How these lines look
    #[arg(long, value_name = "FORMAT", default_value = "rfc5424", requires = "syslog", help_heading = OUTPUT)]
    pub syslog_format: SyslogFormat,
    /// End with status 1 if an incident is at least this sure
    #[arg(long, value_name = "TIER", help_heading = OUTPUT)]
    pub fail_on: Option<FailOn>,
    /// Colours in the table; `auto` means on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = OUTPUT)]
    pub color: ColorChoice,
    /// No table on standard output
    #[arg(long, short, help_heading = OUTPUT)]
    pub quiet: bool,
}

/// A factor of time, from 0 (no waiting) up.
fn parse_speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "write a number, such as 10".to_owned())?;
    if speed.is_finite() && (0.0..=1e6).contains(&speed) {
        Ok(speed)
    } else {
        Err("from 0 to 1000000, where 0 means as fast as it can be read".to_owned())
    }
}

const SITE: &str = "Your site";
const CAPTURE: &str = "Capturing";
const SCREEN: &str = "Screen";
const RUN: &str = "Reading";
const OUTPUT: &str = "Output";

/// The engine has 16 shards (`TcpLimits::shards`): more threads would have nothing to do.
pub const WORKERS_MAX: i64 = 16;

/// `--fail-on`.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailOn {
    /// Any incident
    Suspect,
    /// More likely than not
    Likely,
    /// Proven, or strong evidence of two kinds
    Confirmed,
}

impl From<FailOn> for Tier {
    fn from(fail_on: FailOn) -> Self {
        match fail_on {
            FailOn::Suspect => Self::Suspect,
            FailOn::Likely => Self::Likely,
            FailOn::Confirmed => Self::Confirmed,
        }
    }
}

/// `--syslog-format`.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum SyslogFormat {
    /// RFC 5424, the incident's keys as structured data
    #[default]
    Rfc5424,
    /// ArcSight's Common Event Format
    Cef,
}

impl From<SyslogFormat> for syslog::Format {
    fn from(format: SyslogFormat) -> Self {
        match format {
            SyslogFormat::Rfc5424 => Self::Rfc5424,
            SyslogFormat::Cef => Self::Cef,
        }
    }
}

/// `--color`.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[cfg(test)]
mod tests;
