//! Runs programs: with their output shown, captured, or shown only on failure. Every error names the command
//! and ends with what it printed.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

/// How much of a failed command's output an error repeats.
const TAIL_LINES: usize = 25;

/// A command that has not run yet.
#[derive(Debug)]
pub(crate) struct Sh {
    command: Command,
    input: Option<Vec<u8>>,
}

impl Sh {
    /// A call of `program`.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self { command: Command::new(program), input: None }
    }

    /// Adds arguments.
    #[must_use]
    pub(crate) fn args<I: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = I>) -> Self {
        self.command.args(args);
        self
    }

    /// Adds one argument.
    #[must_use]
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes an environment variable away.
    #[must_use]
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Sets what the program reads from standard input.
    #[must_use]
    pub(crate) fn input(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.input = Some(text.into());
        self
    }

    /// Runs with the output going to the terminal.
    pub(crate) fn run(mut self) -> Result<()> {
        let line = self.line();
        let status = self.command.status().with_context(|| cannot_start(&line))?;
        if status.success() { Ok(()) } else { bail!("`{line}` failed ({status})") }
    }

    /// Runs silently; the output is shown only as part of the error.
    pub(crate) fn quiet(self) -> Result<()> {
        self.read().map(drop)
    }

    /// Runs and gives the trimmed standard output.
    pub(crate) fn read(self) -> Result<String> {
        let line = self.line();
        let output = self.output()?;
        if !output.status.success() {
            let mut said = String::from_utf8_lossy(&output.stderr).into_owned();
            said.push_str(&String::from_utf8_lossy(&output.stdout));
            bail!("`{line}` failed ({}):\n{}", output.status, tail(&said));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Whether the program exists, runs and succeeds.
    pub(crate) fn succeeds(self) -> bool {
        self.output().is_ok_and(|output| output.status.success())
    }

    /// Shows standard output line by line as it comes and gives it back, together with whether the program
    /// succeeded. Standard error goes to the terminal.
    pub(crate) fn tee(mut self) -> Result<(String, bool)> {
        let line = self.line();
        self.command.stdout(Stdio::piped());
        let mut child = self.command.spawn().with_context(|| cannot_start(&line))?;
        let mut seen = String::new();
        if let Some(stdout) = child.stdout.take() {
            for text in BufReader::new(stdout).lines() {
                let text = text.with_context(|| format!("cannot read the output of `{line}`"))?;
                println!("{text}");
                seen.push_str(&text);
                seen.push('\n');
            }
        }
        Ok((seen, child.wait()?.success()))
    }

    fn output(mut self) -> Result<Output> {
        let line = self.line();
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command.stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = self.command.spawn().with_context(|| cannot_start(&line))?;
        if let (Some(input), Some(mut stdin)) = (self.input, child.stdin.take()) {
            // From a thread of its own: the program may fill its output before it has read everything. A
            // program that ends early shows that in its status.
            thread::spawn(move || stdin.write_all(&input));
        }
        child.wait_with_output().with_context(|| format!("cannot read the output of `{line}`"))
    }

    /// The command as a person would type it, for messages.
    fn line(&self) -> String {
        let mut words = vec![self.command.get_program().to_string_lossy().into_owned()];
        words.extend(self.command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
        words.join(" ")
    }
}

fn cannot_start(line: &str) -> String {
    format!("cannot start `{line}`: is the program installed?")
}

/// The last lines of a text.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Asks `probe` until it says yes; gives up after `limit` or when `doomed` gives a reason.
pub(crate) fn wait_for(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> bool,
    mut doomed: impl FnMut() -> Option<String>,
) -> Result<()> {
    const PAUSE: Duration = Duration::from_millis(200);
    let start = Instant::now();
    while !probe() {
        if let Some(reason) = doomed() {
            bail!("{what} will not come: {reason}");
        }
        if start.elapsed() > limit {
            return Err(anyhow!("{what} did not come within {} seconds", limit.as_secs()));
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_says_what_it_printed() {
        let error = Sh::new("sh").args(["-c", "echo out; echo why >&2; exit 3"]).quiet().unwrap_err().to_string();
        assert!(error.contains("why") && error.contains("out") && error.contains('3'), "{error}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Sh::new("no-such-program-here").quiet().unwrap_err().to_string();
        assert!(error.contains("no-such-program-here"), "{error}");
    }

    #[test]
    fn input_larger_than_a_pipe_arrives_whole() {
        let text = "x".repeat(300_000);
        assert_eq!(Sh::new("cat").input(text.clone()).read().unwrap(), text);
    }

    #[test]
    fn waiting_ends_early_when_there_is_no_hope() {
        let error = wait_for("it", Duration::from_mins(1), || false, || Some("gone".into())).unwrap_err();
        assert!(error.to_string().contains("gone"));
    }

    #[test]
    fn tee_gives_output_and_success() {
        let (text, fine) = Sh::new("sh").args(["-c", "echo a; echo b; exit 1"]).tee().unwrap();
        assert_eq!((text.as_str(), fine), ("a\nb\n", false));
    }
}
