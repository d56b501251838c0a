//! wip
/// wip
#[derive(Debug, clap::Args)]
pub struct Args {}
/// wip
/// # Errors
/// wip
pub async fn run(_: Args, _: platform::settings::SettingsArgs) -> anyhow::Result<std::process::ExitCode> {
    Ok(std::process::ExitCode::SUCCESS)
}
