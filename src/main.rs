//! The `loopweave` program: all of it is [`loopweave::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    loopweave::cli::main(std::env::args_os())
}
