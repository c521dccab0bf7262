//! `dashboard`: serves the API, health and metrics beside any fleet, without a worker or a scheduler.

use std::sync::Arc;

use crate::cli::args::DashboardArgs;
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::warn;
use crate::config::element::listen::ListenAddress;
use crate::config::http::HttpConfig;
use crate::daemon::alone::{self, Alone};
use crate::store::Store;
use crate::store::role::Whole;

/// Serves until a signal comes.
///
/// # Errors
/// An address that cannot be had, one that others reach without a token, a store that cannot be used.
pub(crate) async fn run(context: &CommandContext, args: DashboardArgs) -> Result<Exit, CliError> {
    let config = context.config()?.config;
    let mut http = config.http.clone().unwrap_or_else(HttpConfig::of_this_machine);
    if let Some(listen) = args.listen {
        http.listen = vec![listen];
    }
    http.read_only |= args.read_only;
    let is_open = |address: &&ListenAddress| !address.is_local();
    if let Some(open) = http.listen.iter().find(is_open).filter(|_| http.tokens.is_empty()) {
        return Err(CliError::Usage(format!(
            "other machines reach {open}: set a token under [http] in the configuration, or listen on 127.0.0.1"
        )));
    }
    let tasks = context.tasks()?;
    context.warn_of_problems(&tasks);
    let store: Store<Whole> = context.store().await?;
    let alone = Alone {
        http,
        config: Arc::new(config),
        registry: Arc::new(tasks.registry),
        plugins: context.plugins(),
        store,
        tell: Box::new(warn),
    };
    // What can fail differs with the features.
    alone::serve(alone).await.map_err(|error| CliError::Failed(error.to_string()))?;
    Ok(Exit::Done)
}
