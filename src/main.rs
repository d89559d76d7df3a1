//! The command line: parse, run, and end with the right status.

use std::io::{BufWriter, Write};
use std::process::ExitCode;

use smtphound::cli::{self, Args, Command, ConfigAction, Mistake, SchemaOf};
use smtphound::config::{self, Config, Environment, WatchConfig};
use smtphound::diff::diff;
use smtphound::error::{Error, Status};
use smtphound::judge::judge;
use smtphound::lines;
use smtphound::output::{self, Style};
use smtphound::replay::replay;
use smtphound::watch::{list_devices, watch};
use smtphound::xarf::{self, Reporter, Request};

/// Sessions are made of many small pieces that are given back together, long after they were last touched: this allocator
/// neither looks at their neighbours then nor merges them (docs/performance.md has the figures).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = match Args::read() {
        Ok(args) => args,
        Err(mistake) => return refuse(&mistake),
    };
    let env = Environment::detect();
    let status = run(args.command, &env).unwrap_or_else(|error| {
        complain(&error);
        error.status()
    });
    status.into()
}

fn run(command: Command, env: &Environment) -> Result<Status, Error> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    match command {
        // What these tell goes through their own hands.
        Command::Replay(args) => {
            drop(out);
            Config::load(*args, env).and_then(|config| replay(&config, &mut complain))
        }
        Command::Watch(args) => {
            drop(out);
            WatchConfig::load(*args, env).and_then(|config| watch(&config, &mut complain))
        }
        Command::Judge(args) => {
            drop(out);
            Config::of_lines(*args, env).and_then(|config| judge(&config, &mut complain))
        }
        Command::Devices => list_devices(&mut out),
        Command::Diff(args) => {
            let columns = env.columns.map_or(Style::COLUMNS, usize::from);
            diff(&args.before, &args.after, args.json, Style::new(columns, false).columns(), &mut out)
        }
        Command::Report(args) => {
            let reporter = Reporter { org: args.org, contact: args.contact };
            let request = Request {
                report: &args.report,
                sessions: &args.sessions,
                incidents: &args.incident,
                reporter: &reporter,
            };
            xarf::write(&request, &mut out, &mut complain)
        }
        Command::Schema { of: SchemaOf::Report } => {
            print(&mut out, &format!("{:#}", output::report::schema().as_value()))
        }
        Command::Schema { of: SchemaOf::Session } => print(&mut out, &format!("{:#}", lines::schema().as_value())),
        Command::Config { action: ConfigAction::PrintTemplate } => print(&mut out, config::TEMPLATE.trim_end()),
        Command::Completions { shell } => cli::completions(shell, &mut out).map(|()| Status::Done),
        Command::Man { command } => cli::man(command.as_deref(), &mut out).map(|()| Status::Done),
    }
}

fn print(out: &mut dyn Write, text: &str) -> Result<Status, Error> {
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Error::stdout)?;
    Ok(Status::Done)
}

/// A command line that is not taken: a help or version that was asked for, or one sentence.
fn refuse(mistake: &Mistake) -> ExitCode {
    if let Some(text) = mistake.asked_for() {
        // Where even that cannot be written, nobody reads it.
        let _ = text.print();
        return Status::Done.into();
    }
    let _ = writeln!(std::io::stderr(), "smtphound: {}", mistake.sentence());
    Status::Usage.into()
}

/// Tells the operator what went wrong. Where even that cannot be written, the exit status has to do.
fn complain(error: &Error) {
    let broken_pipe = matches!(error, Error::Write { source, .. } if source.kind() == std::io::ErrorKind::BrokenPipe);
    if !broken_pipe {
        let _ = writeln!(std::io::stderr(), "smtphound: {error}");
    }
}
