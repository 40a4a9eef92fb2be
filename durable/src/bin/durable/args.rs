//! What can be asked for.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Looks at the data directories of `durable`, saves them, restores them and checks them.
///
/// Works beside the process that runs a directory, and changes nothing in it; only to retry or drop dead letters, and
/// to release objects, it must have the directory to itself. Ends with 0 if all is well, with 1 if
/// something is wrong in the directory or the object is not there, with 2 if the command is wrong or something cannot be
/// read or written.
#[derive(Debug, Parser)]
#[command(name = "durable", version)]
pub(crate) struct Args {
    /// Print one JSON object on one line.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What the directory is: format, shards, classes, objects, bytes, who holds it.
    Inspect {
        /// The data directory.
        dir: PathBuf,
    },
    /// One page of a class's objects.
    List {
        /// The data directory.
        dir: PathBuf,
        /// The class's name.
        class: String,
        /// Only objects whose names begin with this.
        #[arg(long, default_value = "")]
        prefix: String,
        /// Only objects that come after this one: the id of the last of the page before.
        #[arg(long)]
        after: Option<String>,
        /// At most so many, 1 to 1,000.
        #[arg(long, default_value_t = 1_000)]
        limit: usize,
    },
    /// What is stored of one object.
    Show {
        /// The data directory.
        dir: PathBuf,
        /// The class's name.
        class: String,
        /// The object's name or id.
        who: String,
    },
    /// What the commits of one object did, the newest first.
    History {
        /// The data directory.
        dir: PathBuf,
        /// The class's name.
        class: String,
        /// The object's name or id.
        who: String,
        /// Only up to this moment: the bookmark before the last one of the page before.
        #[arg(long)]
        until: Option<String>,
        /// At most so many, 1 to 1,000.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Copies the directory, which may be running.
    Backup {
        /// The data directory.
        dir: PathBuf,
        /// Where to; must be empty or not exist.
        to: PathBuf,
    },
    /// Checks a backup and copies it.
    Restore {
        /// The backup.
        backup: PathBuf,
        /// Where to; must be empty or not exist.
        to: PathBuf,
    },
    /// What has used up its retries.
    DeadLetters {
        /// The data directory.
        dir: PathBuf,
        /// What to do.
        #[command(subcommand)]
        command: LettersCommand,
    },
    /// The objects that are kept from running.
    Quarantine {
        /// The data directory.
        dir: PathBuf,
        /// What to do.
        #[command(subcommand)]
        command: QuarantineCommand,
    },
    /// Reads everything and lists what is wrong.
    Verify {
        /// The data directory.
        dir: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LettersCommand {
    /// One page of them, at most 1,000.
    List {
        /// Only those after this one, such as 0-17: the last of the page before.
        #[arg(long)]
        after: Option<String>,
    },
    /// Makes one the alarm again that it was; it fires when the directory is run. Nobody may run it now.
    Retry {
        /// Its name, such as 0-17.
        letter: String,
    },
    /// Takes one away. Nobody may run the directory now.
    Drop {
        /// Its name, such as 0-17.
        letter: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// One page of them, at most 1,000.
    List {
        /// Only those after this one: the id of the last of the page before.
        #[arg(long)]
        after: Option<String>,
    },
    /// Lets one run again when the directory is run. Nobody may run it now.
    Release {
        /// Its id.
        id: String,
    },
}
