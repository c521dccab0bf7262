//! `[store]`: the address of the store, and how to connect to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ConfigLoader, Sources};
use crate::config::element::duration::{self, Unit};
use crate::config::element::redis_url::{RedisUrl, is_hash_tag, untagged};
use crate::config::element::store_url::StoreUrl;
use crate::config::element::tls_files::{self, TlsFiles};
use crate::config::error::Problem;
use crate::config::model::{StoreConfig, StoreOrigin};
use crate::config::reader::{Table, Value};
use crate::file::bounded;

impl ConfigLoader<'_> {
    pub(super) fn store(&mut self, table: Option<Table<'_>>) -> StoreConfig {
        let (mut url, mut address, mut namespace, mut lease, mut tls) = (None, None, None, None, TlsFiles::default());
        let (mut url_value, mut namespace_value, mut tls_location) = (None, None, None);
        if let Some(mut table) = table {
            url_value = table.take("url");
            (url, address) = url_value.as_ref().and_then(|value| self.url_of_file(value)).unzip();
            namespace_value = table.take("namespace");
            namespace = namespace_value.as_ref().and_then(read_namespace);
            let min = Duration::from_secs(1);
            lease = table.take("lease").and_then(|value| duration::read(&value, Unit::Milliseconds, min));
            if let Some(value) = table.take("tls") {
                tls_location = Some(value.location_and_key());
                let inner = value.table("a table with ca, cert or key");
                tls = inner.map(|inner| tls_files::read(inner, &self.defaults.folder)).unwrap_or_default();
            }
            table.finish();
        }
        let over = match &self.sources.store_url {
            Some(text) => Some(("--store", text.as_str())),
            None => self.sources.var("WINDLASS_STORE_URL").map(|text| ("WINDLASS_STORE_URL", text)),
        };
        let origin = match over {
            _ if self.sources.store_url.is_some() => StoreOrigin::Flag,
            Some(_) => StoreOrigin::Environment,
            None if url.is_some() => StoreOrigin::File,
            None => StoreOrigin::Default,
        };
        if let Some((name, text)) = over {
            match StoreUrl::parse(text, &self.sources.working_dir, self.sources.state_directory()) {
                Ok(found) => url = Some(found),
                Err(error) => self.outside.push(Problem::of_source(name, error.to_string())),
            }
        }
        let url = url.unwrap_or_else(|| self.default_url());
        let namespace = namespace.unwrap_or_else(|| "resque".to_owned());
        let redis = match &url {
            StoreUrl::Redis(text) => RedisUrl::parse(text).ok(),
            StoreUrl::Sqlite(_) => None,
        };
        if redis.as_ref().is_some_and(RedisUrl::is_cluster) && !is_hash_tag(&namespace) {
            match (namespace_value, url_value, over) {
                (Some(value), ..) => value.report(untagged(&namespace)),
                (None, _, Some((name, _))) => self.outside.push(Problem::of_source(name, untagged(&namespace))),
                (None, Some(value), None) => value.report(untagged(&namespace)),
                (None, None, None) => {}
            }
        }
        if let Some(location) = tls_location.filter(|_| !redis.is_some_and(|redis| redis.tls)) {
            self.notes.push(format!("{location}: has no effect: the store is not reached by TLS (rediss://)"));
        }
        let address = address.flatten().filter(|_| origin == StoreOrigin::File);
        StoreConfig { url, origin, address, tls, namespace, lease: lease.unwrap_or(Duration::from_secs(15)) }
    }

    /// Under systemd the service may not write beside the configuration, so the default store is in the state
    /// directory.
    fn default_url(&self) -> StoreUrl {
        let text = if self.sources.state_directory().is_some() { "sqlite:windlass.db" } else { self.defaults.store };
        StoreUrl::parse(text, &self.defaults.folder, self.sources.state_directory())
            .expect("the default store must have an address")
    }

    /// `url = "..."`, `url = { file = "..." }` or `url = { credential = "..." }`, a credential of systemd. Messages
    /// never quote the address, because it may contain a password.
    fn url_of_file(&mut self, value: &Value<'_>) -> Option<(StoreUrl, Option<PathBuf>)> {
        let folder = &self.defaults.folder.clone();
        let parse = |sources: &Sources, value: &Value<'_>, text: &str| {
            StoreUrl::parse(text, folder, sources.state_directory())
                .map_err(|error| value.report(error.to_string()))
                .ok()
        };
        if let Some(text) = value.raw().as_str() {
            let url = parse(self.sources, value, text);
            let is_secret = url.as_ref().is_some_and(StoreUrl::has_secrets);
            if let Some(warning) = self.source.as_deref().filter(|_| is_secret).and_then(bounded::exposed_secret) {
                self.notes.push(format!("{}: {warning}", value.location_and_key()));
            }
            return Some((url?, None));
        }
        let forms = "an address, { file = \"...\" } or { credential = \"...\" }";
        let found = self.secret_of_file(value, forms, "the address")?;
        Some((parse(self.sources, &found.value, &found.text)?, Some(found.path)))
    }

    /// The path of the systemd credential of this name (`LoadCredential=`, `LoadCredentialEncrypted=`).
    pub(super) fn credential(&self, value: &Value<'_>) -> Option<PathBuf> {
        let name = value.string()?;
        if name.is_empty() || name.contains('/') {
            value.expected("the name of a credential");
            return None;
        }
        let Some(folder) = self.sources.var("CREDENTIALS_DIRECTORY") else {
            value.report("expected to be run by systemd with LoadCredential= (CREDENTIALS_DIRECTORY is not set)");
            return None;
        };
        Some(Path::new(folder).join(name))
    }
}

fn read_namespace(value: &Value<'_>) -> Option<String> {
    let text = value.string()?;
    if text.is_empty() || text.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
        value.expected("a text without blanks and control characters");
        return None;
    }
    Some(text.to_owned())
}
