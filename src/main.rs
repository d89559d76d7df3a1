//! The command line: parse, run, and end with the right status.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use smtphound::cli::{Args, Command};
use smtphound::config::{Config, Environment};
use smtphound::error::Error;
use smtphound::replay::replay;

/// Sessions are made of many small pieces that are given back together, long after they were last touched: this allocator
/// neither looks at their neighbours then nor merges them (docs/performance.md has the figures).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Command::Replay(args) = Args::parse().command;
    let run = Config::load(args, &Environment::detect()).and_then(|config| replay(&config, &mut complain));
    let status = run.unwrap_or_else(|error| {
        complain(&error);
        error.status()
    });
    status.into()
}

/// Tells the operator what went wrong. Where even that cannot be written, the exit status has to do.
fn complain(error: &Error) {
    let broken_pipe = matches!(error, Error::Write { source, .. } if source.kind() == std::io::ErrorKind::BrokenPipe);
    if !broken_pipe {
        let _ = writeln!(std::io::stderr(), "smtphound: {error}");
    }
}
