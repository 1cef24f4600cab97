//! The command line: one file a sub-command. Exit codes: 0 done, 1 failed, 2 wrong usage; 130 or 143 when a second SIGINT
//! or SIGTERM cut a server's end short.

mod archive;
mod audio;
mod backfill;
mod bundle;
mod capacity;
mod check_config;
mod common;
mod dead_letters;
mod demo;
mod drift;
mod eval;
mod events;
mod experiment;
mod feature_log;
mod import;
mod index;
mod key;
mod load;
mod ope;
mod progress;
mod replay;
mod serve;
mod simulate;
mod swap;
mod world;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What should this listener hear next? Retrieval, ranking and re-ranking for music in one process.
#[derive(Debug, Parser)]
#[command(name = "segue", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Demo(demo::Args),
    CheckConfig(check_config::Args),
    #[command(subcommand)]
    Key(key::Command),
    World(world::Args),
    Import(import::Args),
    #[command(subcommand)]
    Events(events::Command),
    #[command(subcommand)]
    FeatureLog(feature_log::Command),
    #[command(subcommand)]
    Backfill(backfill::Command),
    #[command(subcommand)]
    Bundle(bundle::Command),
    #[command(subcommand)]
    Index(index::Command),
    Eval(eval::Args),
    #[command(subcommand)]
    Audio(audio::Command),
    Replay(replay::Args),
    #[command(subcommand)]
    Drift(drift::Command),
    #[command(subcommand)]
    Experiment(experiment::Command),
    Ope(ope::Args),
    Simulate(simulate::Args),
    #[command(subcommand)]
    Load(load::Command),
    Capacity(capacity::Args),
}

/// Parses the process's arguments, runs the sub-command and prints its error, if any, to standard error.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Printing to a closed pipe is not worth a second error.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let done = match cli.command {
        Command::Serve(args) => serve::run(args),
        Command::Demo(args) => demo::run(args),
        Command::CheckConfig(args) => check_config::run(&args),
        Command::Key(command) => key::run(&command),
        Command::World(args) => world::run(args),
        Command::Import(args) => import::run(args),
        Command::Events(command) => events::run(&command),
        Command::FeatureLog(command) => feature_log::run(command),
        Command::Backfill(command) => backfill::run(command),
        Command::Bundle(command) => bundle::run(command),
        Command::Index(command) => index::run(command),
        Command::Eval(args) => eval::run(args),
        Command::Audio(command) => audio::run(command),
        Command::Replay(args) => replay::run(&args),
        Command::Drift(command) => drift::run(command),
        Command::Experiment(command) => experiment::run(command),
        Command::Ope(args) => ope::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Load(command) => load::run(&command),
        Command::Capacity(args) => capacity::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("segue: {error:#}");
            ExitCode::FAILURE
        }
    }
}
