//! The `refpoint` command: settings, composition, one file per verb.
//!
//! `main` parses, runs one verb and turns its result into an exit code; everything that decides or acts lives in
//! the crates below, so that pages and an API can say the same words later.

mod arguments;
mod commands;
mod context;
mod control;
mod demo;
mod error;
mod exit;
mod files;
mod fleet;
mod interrupt;
mod listener;
mod output;
mod point_choice;
mod practice;
mod report;
mod results;
mod secret;
mod select;
mod settings;
mod temporary;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::Arguments;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::report::Outcome;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let context = Context::new(arguments.global);
    let output = context.output;
    let exit = run(&context, arguments.command).unwrap_or_else(|failure| {
        failure.print(output);
        failure.exit()
    });
    exit.into()
}

/// One runtime for the whole process; its size follows the machine, since hashing and compression use it.
fn run(context: &Context, command: arguments::Command) -> Outcome<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Internal { what: "The runtime", problem: error.to_string() })?;
    runtime.block_on(commands::dispatch(context, command))
}
