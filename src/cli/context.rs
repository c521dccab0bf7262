//! What commands use: configuration, tasks and store, each read only when it is needed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::args::{Cli, CliCommand};
use super::exit::CliError;
use super::manner::Manner;
use super::output::{Printer, terminal_size, warn};
use super::watch::Watch;
use crate::client::request::{Request, RequestError, ResolvedJob};
use crate::config::Config;
use crate::config::element::redis_url::RedisUrl;
use crate::config::element::store_url::StoreUrl;
use crate::config::element::tls_files::TlsFiles;
use crate::config::error::{self, Problems};
use crate::config::load::{self, Loaded, Sources};
use crate::config::origin;
use crate::daemon::directions::{self, Directions};
use crate::daemon::extensions::Extensions;
use crate::event::Bus;
use crate::file::trust::Owners;
use crate::plugin::registry::Plugins;
use crate::process::{mark, private};
use crate::store::access::Access;
use crate::store::error::StoreError;
use crate::store::findings::Findings;
use crate::store::handle::Store;
use crate::store::open;
use crate::store::role::Whole;
use crate::task::load::{KnownNames, Tasks};

/// How long a command waits for its store before it reports it as unavailable.
const PATIENCE: Duration = Duration::from_secs(5);

/// The context of a command.
#[derive(Debug)]
pub(super) struct CommandContext {
    /// Prints the results.
    pub printer: Printer,
    sources: Sources,
    /// The configuration after the first read, so that secrets are read once.
    loaded: OnceLock<Loaded>,
    /// The daemon to ask for the configuration: this command runs in one of its jobs, and nobody named another one.
    daemon: Option<String>,
    extensions: Arc<Extensions>,
    /// The store that the command works on, once it is open.
    opened: Mutex<Option<Store<Whole>>>,
    /// The command does what a daemon does, so that each key of the configuration may matter.
    strict: bool,
    /// The tables of the configuration that matter to the command, besides the store and the tasks.
    tables: &'static [&'static str],
    /// The command has said before what it warns of.
    repeats: bool,
}

impl CommandContext {
    /// The context from the command line and the environment.
    ///
    /// # Errors
    /// Fails if the working directory does not exist any more.
    pub(super) fn of(cli: &Cli, extensions: Extensions) -> Result<Self, CliError> {
        let working_dir = std::env::current_dir()
            .map_err(|error| CliError::Failed(format!("failed to find the working directory: {error}")))?;
        let sources = Sources {
            file: cli.config.clone(),
            store_url: cli.store.clone(),
            env: private::variables()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            working_dir,
        };
        // A daemon that a job starts has a configuration of its own.
        let is_daemon = matches!(cli.command, None | Some(CliCommand::Run(_)));
        let daemon = sources.env.get(mark::DAEMON).filter(|_| !is_daemon && !sources.names_a_file()).cloned();
        let (printer, extensions) =
            (Printer::new(cli.json, Manner::of(&cli.shown, terminal_size())), Arc::new(extensions));
        let strict = cli.command.as_ref().is_none_or(CliCommand::acts_as_daemon);
        let tables = cli.command.as_ref().map_or(&[][..], CliCommand::tables);
        let (loaded, opened) = (OnceLock::new(), Mutex::default());
        Ok(Self { printer, sources, loaded, daemon, extensions, opened, strict, tables, repeats: false })
    }

    /// Where the configuration comes from.
    #[must_use]
    pub(super) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The configuration, which is read once.
    ///
    /// # Errors
    /// Reports all its problems.
    pub(super) fn config(&self) -> Result<Loaded, CliError> {
        if let Some(loaded) = self.loaded.get() {
            return Ok(loaded.clone());
        }
        let loaded = match &self.daemon {
            Some(daemon) => self.as_directed(daemon)?,
            None => self.read(&self.sources)?,
        };
        let problems = self.extensions.check(&loaded.config.overrides);
        if !problems.is_empty() {
            return Err(CliError::Problems(Problems(problems)));
        }
        if let Some(passed_over) = &loaded.passed_over {
            warn(passed_over);
        }
        Ok(self.loaded.get_or_init(|| loaded).clone())
    }

    /// Reads the configuration. Mistakes are warned about where they leave no doubt which store and which tasks are meant.
    fn read(&self, sources: &Sources) -> Result<Loaded, CliError> {
        let reading = load::read(sources);
        if self.strict && !reading.problems.is_empty() {
            return Err(CliError::Problems(Problems(reading.problems)));
        }
        let Some(loaded) = reading.certain(self.tables) else {
            return Err(CliError::Uncertain(Problems(reading.problems)));
        };
        if !self.repeats && !reading.problems.is_empty() {
            Problems(reading.problems.clone()).lines().for_each(|line| warn(&line));
            warn(
                "this command goes on, because these mistakes leave no doubt which store and which tasks are meant; no daemon \
                 starts with them, and none reloads: see windlass check",
            );
        }
        Ok(loaded.clone())
    }

    /// The configuration of the daemon whose job this command runs in: what it enqueues elsewhere would never run.
    fn as_directed(&self, daemon: &str) -> Result<Loaded, CliError> {
        let named = self.sources.names_a_store_address();
        let Directions { config, store, shown } = match directions::ask(daemon) {
            Ok(directions) => directions,
            Err(_) if named => return self.read(&self.sources),
            Err(error) => return Err(CliError::Undirected(format!("does not say where it works: {error}"))),
        };
        let mut sources = Sources { file: config.map(PathBuf::from), ..self.sources.clone() };
        let withheld = !named && store.is_none();
        if !named {
            sources.store_url = store;
        }
        let loaded = self.read(&sources)?;
        // Its user may have its own way to the password.
        let leads_to = loaded.config.store.url.to_string();
        if withheld && leads_to != shown {
            return Err(CliError::Undirected(format!(
                "works on {shown}, whose password it tells to no other user; its configuration leads to {leads_to}"
            )));
        }
        Ok(loaded)
    }

    /// The tasks of this configuration, with their problems.
    #[must_use]
    pub(super) fn tasks_of(&self, config: &Config) -> Tasks {
        let (builtins, plugins) = (self.extensions.builtins(Bus::silent()), self.plugins());
        let (builtins, plugins) = (builtins.names().collect::<Vec<_>>(), plugins.names().collect::<Vec<_>>());
        let trusted = config.security.trusted();
        let known = KnownNames::new(&builtins, &plugins)
            .within(Some(&config.store.namespace))
            .changed_by(trusted.as_ref())
            .over(config.defaults.as_ref());
        crate::task::load::load(&config.tasks_dir, known)
    }

    /// The plugins in code that tasks may list, by name. The plain binary has none.
    #[must_use]
    pub(super) fn plugins(&self) -> Arc<Plugins> {
        self.extensions.plugins()
    }

    /// What a program adds through the library.
    #[must_use]
    pub(super) fn extensions(&self) -> Arc<Extensions> {
        Arc::clone(&self.extensions)
    }

    /// The same for a command that is repeated.
    #[must_use]
    pub(super) fn watched(self, watch: &Arc<Mutex<Watch>>) -> Self {
        let repeats = watch.lock().unwrap_or_else(PoisonError::into_inner).has_looked();
        Self { printer: self.printer.clone().watched(watch), repeats, ..self }
    }

    /// The tasks, for commands that can work with the valid ones only.
    ///
    /// # Errors
    /// Reports all problems of the configuration.
    pub(super) fn tasks(&self) -> Result<Tasks, CliError> {
        Ok(self.tasks_of(&self.config()?.config))
    }

    /// Warns of the problems of invalid tasks, because they may explain an unexpected result.
    pub(super) fn warn_of_problems(&self, tasks: &Tasks) {
        let (told, rest) = error::to_tell(&tasks.problems);
        for problem in told {
            warn(&problem.to_string());
        }
        if rest > 0 {
            warn(&format!("{rest} more problems"));
        }
    }

    /// Checks a request against the tasks. If the task is unknown, warns of invalid task files, which may be the
    /// reason.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub(super) fn resolve(&self, request: &Request, tasks: &Tasks) -> Result<ResolvedJob, RequestError> {
        request.resolve(&tasks.registry).map_err(|error| self.with_reason(error, tasks))
    }

    /// The same for an existing job, without the check of inputs, so that every job can be found.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub(super) fn resolve_as_written(&self, request: &Request, tasks: &Tasks) -> Result<ResolvedJob, RequestError> {
        request.resolve_as_written(&tasks.registry).map_err(|error| self.with_reason(error, tasks))
    }

    /// Says why a task may be unknown: its file has mistakes, or no configuration was found.
    fn with_reason(&self, error: RequestError, tasks: &Tasks) -> RequestError {
        let (RequestError::UnknownTask { task, .. } | RequestError::QueueMissing { task }) = &error else {
            return error;
        };
        self.warn_of_problems(tasks);
        self.warn_if_unconfigured();
        let is_broken = tasks.broken.names.iter().any(|name| name.as_str() == task);
        if is_broken { RequestError::Broken { task: task.clone() } } else { error }
    }

    /// Says that no configuration was found, which explains that a task is unknown.
    pub(super) fn warn_if_unconfigured(&self) {
        if let Ok(loaded) = self.config()
            && loaded.config.source.is_none()
        {
            let places = origin::no_configuration(&self.sources.working_dir);
            warn(&format!(
                "{places}; name one: --config FILE or WINDLASS_CONFIG, or make one here: windlass generate config"
            ));
        }
    }

    /// The store, for this role. It is never created: a look into a new file would say that all is well.
    ///
    /// # Errors
    /// Fails if it is not there, or cannot be reached or used.
    pub(super) async fn store<R>(&self) -> Result<Store<R>, CliError> {
        let config = self.config()?.config;
        match config.absent_database() {
            Some(path) => Err(self.no_database(&config, path)),
            None => self.opened(&config).await,
        }
    }

    /// The same for a command that puts jobs in: a database that somebody named is created.
    ///
    /// # Errors
    /// Fails if nobody named it and it is not there, or if it cannot be reached or used.
    pub(super) async fn store_to_fill<R>(&self) -> Result<Store<R>, CliError> {
        let config = self.config()?.config;
        match config.absent_database() {
            Some(path) if !config.has_named_store() => Err(self.no_database(&config, path)),
            _ => self.opened(&config).await,
        }
    }

    fn no_database(&self, config: &Config, path: &Path) -> CliError {
        let hint = if config.has_named_store() { origin::CREATE_OR_CORRECT } else { origin::NAME_ONE };
        CliError::NoDatabase { message: config.no_database(path, &self.sources.working_dir), hint }
    }

    async fn opened<R>(&self, config: &Config) -> Result<Store<R>, CliError> {
        let access = Access::command(config.security.trusted());
        let store = Self::open(&config.store.url, &config.store.tls, &config.store.namespace, access).await?;
        let store: Store<Whole> = self.extensions.over(&config.overrides, store);
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(store.clone());
        Ok(store.narrow())
    }

    /// The store that the command worked on, if it opened one.
    pub(super) fn store_in_use<R>(&self) -> Option<Store<R>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Store::narrow)
    }

    /// The command is done with its store.
    pub(super) fn close_store(&self) {
        drop(self.opened.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// A store that the command line names, and that is there; a relative path is taken from the working directory, certificates from
    /// the configuration.
    ///
    /// # Errors
    /// Fails if the text is not an address, or if the store cannot be reached or used.
    pub(super) async fn store_at<R>(&self, address: &str, namespace: Option<&str>) -> Result<Store<R>, CliError> {
        let url = self.url_of(address)?;
        if let StoreUrl::Sqlite(path) = &url
            && matches!(path.try_exists(), Ok(false))
        {
            let message = format!("there is no database {}", path.display());
            return Err(CliError::NoDatabase { message, hint: "correct the address" });
        }
        self.opened_at(url, namespace).await
    }

    /// The same for a store that is to be filled: its database is created.
    ///
    /// # Errors
    /// As [`store_at`](Self::store_at).
    pub(super) async fn store_to_fill_at<R>(
        &self,
        address: &str,
        namespace: Option<&str>,
    ) -> Result<Store<R>, CliError> {
        self.opened_at(self.url_of(address)?, namespace).await
    }

    /// Do both addresses name the same database file?
    ///
    /// # Errors
    /// If a text is not an address.
    pub(super) fn are_one_file(&self, one: &str, other: &str) -> Result<bool, CliError> {
        Ok(self.url_of(one)?.is_same_file(&self.url_of(other)?))
    }

    fn url_of(&self, address: &str) -> Result<StoreUrl, CliError> {
        StoreUrl::parse(address, &self.sources.working_dir, None)
            .map_err(|error| CliError::Usage(format!("store address {:?}: {error}", scheme(address))))
    }

    async fn opened_at<R>(&self, url: StoreUrl, namespace: Option<&str>) -> Result<Store<R>, CliError> {
        let encrypted = matches!(&url, StoreUrl::Redis(text) if RedisUrl::parse(text).is_ok_and(|redis| redis.tls));
        let (namespace, tls) = match namespace {
            Some(namespace) if !encrypted => (namespace.to_owned(), TlsFiles::default()),
            _ => {
                let config = self.config()?.config.store;
                (namespace.map_or(config.namespace, str::to_owned), config.tls)
            }
        };
        // A configuration with mistakes trusts nobody; this command may do without one.
        let trusted =
            self.config().map_or_else(|_| Some(Arc::new(Owners::with([]))), |read| read.config.security.trusted());
        Ok(Self::open(&url, &tls, &namespace, Access::command(trusted)).await?.narrow())
    }

    async fn open(url: &StoreUrl, tls: &TlsFiles, namespace: &str, access: Access) -> Result<Store<Whole>, CliError> {
        let late = || Err(StoreError::Unavailable(format!("no answer within {} seconds", PATIENCE.as_secs())));
        let files = tls.clone().into();
        let opening = open::open_telling(url, &files, namespace, access, Findings::default());
        let opening = tokio::time::timeout(PATIENCE, opening);
        let opened = opening.await.unwrap_or_else(|_| late());
        opened.map_err(|error| CliError::Store { url: url.to_string(), error })
    }

    /// Does the configured store undo a step that failed, so that its outcome is always known?
    pub(super) fn undoes_failed_steps(&self) -> bool {
        self.config().is_ok_and(|loaded| matches!(loaded.config.store.url, StoreUrl::Sqlite(_)))
    }

    /// The name of this host.
    #[must_use]
    pub(super) fn host(&self) -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }

    /// Who types this, as far as the environment tells: for people to read, nothing depends on it.
    #[must_use]
    pub(super) fn user(&self) -> String {
        let named = |name: &str| self.sources.env.get(name).filter(|user| !user.is_empty()).cloned();
        let user = named("SUDO_USER").or_else(|| named("USER")).or_else(|| named("LOGNAME"));
        user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
    }

    /// A path on the command line, from the working directory.
    #[must_use]
    pub(super) fn path(&self, path: &std::path::Path) -> PathBuf {
        self.sources.working_dir.join(path)
    }
}

/// The beginning of an address, which holds no password.
fn scheme(address: &str) -> &str {
    address.split(['/', '@', '?']).next().unwrap_or_default()
}
