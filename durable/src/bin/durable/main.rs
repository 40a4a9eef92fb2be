//! `durable`: looks at data directories, saves them, restores them and checks them, through the public API.

mod args;
mod letters;
mod output;
mod past;
mod print;
mod quarantine;
mod show;

use std::process::ExitCode;

use clap::Parser;
use durable::{DataDirectory, Error};
use serde_json::json;

use args::{Args, Command};
use output::Output;

/// All is well.
const FINE: u8 = 0;
/// Something is wrong in the directory.
const PROBLEMS: u8 = 1;
/// The command is wrong, or something cannot be read or written.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    // Ends with `FAILED` by itself if the command is wrong.
    let args = Args::parse();
    let outcome = run(&args.command);
    let (written, code) = match outcome {
        Ok((output, code)) => (output.write(args.json), code),
        Err(error) if args.json => {
            let error = json!({ "code": error.code(), "message": error.message() });
            (Output::new(json!({ "error": error }), String::new()).write(true), FAILED)
        }
        Err(error) => (print::complain(&error.to_string()), FAILED),
    };
    // Whoever closed the pipe has seen what they wanted.
    ExitCode::from(if written.is_ok() { code } else { FAILED })
}

fn run(command: &Command) -> Result<(Output, u8), Error> {
    let output = match command {
        Command::Inspect { dir } => print::inspected(&DataDirectory::open(dir)?)?,
        Command::List { dir, class, prefix, after, limit } => {
            let directory = DataDirectory::open(dir)?;
            print::listed(&directory, class, prefix, after.as_deref(), *limit)?
        }
        Command::Show { dir, class, who } => {
            let Some(object) = DataDirectory::open(dir)?.object(class, who)? else {
                return Ok((missing(class, who), PROBLEMS));
            };
            show::object(&object)
        }
        Command::History { dir, class, who, until, limit } => {
            let until = until.as_deref().map(str::parse).transpose()?;
            let directory = DataDirectory::open(dir)?;
            let Some(entries) = directory.history(class, who, until.as_ref(), *limit)? else {
                return Ok((missing(class, who), PROBLEMS));
            };
            past::history(class, who, &entries, *limit)
        }
        Command::Backup { dir, to } => {
            print::copied("backup", to, DataDirectory::open(dir)?.backup(to)?)
        }
        Command::Restore { backup, to } => {
            print::copied("restored", to, DataDirectory::restore(backup, to)?)
        }
        Command::DeadLetters { dir, command } => letters::run(dir, command)?,
        Command::Quarantine { dir, command } => quarantine::run(dir, command)?,
        Command::Verify { dir } => {
            let verified = DataDirectory::open(dir)?.verify()?;
            let code = if verified.is_sound() { FINE } else { PROBLEMS };
            return Ok((print::verified(&verified), code));
        }
    };
    Ok((output, FINE))
}

/// What is said of an object that is not there.
fn missing(class: &str, who: &str) -> Output {
    Output::new(json!({ "object": null }), format!("{class} has no object {who}\n"))
}
