//! The command line as it is typed; `config` makes of it what the program runs on.
//!
//! Only what works is offered. Values are checked here as far as one value alone can be; what needs the others, the
//! configuration file or the system is for [`crate::config`].

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args as ArgGroup, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::capture::{BUFFER_MIB, SNAP_LEN_MAX};
use crate::detect::Tier;
use crate::error::Error;
use crate::output::syslog;
use crate::values::{Loopback, NetSource, parse_domain, parse_mail_server, parse_net_source};

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
    /// Judge session lines instead of captures
    ///
    /// Reads what --sessions wrote, of one run or of several sensors, and comes to the incidents that the captures
    /// came to. What lines do not tell is said at the end.
    #[command(after_long_help = JUDGE_EXAMPLES, after_help = "More with --help, examples too.")]
    Judge(Box<JudgeArgs>),
    /// What got better: compare the reports of before and after
    ///
    /// After the PC was unplugged or the patch applied: which incidents are gone, which are still there, how much less
    /// is sent and refused.
    Diff(DiffArgs),
    /// Turn the incidents of a report into reports for an abuse desk
    Report(ReportArgs),
    /// The configuration file
    Config {
        /// What to do with it
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print a man page: of the program, or of one of its commands
    Man {
        /// Which command
        command: Option<String>,
    },
    /// Print the JSON Schema of an output
    Schema {
        /// Of which output
        #[arg(value_enum, default_value_t)]
        of: SchemaOf,
    },
}

/// `diff` and its flags.
#[derive(ArgGroup, Debug)]
pub struct DiffArgs {
    /// The report of before; `-` is standard input
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,
    /// The report of after
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,
    /// For programs: one object of JSON
    #[arg(long)]
    pub json: bool,
}

/// `report` and its flags.
#[derive(ArgGroup, Debug)]
pub struct ReportArgs {
    /// The incident report that --report wrote; `-` is standard input
    #[arg(value_name = "REPORT")]
    pub report: PathBuf,
    /// As XARF version 4, a report a line
    #[arg(long, required = true)]
    pub xarf: bool,
    /// The name of your organisation, who reports
    #[arg(long, value_name = "NAME")]
    pub org: String,
    /// The mail address of your abuse desk
    #[arg(long, value_name = "ADDRESS")]
    pub contact: String,
    /// Session lines of the same run (repeatable): ports of clients and senders of spam stand there
    #[arg(long, value_name = "FILE")]
    pub sessions: Vec<PathBuf>,
    /// Only this incident, by its id (repeatable)
    #[arg(long, value_name = "ID")]
    pub incident: Vec<String>,
}

/// What can be done with the configuration file.
#[derive(Subcommand, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigAction {
    /// Print a file of all settings, commented, with their defaults
    PrintTemplate,
}

/// `schema`.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum SchemaOf {
    /// What --report writes
    #[default]
    Report,
    /// A line of what --sessions writes
    Session,
}

impl Args {
    /// The command line of this process, environment variables where it says nothing; or what is wrong with it, in a
    /// sentence. Helps and versions are errors of clap's, too, and print themselves.
    pub fn read() -> Result<Self, Box<Mistake>> {
        Self::try_parse().map_err(|error| Box::new(Mistake(error)))
    }
}

/// What clap says of a command line that it does not take.
#[derive(Debug)]
pub struct Mistake(clap::Error);

impl Mistake {
    /// The text of a help or version that was asked for; `None` for a mistake.
    pub fn asked_for(&self) -> Option<&clap::Error> {
        matches!(self.0.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion).then_some(&self.0)
    }

    /// One sentence: what is wrong, where, and what to write instead.
    pub fn sentence(&self) -> String {
        let text = self.0.render().to_string();
        let paragraph = |begin: &str| {
            let mut lines = text.lines().skip_while(|line| !line.trim_start().starts_with(begin));
            let first = lines.next()?.trim_start().strip_prefix(begin)?.trim();
            let rest = lines.take_while(|line| !line.trim().is_empty()).map(str::trim);
            Some(std::iter::once(first).chain(rest).collect::<Vec<_>>().join(" "))
        };
        let wrong = paragraph("error:").unwrap_or_else(|| "a command is missing".to_owned());
        let remedy =
            paragraph("tip:").or_else(|| paragraph("[possible values:").map(|values| format!("write {values}")));
        let remedy = remedy.map(|remedy| remedy.trim_end_matches(']').to_owned());
        let wrong = wrong.split(" [possible values:").next().unwrap_or(&wrong).to_owned();
        let place = self.variable().map(|name| format!("{name}: ")).unwrap_or_default();
        match remedy {
            Some(remedy) => format!("{place}{wrong}: {remedy}"),
            None if wrong.contains(": ") && self.0.kind() != ErrorKind::MissingRequiredArgument => {
                format!("{place}{wrong}")
            }
            None => format!("{place}{wrong}: see `smtphound --help`, or --help after a command"),
        }
    }

    /// The environment variable that a wrong value came from, if it did.
    fn variable(&self) -> Option<String> {
        let ContextValue::String(flag) = self.0.get(ContextKind::InvalidArg)? else { return None };
        let name = flag.split([' ', '=']).next()?.strip_prefix("--")?;
        let on_the_line = std::env::args_os().any(|arg| {
            arg.to_str().is_some_and(|arg| arg.split('=').next().and_then(|arg| arg.strip_prefix("--")) == Some(name))
        });
        let variable = format!("SMTPHOUND_{}", name.replace('-', "_").to_ascii_uppercase());
        (!on_the_line && std::env::var_os(&variable).is_some()).then_some(variable)
    }
}

/// Completions for a shell.
pub fn completions(shell: Shell, out: &mut dyn Write) -> Result<(), Error> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "smtphound", &mut text);
    out.write_all(&text).and_then(|()| out.flush()).map_err(Error::stdout)
}

/// The man page of the program, or of one of its commands.
pub fn man(command: Option<&str>, out: &mut dyn Write) -> Result<(), Error> {
    let mut program = Args::command();
    program.build();
    let page = match command {
        None => program,
        Some(name) => {
            let known: Vec<&str> = program.get_subcommands().map(clap::Command::get_name).collect();
            let found = program.find_subcommand(name).cloned().ok_or_else(|| {
                Error::Usage(format!("there is no command {name}: the commands are {}", known.join(", ")))
            })?;
            found.version(env!("CARGO_PKG_VERSION"))
        }
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text).map_err(Error::stdout)?;
    out.write_all(&text).and_then(|()| out.flush()).map_err(Error::stdout)
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

const JUDGE_EXAMPLES: &str = concat!(
    "\
Examples:
  The same incidents once more, from the lines of a replay:
      smtphound replay --quiet --sessions sessions.ndjson monday.pcap
      smtphound judge sessions.ndjson

  Two sensors, and what logrotate put away:
      smtphound judge /var/log/smtphound/*.ndjson*

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

/// `judge` and its flags.
#[derive(ArgGroup, Debug)]
pub struct JudgeArgs {
    /// Files of session lines (also packed with gzip or zstd), together in the order of time
    #[arg(value_name = "SESSIONS", required = true)]
    pub files: Vec<PathBuf>,
    /// The site.
    #[command(flatten)]
    pub site: SiteArgs,
    /// What is told at the end.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `watch` and its flags.
#[derive(ArgGroup, Debug)]
pub struct WatchArgs {
    /// The device to capture on, such as eth0 (`smtphound devices` lists them)
    #[arg(short = 'i', long = "interface", value_name = "DEVICE", env = "SMTPHOUND_INTERFACE", hide_env = true, help_heading = CAPTURE)]
    pub device: String,
    /// No screen: incidents go to standard output, a line of JSON whenever one opens, grows by a tier, or closes
    #[arg(long, help_heading = OUTPUT)]
    pub headless: bool,
    /// Look into tunnels too (GRE, ERSPAN, VXLAN, TZSP, IP in IP, GTP-U, MPLS, PPPoE): then the kernel hands up all of them
    #[arg(long, help_heading = CAPTURE)]
    pub tunnels: bool,
    /// Leave out the names that machines tell by DHCP, NetBIOS, mDNS and LLMNR: the kernel hands up nothing of these
    #[arg(long, help_heading = CAPTURE)]
    pub no_names: bool,
    /// Bytes of a frame to keep; fewer than all hide mail
    #[arg(long, value_name = "BYTES", default_value_t = SNAP_LEN_MAX, value_parser = clap::value_parser!(u32).range(96..=i64::from(SNAP_LEN_MAX)), help_heading = CAPTURE)]
    pub snaplen: u32,
    /// Mebibytes for frames that wait in the kernel
    #[arg(long, value_name = "MIB", default_value_t = BUFFER_MIB, value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = CAPTURE)]
    pub buffer: u32,
    /// Keep the frames that were looked at in this file, a capture that `replay` judges alike (it holds whole mails)
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub write: Option<PathBuf>,
    /// Offer metrics to Prometheus over HTTP, at an address that only this machine can reach, such as 127.0.0.1:9925
    #[arg(long, value_name = "ADDRESS:PORT", env = "SMTPHOUND_METRICS_LISTEN", hide_env = true, help_heading = OUTPUT)]
    pub metrics_listen: Option<Loopback>,
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
    #[arg(long, value_name = "NAME", env = "SMTPHOUND_THEME", hide_env = true, help_heading = SCREEN)]
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
    /// The site.
    #[command(flatten)]
    pub site: SiteArgs,
    /// A TCP port that SMTP is spoken on (repeatable) [default: 25]
    #[arg(long = "port", value_name = "N", value_parser = clap::value_parser!(u16).range(1..), env = "SMTPHOUND_PORT", value_delimiter = ',', hide_env = true, help_heading = SITE)]
    pub ports: Vec<u16>,
    /// Read only frames that this libpcap filter lets through, such as 'host 192.0.2.7' (see `man pcap-filter`)
    #[arg(long, value_name = "BPF", env = "SMTPHOUND_FILTER", hide_env = true, help_heading = RUN)]
    pub filter: Option<String>,
    /// Threads to work with, 1 to 16; the result is the same with any number [default: one for each CPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=WORKERS_MAX), env = "SMTPHOUND_WORKERS", hide_env = true, help_heading = RUN)]
    pub workers: Option<u16>,
    /// Write every SMTP connection as a line of JSON to this file; `-` is standard output
    #[arg(long, value_name = "FILE", env = "SMTPHOUND_SESSIONS", hide_env = true, help_heading = OUTPUT)]
    pub sessions: Option<PathBuf>,
    /// The form of what --sessions writes
    #[arg(long, value_name = "FORM", default_value = "native", env = "SMTPHOUND_FORMAT", hide_env = true, help_heading = OUTPUT)]
    pub format: SessionFormat,
    /// Write a page for people, HTML without anything from elsewhere, to this file; `-` is standard output
    #[arg(long, value_name = "FILE", env = "SMTPHOUND_HTML", hide_env = true, help_heading = OUTPUT)]
    pub html: Option<PathBuf>,
    /// Write metrics for Prometheus' textfile collector to this file (`watch`: four times a minute); `-` is standard output
    #[arg(long, value_name = "FILE", env = "SMTPHOUND_METRICS", hide_env = true, help_heading = OUTPUT)]
    pub metrics: Option<PathBuf>,
    /// Send each incident as a line to syslog: unix:/dev/log, udp:127.0.0.1:514 or tcp:127.0.0.1:514
    #[arg(long, value_name = "WHERE", env = "SMTPHOUND_SYSLOG", hide_env = true, help_heading = OUTPUT)]
    pub syslog: Option<syslog::Address>,
    /// How these lines look
    #[arg(long, value_name = "FORMAT", default_value = "rfc5424", env = "SMTPHOUND_SYSLOG_FORMAT", hide_env = true, help_heading = OUTPUT)]
    pub syslog_format: SyslogFormat,
    /// What is told at the end.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What counts as yours, and what replies mean.
#[derive(ArgGroup, Clone, Debug, Default)]
pub struct SiteArgs {
    /// A network of yours, such as 192.0.2.0/24, or @FILE with one a line (repeatable)
    ///
    /// Only machines in these networks are judged. Without it: the private networks (10.0.0.0/8, 172.16.0.0/12,
    /// 192.168.0.0/16, fc00::/7) and link-local addresses.
    #[arg(long = "home-net", value_name = "CIDR", value_parser = parse_net_source, env = "SMTPHOUND_HOME_NET", value_delimiter = ',', hide_env = true, help_heading = SITE)]
    pub home_nets: Vec<NetSource>,
    /// A mail server of yours (repeatable)
    ///
    /// Mail servers are learned from what they take in. Naming them is surer, above all in short captures; then every
    /// other machine that mails the world is known to be none. A server counts as yours even outside the home networks.
    #[arg(long = "mail-server", value_name = "IP", value_parser = parse_mail_server, env = "SMTPHOUND_MAIL_SERVER", value_delimiter = ',', hide_env = true, help_heading = SITE)]
    pub mail_servers: Vec<IpAddr>,
    /// A domain that you take mail for (repeatable)
    ///
    /// Tells mail for you from mail that somebody tries to relay through you.
    #[arg(long = "local-domain", value_name = "NAME", value_parser = parse_domain, env = "SMTPHOUND_LOCAL_DOMAIN", value_delimiter = ',', hide_env = true, help_heading = SITE)]
    pub local_domains: Vec<String>,
    /// A TOML file with home_nets, mail_servers, local_domains, relay_domains, relay_networks, ports, reply_rules, theme,
    /// mouse, bindings
    ///
    /// A flag replaces the key of the same meaning in the file; between them stand environment variables, SMTPHOUND_HOME_NET
    /// for --home-net and so on. `smtphound config print-template` prints a file of all settings.
    #[arg(long, value_name = "FILE", env = "SMTPHOUND_CONFIG", hide_env = true, help_heading = SITE)]
    pub config: Option<PathBuf>,
    /// Rules that say what servers' replies mean, instead of the built-in ones
    #[arg(long, value_name = "FILE", env = "SMTPHOUND_REPLY_RULES", hide_env = true, help_heading = SITE)]
    pub reply_rules: Option<PathBuf>,
}

/// What is told at the end of a run.
#[derive(ArgGroup, Debug, Default)]
pub struct OutputArgs {
    /// Write the incident report, JSON, to this file; `-` is standard output
    #[arg(long, value_name = "FILE", env = "SMTPHOUND_REPORT", hide_env = true, help_heading = OUTPUT)]
    pub report: Option<PathBuf>,
    /// End with status 1 if an incident is at least this sure
    #[arg(long, value_name = "TIER", env = "SMTPHOUND_FAIL_ON", hide_env = true, help_heading = OUTPUT)]
    pub fail_on: Option<FailOn>,
    /// Colours in the table; `auto` means on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value = "auto", env = "SMTPHOUND_COLOR", hide_env = true, help_heading = OUTPUT)]
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

/// `--format`.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum SessionFormat {
    /// A line a connection, with all that is known of it; `judge` reads it
    #[default]
    Native,
    /// Suricata's EVE: smtp, flow and alert events
    Eve,
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
