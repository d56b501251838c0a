//! The platform under test: its layers as separate processes, its own folder, catalog, store and Redis.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};
use test_kit::{DEADLINE, Process};

use crate::answer::Client;
use crate::binaries::binary;
use crate::scenario::now_us;

/// What runs all the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// `speed-layer`
    Speed,
    /// `batch-layer archive`
    Archive,
    /// `batch-layer schedule`
    Schedule,
    /// `serving-layer`
    Serving,
}

impl Layer {
    fn command(self) -> Result<Command> {
        let (program, arguments): (_, &[&str]) = match self {
            Layer::Speed => ("speed-layer", &[]),
            Layer::Archive => ("batch-layer", &["archive"]),
            Layer::Schedule => ("batch-layer", &["schedule"]),
            Layer::Serving => ("serving-layer", &[]),
        };
        let mut command = Command::new(binary(program)?);
        command.args(arguments);
        Ok(command)
    }

    fn name(self) -> &'static str {
        match self {
            Layer::Speed => "speed-layer",
            Layer::Archive => "archive",
            Layer::Schedule => "schedule",
            Layer::Serving => "serving-layer",
        }
    }
}

/// One deployment of the platform. Dropping it kills its processes.
pub struct Deployment {
    dir: PathBuf,
    /// The folder of the store, in which every deployment has a folder of its name.
    store_folder: PathBuf,
    name: String,
    settings: BTreeMap<String, String>,
    /// By program: how many seconds its clock is wrong.
    clocks: BTreeMap<&'static str, i64>,
    layers: Mutex<BTreeMap<Layer, Process>>,
    serving: Mutex<Option<Client>>,
}

impl Deployment {
    /// A deployment with nothing running yet, whose files lie in `dir`.
    pub fn new(dir: &Path, catalog: &str, brokers: &str, redis_url: &str) -> Result<Deployment> {
        std::fs::create_dir_all(dir)?;
        let mut deployment = Deployment {
            dir: dir.to_owned(),
            store_folder: dir.join("store"),
            name: name_in(catalog)?,
            settings: BTreeMap::new(),
            clocks: BTreeMap::new(),
            layers: Mutex::default(),
            serving: Mutex::default(),
        };
        deployment.write_catalog(catalog)?;
        deployment.set("catalog.path", &dir.join("catalog.toml").to_string_lossy());
        deployment.set("store.url", &dir.join("store").to_string_lossy());
        deployment.set("kafka.brokers", brokers);
        deployment.set("redis.url", redis_url);
        deployment.set("http.listen", "127.0.0.1:0");
        Ok(deployment)
    }

    /// Another set of processes on the same parts and with the same settings, store included, but with a catalog of its own.
    /// Its files lie in a folder of that name, beside this one's. With this deployment's name in its catalog it shares archive
    /// and batch views too.
    pub fn beside(&self, folder: &str, catalog: &str) -> Result<Deployment> {
        let dir = self.dir.with_file_name(folder);
        std::fs::create_dir_all(&dir)?;
        let mut beside = Deployment {
            store_folder: self.store_folder.clone(),
            name: name_in(catalog)?,
            settings: self.settings.clone(),
            clocks: BTreeMap::new(),
            layers: Mutex::default(),
            serving: Mutex::default(),
            dir,
        };
        beside.write_catalog(catalog)?;
        beside.set("catalog.path", &beside.dir.join("catalog.toml").to_string_lossy());
        Ok(beside)
    }

    /// Sets `section.key` for processes started from now on.
    pub fn set(&mut self, key: &str, value: &str) {
        let variable = format!("BRAID__{}", key.replace('.', "__").to_uppercase());
        self.settings.insert(variable, value.to_owned());
    }

    /// Lets its tables lie on an S3 server, for processes started from now on: with its settings, and where its objects can be read as
    /// files.
    pub fn lie_on(&mut self, settings: &[(String, String)], tables: PathBuf) {
        settings.iter().for_each(|(key, value)| self.set(key, value));
        self.store_folder = tables;
        // Segments lie on local disk all the same.
        self.set("serving.folder", &self.dir.join("segments").to_string_lossy());
    }

    /// Makes the clock of a program (`speed-layer` or another) wrong by so many seconds, for processes started from now on.
    pub fn set_clock(&mut self, program: &'static str, wrong_by_s: i64) {
        self.clocks.insert(program, wrong_by_s);
    }

    /// The folder of the archive and the batch views; see [`S3::show`](crate::S3::show) if they lie there.
    pub fn store(&self) -> PathBuf {
        self.store_folder.join(&self.name)
    }

    /// Makes it so many seconds later by the store's clock: the newest entry of that table's log was written then.
    pub fn make_late(&self, table: &str, by_s: i64) -> Result<()> {
        let log = self.store().join(table).join("_delta_log");
        let mut newest = None;
        for entry in std::fs::read_dir(&log)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                newest = newest.max(Some(path));
            }
        }
        let newest = newest.with_context(|| format!("{} has no entry", log.display()))?;
        let late_us = now_us() + by_s * 1_000_000;
        let late = UNIX_EPOCH + Duration::from_micros(late_us.unsigned_abs());
        Ok(std::fs::File::options().append(true).open(newest)?.set_modified(late)?)
    }

    /// The file of the catalog.
    pub fn catalog(&self) -> PathBuf {
        self.dir.join("catalog.toml")
    }

    /// Starts a layer and waits until it is ready; a running one is killed first.
    pub async fn start(&self, layer: Layer) -> Result<Process> {
        let process = self.launch(layer, "")?;
        if layer == Layer::Schedule {
            // It has nothing to be ready for: what it does shows in the views.
            return Ok(process);
        }
        let ready = process.line("ready", DEADLINE).await?;
        if layer == Layer::Serving {
            let address = word(&ready, "http=").with_context(|| format!("no http= in {ready:?}"))?;
            *self.serving.lock().unwrap_or_else(PoisonError::into_inner) = Some(Client::new(address));
        }
        Ok(process)
    }

    /// Creates what the catalog names (`batch-layer init`), then starts layers one after the other.
    pub async fn start_all(&self, layers: &[Layer]) -> Result<()> {
        self.batch(&["init"])?.success(DEADLINE).await?;
        for layer in layers {
            self.start(*layer).await?;
        }
        Ok(())
    }

    /// The process that was started last for a layer.
    pub fn process(&self, layer: Layer) -> Result<Process> {
        self.layers().get(&layer).cloned().with_context(|| format!("{} does not run", layer.name()))
    }

    /// Starts a layer with fail points armed, without waiting for it; a running one is killed first.
    pub fn launch(&self, layer: Layer, fail_points: &str) -> Result<Process> {
        self.kill(layer);
        let process = self.spawn(layer.name(), layer.command()?, fail_points)?;
        self.layers().insert(layer, process.clone());
        Ok(process)
    }

    /// `kill -9`, if it runs.
    pub fn kill(&self, layer: Layer) {
        let running = self.layers().remove(&layer);
        if let Some(process) = running {
            process.kill();
        }
    }

    /// Runs one reconcile of all metrics to its end.
    pub async fn reconcile(&self) -> Result<()> {
        self.launch_reconcile("")?.success(DEADLINE).await
    }

    /// Starts one reconcile of all metrics with fail points armed.
    pub fn launch_reconcile(&self, fail_points: &str) -> Result<Process> {
        let mut command = Command::new(binary("batch-layer")?);
        command.arg("reconcile");
        self.spawn("reconcile", command, fail_points)
    }

    /// Runs maintenance of all tables to its end; returns what it printed.
    pub async fn maintain(&self, arguments: &[&str]) -> Result<String> {
        let process = self.batch(&[&["maintain"][..], arguments].concat())?;
        process.success(DEADLINE).await?;
        process.output()
    }

    /// Starts maintenance of all tables with fail points armed.
    pub fn launch_maintain(&self, fail_points: &str) -> Result<Process> {
        self.launch_batch(&["maintain"], fail_points)
    }

    /// Starts `batch-layer` with those arguments.
    pub fn batch(&self, arguments: &[&str]) -> Result<Process> {
        self.launch_batch(arguments, "")
    }

    /// Starts `batch-layer` with those arguments, and with fail points armed.
    pub fn launch_batch(&self, arguments: &[&str], fail_points: &str) -> Result<Process> {
        let mut command = Command::new(binary("batch-layer")?);
        command.args(arguments);
        self.spawn(arguments.first().copied().unwrap_or("batch-layer"), command, fail_points)
    }

    /// Accepts every loss of the source `views` that the archive knows of.
    pub async fn accept_losses(&self) -> Result<()> {
        self.braid(&["lost", "accept", "--source", "views"], DEADLINE).await.map(drop)
    }

    /// Gives up what was read of the source `views` beyond the end of its log; returns what the command printed.
    pub async fn give_up(&self) -> Result<String> {
        self.braid(&["lost", "give-up", "--source", "views"], DEADLINE).await
    }

    /// Replaces the catalog for processes started from now on.
    pub fn write_catalog(&self, catalog: &str) -> Result<()> {
        Ok(std::fs::write(self.catalog(), catalog)?)
    }

    /// Asks the serving layer.
    pub fn client(&self) -> Result<Client> {
        let client = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        client.clone().context("the serving layer was not started")
    }

    /// Runs the `braid` tool to its end.
    pub async fn braid(&self, arguments: &[&str], deadline: Duration) -> Result<String> {
        let process = self.launch_braid(arguments)?;
        process.success(deadline).await?;
        process.output()
    }

    /// The same, however it ends: some commands end with 1 where something is wrong with what they show.
    pub async fn braid_says(&self, arguments: &[&str], deadline: Duration) -> Result<String> {
        let process = self.launch_braid(arguments)?;
        process.end(deadline).await?;
        process.output()
    }

    /// Starts the `braid` tool with those arguments.
    pub fn launch_braid(&self, arguments: &[&str]) -> Result<Process> {
        let mut command = Command::new(binary("braid")?);
        command.args(arguments);
        self.spawn("braid", command, "")
    }

    /// Starts the `braid` tool with those arguments and with fail points armed. What it prints goes to a file of that name, so that commands
    /// which run at the same time are not mixed up.
    pub fn launch_braid_as(&self, name: &str, arguments: &[String], fail_points: &str) -> Result<Process> {
        let mut command = Command::new(binary("braid")?);
        command.args(arguments);
        self.spawn(name, command, fail_points)
    }

    /// Starts another program with the settings of this deployment, and with fail points armed.
    pub fn launch_program(&self, name: &str, command: Command, fail_points: &str) -> Result<Process> {
        self.spawn(name, command, fail_points)
    }

    fn spawn(&self, name: &str, mut command: Command, fail_points: &str) -> Result<Process> {
        command.current_dir(&self.dir).envs(&self.settings).env("FAILPOINTS", fail_points);
        let program = Path::new(command.get_program()).file_name().and_then(|name| name.to_str());
        if let Some(wrong_by_s) = program.and_then(|program| self.clocks.get(program)) {
            command.env("CLOCK_WRONG_BY_MS", (wrong_by_s * 1_000).to_string());
        }
        Process::start(name, command, &self.dir.join(format!("{name}.out")))
    }

    fn layers(&self) -> MutexGuard<'_, BTreeMap<Layer, Process>> {
        self.layers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The deployment's name that a catalog of the tests gives: they begin with it.
fn name_in(catalog: &str) -> Result<String> {
    let name = catalog.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    Ok(name.context("the catalog names no deployment")?.to_owned())
}

/// The rest of the first word of `line` that begins with `prefix`.
pub(crate) fn word<'a>(line: &'a str, prefix: &str) -> Option<&'a str> {
    line.split_whitespace().find_map(|word| word.strip_prefix(prefix))
}
