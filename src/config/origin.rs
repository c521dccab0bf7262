//! Where the address of the store comes from, for a database that is not there.
//!
//! A database is created by the daemon, by `enqueue` and as the target of a copy, and only if a configuration was found or
//! a store was named. Everything else would look into a new, empty file and say that all is well.

use std::path::Path;

use super::element::store_url::StoreUrl;
use super::load::PLACES;
use super::model::{Config, StoreOrigin};

impl Config {
    /// The database, if it is in a file that does not exist. One that may not be looked at is not known to be absent.
    #[must_use]
    pub(crate) fn absent_database(&self) -> Option<&Path> {
        match &self.store.url {
            StoreUrl::Sqlite(path) if matches!(path.try_exists(), Ok(false)) => Some(path),
            _ => None,
        }
    }

    /// Did somebody say where the jobs are, by a configuration or by an address?
    #[must_use]
    pub(crate) fn has_named_store(&self) -> bool {
        self.source.is_some() || self.store.origin != StoreOrigin::Default
    }

    /// Says that the database does not exist, and who said that it does.
    #[must_use]
    pub(crate) fn no_database(&self, path: &Path, working_dir: &Path) -> String {
        let path = path.display();
        let source = self.source.as_deref().map(Path::display);
        match (self.store.origin, source) {
            (StoreOrigin::Flag, _) => format!("there is no database {path} (--store)"),
            (StoreOrigin::Environment, _) => format!("there is no database {path} (WINDLASS_STORE_URL)"),
            (StoreOrigin::File, Some(source)) => format!("there is no database {path} ([store] url in {source})"),
            (_, Some(source)) => format!("there is no database {path} (the default of {source}, which names no store)"),
            (_, None) => format!("{}; and there is no database {path}", no_configuration(working_dir)),
        }
    }
}

/// That no configuration was found, and where it was looked for.
#[must_use]
pub(crate) fn no_configuration(working_dir: &Path) -> String {
    let [here, installed @ ..] = PLACES;
    let here = working_dir.join(here);
    format!("no configuration was found: there is neither {} nor {}", here.display(), installed.join(" nor "))
}

/// What to do if nobody said where the jobs are.
pub(crate) const NAME_ONE: &str = "name the configuration (--config FILE or WINDLASS_CONFIG) or the store (--store sqlite:PATH); or make a configuration here: \
     windlass generate config";
/// What to do if the address may be wrong.
#[cfg(feature = "cli")]
pub(crate) const CREATE_OR_CORRECT: &str =
    "correct the address; or, if no job was ever enqueued there: windlass run and windlass enqueue create it";

#[cfg(test)]
mod tests {
    use super::super::load::{Sources, load};
    use super::*;

    fn told(sources: &Sources) -> String {
        let config = load(sources).unwrap().config;
        let path = config.absent_database().unwrap().to_owned();
        config.no_database(&path, &sources.working_dir)
    }

    #[test]
    fn an_absent_database_is_told_with_who_named_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (at, file) = (root.display(), root.join("tasks.toml"));
        let flag = Sources { store_url: Some("sqlite:typo.db".into()), ..Sources::new(&root) };
        assert_eq!(told(&flag), format!("there is no database {at}/typo.db (--store)"));
        let env = Sources {
            env: [("WINDLASS_STORE_URL".to_owned(), "sqlite:typo.db".to_owned())].into(),
            ..Sources::new(&root)
        };
        assert_eq!(told(&env), format!("there is no database {at}/typo.db (WINDLASS_STORE_URL)"));
        std::fs::write(&file, "[store]\nurl = \"sqlite:x/typo.db\"\n").unwrap();
        let named = Sources::new(&root).file(&file);
        assert_eq!(told(&named), format!("there is no database {at}/x/typo.db ([store] url in {at}/tasks.toml)"));
        std::fs::write(&file, "").unwrap();
        assert!(told(&named).ends_with(&format!("(the default of {at}/tasks.toml, which names no store)")));
    }

    #[test]
    fn nobody_names_a_store_where_no_configuration_is() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let config = |sources: &Sources| load(sources).unwrap().config;
        let named = Sources { store_url: Some("sqlite:a.db".into()), ..Sources::new(root) };
        assert!(config(&named).has_named_store());
        // The installed configuration of the machine that runs the tests would be found.
        if !PLACES[1..].iter().any(|place| Path::new(place).exists()) {
            let sources = Sources::new(root);
            assert!(!config(&sources).has_named_store());
            assert!(told(&sources).starts_with("no configuration was found: there is neither "), "{}", told(&sources));
        }
    }
}
