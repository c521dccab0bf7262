//! What the daemon warns of when it starts on a store.

use crate::config::Config;
use crate::event::{Bus, Event};
use crate::store::instance::Instances;
use crate::store::moving::ReadAside;
use crate::store::role::Whole;
use crate::store::workers::WorkerNames;
use crate::store::{Store, StoreError};
use crate::text::clean::named;

/// Among how many workers one of another program is looked for.
const LOOKED_AT: usize = 10_000;

/// Warns if a pattern takes jobs from other workers, because perhaps only they know the classes.
pub(super) async fn foreigners(config: &Config, store: &Store<Whole>, bus: &Bus) -> Result<(), StoreError> {
    if !config.queues.has_patterns() || config.max_task_processors == 0 {
        return Ok(());
    }
    let instances = store.run(Instances).await?;
    let foreign = store
        .run(WorkerNames { limit: LOOKED_AT })
        .await?
        .into_iter()
        .find(|worker| !instances.iter().any(|state| worker.name().starts_with(&state.record.name)));
    if let Some(foreign) = foreign {
        bus.emit(Event::Warning {
            text: format!(
                "queues = {:?} takes jobs from queues of other workers too, such as {}; classes that have no task \
                 here would fail: list this instance's queues instead",
                config.queues.as_configured(),
                named(&foreign)
            ),
        });
    }
    Ok(())
}

/// Warns if a `store copy` was not finished, because no worker finds the jobs that it has set aside.
pub(super) async fn set_aside(store: &Store<Whole>, bus: &Bus) -> Result<(), StoreError> {
    match store.run(ReadAside).await {
        Ok(None) => {}
        Ok(Some(aside)) => bus.emit(Event::Warning { text: aside.text(store.describe()) }),
        Err(error) if error.is_transient() => return Err(error),
        // A right that an older list of rights lacks keeps no daemon from its work.
        Err(error) => bus.emit(Event::Warning { text: format!("failed to {error}, to look for jobs set aside") }),
    }
    Ok(())
}
