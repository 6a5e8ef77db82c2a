//! The program `kubectl-sv0`, which kubectl runs as `kubectl sv0`. Reads the command line and nothing else.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use sv0_cli::manifest::{ENTRA, Manifest};
use sv0_cli::{
    baseline, catalog, consent, document, exit, explain, export, findings, graph, offboard, onboard, pack, replay,
    report, scan, verify,
};

#[derive(Parser)]
#[command(
    name = "kubectl sv0",
    bin_name = "kubectl sv0",
    version,
    about = "Connect source systems to SecurityV0, read and prove what was found, and disconnect them again",
    max_term_width = 100,
    after_help = "Example:
  kubectl sv0 onboard entra --tenant TENANT-ID -n team-a --out entra    # connect a tenant: writes files to read
  kubectl sv0 scan entra -n team-a --wait                               # read it
  kubectl sv0 findings -n team-a                                        # what was found
  kubectl sv0 explain NAME -n team-a                                    # one of them in full

Each command has an example of its own: kubectl sv0 COMMAND --help"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write everything that connects a source system to this cluster.
    #[command(after_help = "Example:\n  kubectl sv0 onboard entra --tenant TENANT-ID -n team-a --out entra")]
    Onboard {
        #[command(subcommand)]
        system: Onboard,
    },
    /// Add a further tenant to a multi-tenant application, with proof that its administrator consented.
    #[command(after_help = "Example:\n  kubectl sv0 consent entra --client-id CLIENT-ID -n team-b")]
    Consent {
        #[command(subcommand)]
        system: Consent,
    },
    /// Print how to take access away again, and check that it is gone.
    #[command(after_help = "Example:\n  kubectl sv0 offboard entra -n team-a")]
    Offboard {
        #[command(subcommand)]
        system: Offboard,
    },
    /// Print what a connector may ask for, what it reads and never reads.
    #[command(after_help = "Example:\n  kubectl sv0 permissions entra | less")]
    Permissions {
        /// The source system.
        system: System,
    },
    /// Accept the state that drift is measured from, or tell which it is.
    #[command(after_help = "Example:\n  kubectl sv0 baseline show -n team-a\n  kubectl sv0 baseline accept -n team-a")]
    Baseline {
        #[command(subcommand)]
        step: baseline::Command,
    },
    /// Show what can be found, and from which system.
    Catalog(catalog::Args),
    /// Tell one Finding in full: why, who answers, what proves it, what was not seen and what to do.
    Explain(Box<explain::Args>),
    /// Write the findings of an estate in a format of other tools, such as SARIF or CSV.
    Export(Box<export::Args>),
    /// List the Findings of an estate, the most severe first.
    Findings(Box<findings::Args>),
    /// Draw the path of one Finding.
    Graph(Box<graph::Args>),
    /// Take the last evaluation out of the cluster, with all that it was computed from.
    #[command(after_help = "Example:\n  kubectl sv0 pack export -n team-a -o team-a.tar")]
    Pack {
        #[command(subcommand)]
        command: Pack,
    },
    /// Compute an exported evaluation again, without network and cluster, and compare.
    Replay(replay::Args),
    /// Write a report about an estate: one HTML file for people who decide.
    Report(Box<report::Args>),
    /// Ask for a scan of an instance now, and follow it.
    Scan(Box<scan::Args>),
    /// Compare the Findings in the cluster with what their evaluation gives when it is computed again.
    Verify(Box<verify::Args>),
}

#[derive(Subcommand)]
enum Pack {
    /// Write one file with pack, snapshots, ledgers and configuration of the estate's last evaluation.
    Export(Box<pack::Args>),
}

#[derive(Subcommand)]
enum Onboard {
    /// Microsoft Entra ID: template, scripts, consent address and resources, filled in for this cluster.
    Entra(Box<onboard::Args>),
}

#[derive(Subcommand)]
enum Consent {
    /// Microsoft Entra ID: consent page, then a sign-in in the tenant that proves it.
    Entra(Box<consent::Args>),
}

#[derive(Subcommand)]
enum Offboard {
    /// Microsoft Entra ID: the undo of each onboarding step.
    Entra(Box<offboard::Args>),
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum System {
    /// Microsoft Entra ID.
    Entra,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    sv0_connector::install_crypto_provider();
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::end(&error),
    }
}

async fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Onboard { system: Onboard::Entra(args) } => onboard::run(*args).await,
        Command::Consent { system: Consent::Entra(args) } => consent::run(*args).await,
        Command::Offboard { system: Offboard::Entra(args) } => offboard::run(*args).await,
        Command::Permissions { system: System::Entra } => {
            let manifest = Manifest::parse(ENTRA).context("the built-in manifest cannot be read")?;
            sv0_cli::say!("{}", document::markdown(&manifest, &sv0_rules::catalogue().collect::<Vec<_>>()));
            Ok(())
        }
        Command::Baseline { step } => baseline::run(&step),
        Command::Catalog(args) => catalog::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Findings(args) => findings::run(&args),
        Command::Graph(args) => graph::run(&args),
        Command::Pack { command: Pack::Export(args) } => pack::run(*args).await,
        Command::Replay(args) => replay::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Scan(args) => scan::run(*args).await,
        Command::Verify(args) => verify::run(*args).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn without_example(command: &clap::Command, path: &str, all: &mut Vec<String>) {
        let path = format!("{path} {}", command.get_name());
        let help = command.get_after_long_help().or_else(|| command.get_after_help());
        if !help.is_some_and(|help| help.to_string().starts_with("Example")) {
            all.push(path.clone());
        }
        for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
            without_example(command, &path, all);
        }
    }

    #[test]
    fn every_command_shows_an_example() {
        let mut all = Vec::new();
        without_example(&Cli::command(), "", &mut all);
        assert!(all.is_empty(), "no example in the help of {all:?}");
    }
}
