//! Flags and file become one validated [`Config`], once; after that nothing asks what was typed.
//!
//! A flag replaces the key of the same meaning in the TOML file as a whole (lists are not joined), the file replaces the
//! defaults. Parsing is pure: [`FileConfig::parse`] takes text, [`Config::resolve`] takes what the outside world is like
//! as an [`Environment`]; only [`Config::load`] reads files.

mod file;

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;

pub use file::FileConfig;

use crate::capture::{LiveOptions, Wanted};
use crate::cli::{
    ColorChoice, JudgeArgs, ReplayArgs, ScreenArgs, SessionFormat, SharedArgs, SiteArgs, ThemeName, WORKERS_MAX,
    WatchArgs,
};
use crate::detect::replies::ReplyRules;
use crate::detect::{DetectSettings, Terms, Tier};
use crate::error::Error;
use crate::limits::Limits;
use crate::output::{LineForm, Style, Target, syslog};
use crate::site::Site;
use crate::tui::Bindings;
use crate::values::{Loopback, NetSource, parse_nets};
use crate::wire::shown;

/// The SMTP port (RFC 5321 section 4.5.4.2; submission on 587 needs a login and is left out unless asked for).
const SMTP_PORT: u16 = 25;

/// What a configuration may not exceed: it is written by hand, and read whole.
const CONFIG_BYTES_MAX: u64 = 16 << 20;

/// All settings of the file, commented out, with their defaults.
pub const TEMPLATE: &str = include_str!("config/template.toml");

/// The outside world, as far as the configuration depends on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Environment {
    /// `NO_COLOR` is set and not empty (no-color.org), or `TERM` is `dumb`.
    pub no_color: bool,
    /// Standard output is a terminal.
    pub terminal: bool,
    /// Its width, if it is a terminal that knows it.
    pub columns: Option<u16>,
    /// CPUs that may be used.
    pub cpus: usize,
}

impl Environment {
    /// What it is now.
    pub fn detect() -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        Self {
            no_color: is_set("NO_COLOR") || std::env::var_os("TERM").is_some_and(|term| term == "dumb"),
            terminal: std::io::stdout().is_terminal(),
            columns: terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0),
            cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        }
    }
}

/// Where frames come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl Input {
    fn new(path: PathBuf) -> Self {
        if path.as_os_str() == "-" { Self::Stdin } else { Self::File(path) }
    }
}

/// All that a run is told, valid.
#[derive(Clone, Debug)]
pub struct Config {
    /// Captures, in the order given; at most one is standard input.
    pub inputs: Vec<Input>,
    /// The home network.
    pub site: Site,
    /// SMTP ports, ascending, each once, at least one.
    pub ports: Vec<u16>,
    /// What replies mean.
    pub reply_rules: Arc<ReplyRules>,
    /// A libpcap filter, not yet compiled.
    pub filter: Option<String>,
    /// Bounds of every table.
    pub limits: Limits,
    /// Settings of the detectors.
    pub settings: DetectSettings,
    /// Threads, 1 to 16.
    pub workers: usize,
    /// Where the report goes.
    pub report: Option<Target>,
    /// Where session lines go.
    pub sessions: Option<Target>,
    /// The form of session lines.
    pub form: LineForm,
    /// Where the page for people goes.
    pub html: Option<Target>,
    /// Where metrics go.
    pub metrics: Option<Target>,
    /// Where incidents go as lines of syslog.
    pub syslog: Option<syslog::Destination>,
    /// The directory for captures of each incident's connections.
    pub evidence: Option<PathBuf>,
    /// How the table on standard output looks; `None` if there is none.
    pub table: Option<Style>,
    /// The tier of an incident from which on the exit status is 1.
    pub fail_on: Option<Tier>,
    /// The screen that `replay` shows the capture on, if it shall, and how fast: 1 is as recorded, 0 without waiting.
    pub screen: Option<(Screen, f64)>,
}

/// Where the site and the reply rules are told, to be read once more while the program runs.
#[derive(Clone, Debug)]
pub struct Reload(SiteArgs);

impl Reload {
    /// What is told there now.
    pub fn load(&self) -> Result<Terms, Error> {
        let (file, rules) = files(&self.0)?;
        Ok(Terms { site: site(&self.0, &file)?, rules })
    }
}

/// How the screen looks and listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Screen {
    /// Colours.
    pub theme: ThemeName,
    /// The mouse is taken.
    pub mouse: bool,
    /// Which key does what.
    pub bindings: Bindings,
}

/// All that `watch` is told, valid.
#[derive(Clone, Debug)]
pub struct WatchConfig {
    /// What it shares with `replay`; there are no inputs.
    pub run: Config,
    /// The device.
    pub live: LiveOptions,
    /// The screen; `None` if incidents go to standard output as lines.
    pub screen: Option<Screen>,
    /// A file for the frames that were looked at.
    pub write: Option<PathBuf>,
    /// Where metrics are offered.
    pub metrics_listen: Option<Loopback>,
    /// Rights are kept once the device is open.
    pub keep_privileges: bool,
    /// What SIGHUP reads again.
    pub reload: Reload,
}

impl WatchConfig {
    /// Reads the files that the flags name, and resolves all.
    pub fn load(args: WatchArgs, env: &Environment) -> Result<Self, Error> {
        let (file, rules) = files(&args.shared.site)?;
        Self::resolve(args, file, rules, env)
    }

    /// Puts flags over the file over the defaults, and checks what no value alone can show.
    pub fn resolve(
        args: WatchArgs,
        file: FileConfig,
        reply_rules: Arc<ReplyRules>,
        env: &Environment,
    ) -> Result<Self, Error> {
        let shared = &args.shared;
        for (flag, path) in [
            ("--report", &shared.output.report),
            ("--sessions", &shared.sessions),
            ("--html", &shared.html),
            ("--metrics", &shared.metrics),
        ] {
            if path.as_ref().is_some_and(|path| path.as_os_str() == "-") {
                let taken = if args.headless { "the incidents' lines" } else { "the screen" };
                return Err(Error::Usage(format!("{flag} -: standard output belongs to {taken}, so name a file")));
            }
        }
        if !args.headless && !env.terminal {
            let message = "standard output is no terminal to show a screen on: add --headless for lines of JSON";
            return Err(Error::Usage(message.to_owned()));
        }
        let screen = (!args.headless).then(|| screen(&args.screen, &file, env));
        let reload = Reload(args.shared.site.clone());
        let run = Config::common(args.shared, Vec::new(), file, reply_rules, env)?;
        let live = LiveOptions {
            device: args.device,
            wanted: Wanted { ports: run.ports.clone(), tunnels: args.tunnels, names: !args.no_names },
            filter: run.filter.clone(),
            snap_len: args.snaplen,
            buffer_mib: args.buffer,
            promiscuous: !args.no_promiscuous,
        };
        Ok(Self {
            run,
            live,
            screen,
            write: args.write,
            metrics_listen: args.metrics_listen,
            keep_privileges: args.keep_privileges,
            reload,
        })
    }
}

impl Config {
    /// Reads the files that the flags name, and resolves all.
    pub fn load(args: ReplayArgs, env: &Environment) -> Result<Self, Error> {
        let (file, rules) = files(&args.shared.site)?;
        Self::resolve(args, file, rules, env)
    }

    /// Puts flags over the file over the defaults, and checks what no value alone can show.
    pub fn resolve(
        args: ReplayArgs,
        file: FileConfig,
        reply_rules: Arc<ReplyRules>,
        env: &Environment,
    ) -> Result<Self, Error> {
        let inputs: Vec<Input> = args.files.into_iter().map(Input::new).collect();
        if inputs.iter().filter(|input| **input == Input::Stdin).count() > 1 {
            return Err(Error::Usage("standard input (`-`) can be read only once: name it once".to_owned()));
        }
        let shared = &args.shared;
        let outputs = [&shared.output.report, &shared.sessions, &shared.html, &shared.metrics];
        let to_stdout = outputs.into_iter().flatten().any(|path| path.as_os_str() == "-");
        if args.tui && (to_stdout || !env.terminal) {
            return Err(Error::Usage(
                "--tui: standard output must be a terminal that belongs to the screen".to_owned(),
            ));
        }
        if let Some(directory) = &args.evidence {
            check_evidence(directory, &inputs)?;
        }
        let screen = args.tui.then(|| (screen(&args.screen, &file, env), args.speed));
        Ok(Self { screen, evidence: args.evidence, ..Self::common(args.shared, inputs, file, reply_rules, env)? })
    }

    /// The same for `judge`, whose inputs are session lines.
    pub fn of_lines(args: JudgeArgs, env: &Environment) -> Result<Self, Error> {
        let (file, rules) = files(&args.site)?;
        let inputs = args.files.into_iter().map(Input::new).collect();
        let shared = SharedArgs { site: args.site, output: args.output, ..SharedArgs::default() };
        Self::common(shared, inputs, file, rules, env)
    }

    fn common(
        shared: SharedArgs,
        inputs: Vec<Input>,
        file: FileConfig,
        reply_rules: Arc<ReplyRules>,
        env: &Environment,
    ) -> Result<Self, Error> {
        let site = site(&shared.site, &file)?;
        let (report, sessions) = (shared.output.report.map(Target::new), shared.sessions.map(Target::new));
        let (html, metrics) = (shared.html.map(Target::new), shared.metrics.map(Target::new));
        let outputs = [("--report", &report), ("--sessions", &sessions), ("--html", &html), ("--metrics", &metrics)];
        let outputs: Vec<(&str, &Target)> =
            outputs.into_iter().filter_map(|(flag, target)| Some((flag, target.as_ref()?))).collect();
        check_targets(&inputs, &outputs)?;
        let stdout_taken = outputs.iter().any(|(_, target)| **target == Target::Stdout);
        let table = (!shared.output.quiet && !stdout_taken).then(|| style(shared.output.color, env));

        let mut ports = given(shared.ports).or(file.ports).unwrap_or_else(|| vec![SMTP_PORT]);
        ports.sort_unstable();
        ports.dedup();
        Ok(Self {
            inputs,
            site,
            ports,
            reply_rules,
            filter: shared.filter.filter(|filter| !filter.trim().is_empty()),
            limits: Limits::default(),
            settings: file.detect.unwrap_or_default(),
            workers: shared.workers.map_or(env.cpus, usize::from).clamp(1, WORKERS_MAX as usize),
            report,
            sessions,
            form: match shared.format {
                SessionFormat::Native => LineForm::Native,
                SessionFormat::Eve => LineForm::Eve,
            },
            html,
            metrics,
            syslog: shared.syslog.map(|address| syslog::Destination { address, format: shared.syslog_format.into() }),
            evidence: None,
            table,
            fail_on: shared.output.fail_on.map(Tier::from),
            screen: None,
        })
    }
}

/// What the files say that the flags name.
fn files(site: &SiteArgs) -> Result<(FileConfig, Arc<ReplyRules>), Error> {
    let file = match &site.config {
        Some(path) => FileConfig::parse(&read(path)?, path)?,
        None => FileConfig::default(),
    };
    let rules = match site.reply_rules.as_ref().or(file.reply_rules.as_ref()) {
        Some(path) => ReplyRules::from_toml(&read(path)?)
            .map_err(|error| Error::Config { place: shown(path), message: error.to_string() })?,
        None => ReplyRules::builtin(),
    };
    Ok((file, Arc::new(rules)))
}

fn screen(args: &ScreenArgs, file: &FileConfig, env: &Environment) -> Screen {
    // Who sets NO_COLOR means it for all programs; a flag is meant for this one.
    let default = if env.no_color { ThemeName::Mono } else { file.theme.unwrap_or_default() };
    Screen {
        theme: args.theme.unwrap_or(default),
        mouse: args.mouse || file.mouse.unwrap_or(false),
        bindings: file.bindings.clone().unwrap_or_default(),
    }
}

/// A list of flags, if there were any.
fn given<T>(flags: Vec<T>) -> Option<Vec<T>> {
    (!flags.is_empty()).then_some(flags)
}

/// What counts as ours: flags over the file over the defaults.
fn site(flags: &SiteArgs, file: &FileConfig) -> Result<Site, Error> {
    let over = |flags: &[NetSource], file: Option<&Vec<NetSource>>| {
        let named = if flags.is_empty() { file.map_or(&[][..], Vec::as_slice) } else { flags };
        (!named.is_empty()).then(|| networks(named)).transpose()
    };
    let mut site = Site {
        mail_servers: unique(given(flags.mail_servers.clone()).or(file.mail_servers.clone()).unwrap_or_default()),
        local_domains: unique(given(flags.local_domains.clone()).or(file.local_domains.clone()).unwrap_or_default()),
        relay_domains: unique(file.relay_domains.clone().unwrap_or_default()),
        relay_networks: over(&[], file.relay_networks.as_ref())?.unwrap_or_default(),
        ..Site::default()
    };
    if let Some(nets) = over(&flags.home_nets, file.home_nets.as_ref())? {
        site.home_nets = nets;
        site.home_nets_given = true;
    }
    // Who names a mail server says that it is theirs.
    for ip in &site.mail_servers {
        if !site.home_nets.iter().any(|net| net.contains(ip)) {
            site.home_nets.push(IpNet::from(*ip));
        }
    }
    Ok(site)
}

/// Networks, those of files among them, each once.
fn networks(named: &[NetSource]) -> Result<Vec<IpNet>, Error> {
    let mut nets = Vec::new();
    for source in named {
        match source {
            NetSource::Net(net) => nets.push(*net),
            NetSource::File(path) => {
                let wrong = |(line, message)| Error::Config { place: format!("{}, line {line}", shown(path)), message };
                let found = parse_nets(&read(path)?).map_err(wrong)?;
                if found.is_empty() {
                    let message = "no network stands in it: write one a line, such as 192.0.2.0/24".to_owned();
                    return Err(Error::Config { place: shown(path), message });
                }
                nets.extend(found);
            }
        }
    }
    Ok(unique(nets))
}

/// Each item once, in the order of its first mention.
fn unique<T: PartialEq>(items: Vec<T>) -> Vec<T> {
    items.into_iter().fold(Vec::new(), |mut kept, item| {
        if !kept.contains(&item) {
            kept.push(item);
        }
        kept
    })
}

/// No two outputs to one place, none over a capture that is read, and none to where no file can be.
fn check_targets(inputs: &[Input], outputs: &[(&str, &Target)]) -> Result<(), Error> {
    for (i, (flag, target)) in outputs.iter().enumerate() {
        for (other, place) in outputs.iter().skip(i + 1) {
            match (target, place) {
                (Target::Stdout, Target::Stdout) => {
                    return Err(Error::Usage(format!(
                        "{flag} and {other} cannot both go to standard output (`-`): give one of them a file"
                    )));
                }
                (Target::File(path), Target::File(same)) if is_same_file(path, same) => {
                    return Err(Error::Usage(format!(
                        "{flag} and {other} cannot both go to {}: give each its own file",
                        shown(path)
                    )));
                }
                _ => {}
            }
        }
    }
    for (flag, target) in outputs {
        // Better known now than when hours of capture have been read.
        if let Target::File(path) = target
            && let Some(directory) = path.parent()
            && !directory.as_os_str().is_empty()
            && !directory.is_dir()
        {
            return Err(Error::Usage(format!("{flag}: there is no directory {}: make it first", shown(directory))));
        }
        for input in inputs {
            if let (Target::File(path), Input::File(file)) = (target, input)
                && is_same_file(path, file)
            {
                return Err(Error::Usage(format!(
                    "{flag} {} would overwrite an input that is to be read: give it another name",
                    shown(path)
                )));
            }
        }
    }
    Ok(())
}

/// Evidence can be copied only out of what can be read again, and only to where a directory is or can be.
fn check_evidence(directory: &Path, inputs: &[Input]) -> Result<(), Error> {
    if let Some(once) = read_only_once(inputs) {
        return Err(Error::Usage(format!(
            "--evidence reads the captures again, and {once} can be read only once: save it to a file first"
        )));
    }
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    match parent {
        _ if directory.is_dir() => Ok(()),
        _ if directory.exists() => {
            Err(Error::Usage(format!("--evidence {}: this is no directory: name one", shown(directory))))
        }
        Some(parent) if !parent.is_dir() => {
            Err(Error::Usage(format!("--evidence: there is no directory {}: make it first", shown(parent))))
        }
        _ => Ok(()),
    }
}

/// The first input that cannot be read again.
pub fn read_only_once(inputs: &[Input]) -> Option<String> {
    inputs.iter().find_map(|input| match input {
        Input::Stdin => Some("standard input".to_owned()),
        Input::File(path) => fs::metadata(path).is_ok_and(|found| !found.is_file()).then(|| shown(path)),
    })
}

/// Whether two paths lead to one regular file (or to what does not exist yet, by the same name). Devices such as
/// `/dev/null` can take any number of outputs.
fn is_same_file(a: &Path, b: &Path) -> bool {
    match (fs::canonicalize(a), fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b && a.is_file(),
        (Err(_), Err(_)) => match (to_be(a), to_be(b)) {
            (Some(a), Some(b)) => a == b,
            _ => a == b,
        },
        // One is there, and the other is not.
        _ => false,
    }
}

/// Where a file will be that is not there yet, in one spelling.
fn to_be(path: &Path) -> Option<PathBuf> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(fs::canonicalize(parent).ok()?.join(path.file_name()?))
}

fn style(color: ColorChoice, env: &Environment) -> Style {
    let color = match color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => env.terminal && !env.no_color,
    };
    Style::new(env.columns.map_or(Style::COLUMNS, usize::from), color)
}

fn read(path: &Path) -> Result<String, Error> {
    let fail = |source| Error::ConfigFile { file: shown(path), source };
    let size = fs::metadata(path).map_err(fail)?.len();
    if size > CONFIG_BYTES_MAX {
        let message = format!("the file has {size} bytes, which is no configuration");
        return Err(Error::Config { place: shown(path), message });
    }
    let bytes = fs::read(path).map_err(fail)?;
    String::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytecount(error.as_bytes(), error.utf8_error().valid_up_to());
        Error::Config { place: format!("{}, line {line}", shown(path)), message: "this is not UTF-8 text".to_owned() }
    })
}

/// Line feeds before a place.
fn bytecount(bytes: &[u8], place: usize) -> usize {
    bytes.iter().take(place).filter(|&&byte| byte == b'\n').count()
}

#[cfg(test)]
mod tests;
