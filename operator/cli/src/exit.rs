//! How the program ends. Takes the error that a command ended with; gives the exit code, after saying what was not said
//! yet. Commands that prove something end with 0 for proven, 1 for disproven and 2 for "cannot be told".

use std::process::ExitCode;

/// An end that is not success, of a command with exit codes of its own.
#[derive(Debug, thiserror::Error)]
pub enum End {
    /// Disproven. The command has said what it found.
    #[error("a difference was found")]
    Different,
    /// It cannot be told. The command has said why.
    #[error("it cannot be told")]
    Said,
    /// It cannot be told, for this reason.
    #[error("{0:#}")]
    Unusable(anyhow::Error),
}

/// Exit code for "disproven".
const DIFFERENT: u8 = 1;
/// Exit code for "cannot be told"; the command line parser uses the same for what it does not understand.
const UNUSABLE: u8 = 2;

/// Says the error and gives the exit code. An error may repeat what a file or a server says: whatever it is, it is one line
/// and moves no terminal.
pub fn end(error: &anyhow::Error) -> ExitCode {
    let code = match error.downcast_ref::<End>() {
        Some(End::Different) => return ExitCode::from(DIFFERENT),
        Some(End::Said) => return ExitCode::from(UNUSABLE),
        Some(End::Unusable(_)) => ExitCode::from(UNUSABLE),
        None => ExitCode::FAILURE,
    };
    eprintln!("error: {}", sv0_rules::harmless(&format!("{error:#}")));
    code
}
