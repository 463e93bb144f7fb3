//! The command line: `eval`, `explain`, `check`, and the tour.
//!
//! In: arguments, `.lw` and `.npy` files. Out: text on stdout or `.npy` files, messages on stderr, and an exit code: 0, 1 for
//! an error in what the user gave, 2 for a command line that is not understood.
//!
//! Invariants: stdout carries results and nothing else; nobody sees a backtrace; a reader that goes away early (`| head`) is
//! no error.

mod args;
mod check;
mod error;
mod eval;
mod explain;
mod input;
pub mod npy;
mod page;
mod subject;
mod tour;

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::Parser;

use crate::error::Error;
use args::{Cli, Command};
use error::CliError;

/// Runs the program with these arguments, the first of which is its own name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout with exit code 0, the rest to stderr with 2. Where nobody reads, nobody minds.
            let plain = error.render().to_string();
            let cut = shortened(&plain);
            let _ = match cut == plain {
                true => error.print(),
                false => writeln!(io::stderr(), "{cut}"),
            };
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let message = info.payload_as_str().unwrap_or("no message");
        say(&format!(
            "error: loopweave failed ({place}: {message}); please report this"
        ));
    }));
    match panic::catch_unwind(AssertUnwindSafe(|| run(&cli))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(CliError::Stdout(error))) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            say(&render(&error));
            ExitCode::FAILURE
        }
        Err(_) => ExitCode::FAILURE,
    }
}

fn run(cli: &Cli) -> Result<(), CliError> {
    let mut out = BufWriter::new(io::stdout().lock());
    match &cli.command {
        Some(Command::Eval(args)) => eval::run(args, &mut out),
        Some(Command::Explain(args)) => explain::run(args, &mut out),
        Some(Command::Check(args)) => check::run(args, &mut out),
        None => tour::run(&mut out),
    }?;
    out.flush().map_err(CliError::Stdout)
}

/// The message of an error: that of a text error shows the text, in colours where a person reads it.
fn render(error: &CliError) -> String {
    match error {
        CliError::Program(Error::Text(diagnostics)) if io::stderr().is_terminal() => diagnostics.styled(),
        CliError::Program(Error::Text(diagnostics)) => diagnostics.to_string(),
        other => format!("error: {}", shortened(&other.to_string())),
    }
}

/// A message whose long words are cut: a name can be as long as the user's text.
fn shortened(message: &str) -> String {
    const MAX_WORD: usize = 300;
    let cut = |word: &str| match word.char_indices().nth(MAX_WORD) {
        Some((end, _)) => format!("{}…", &word[..end]),
        None => word.to_owned(),
    };
    message.split(' ').map(cut).collect::<Vec<_>>().join(" ")
}

/// A message on stderr; if that is closed there is nobody left to tell.
fn say(message: &str) {
    let _ = writeln!(io::stderr(), "{message}");
}
