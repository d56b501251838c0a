//! `braid completions`: a script with which a shell completes commands and flags.

use std::process::ExitCode;

use anyhow::Result;
use clap_complete::Shell;

use crate::terminal::print;

/// Prints a script with which a shell completes commands and flags
///
/// Write it to where the shell looks for such scripts, and start a new shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid completions bash > ~/.local/share/bash-completion/completions/braid
  braid completions zsh > \"${fpath[1]}/_braid\"
  braid completions fish > ~/.config/fish/completions/braid.fish")]
pub struct Args {
    /// The shell that the script is for
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the command; `command` is the command line whose words are completed.
///
/// # Errors
/// If standard output cannot be written.
pub fn run(args: &Args, mut command: clap::Command) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "braid", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
