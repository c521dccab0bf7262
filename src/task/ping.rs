//! `ping = "https://..."`: a server that is told how the runs of a task end, as healthchecks.io takes it.

use super::http_url::HttpUrl;

/// Where it is told.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PingSpec {
    /// The address; nothing if it could not be read when the task was loaded. Anyone who knows it can ping, so it is not shown.
    url: Option<HttpUrl>,
    /// Is the begin of a run told, too?
    pub start: bool,
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is what a run does")]
pub enum Ping {
    Start,
    Success,
    Failure,
}

impl std::fmt::Debug for PingSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PingSpec").field("start", &self.start).finish_non_exhaustive()
    }
}

impl PingSpec {
    /// A server at this address.
    #[must_use]
    pub fn new(url: Option<HttpUrl>, start: bool) -> Self {
        Self { url, start }
    }

    /// The address for what is told: `/start` and `/fail` stand behind the path.
    #[must_use]
    pub fn url(&self, ping: Ping) -> Option<HttpUrl> {
        let mut url = self.url.clone()?;
        let end = match ping {
            Ping::Start => "/start",
            Ping::Success => "",
            Ping::Failure => "/fail",
        };
        let (path, query) = url.path.split_once('?').map_or((&*url.path, None), |(path, query)| (path, Some(query)));
        let path = if end.is_empty() { path.to_owned() } else { format!("{}{end}", path.trim_end_matches('/')) };
        url.path = query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        Some(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_stands_behind_the_path() {
        for (written, paths) in [
            ("https://hc-ping.com/a-b", ["/a-b/start", "/a-b", "/a-b/fail"]),
            ("https://hc-ping.com/a/b/?create=1", ["/a/b/start?create=1", "/a/b/?create=1", "/a/b/fail?create=1"]),
            ("http://host", ["/start", "/", "/fail"]),
        ] {
            let spec = PingSpec::new(Some(HttpUrl::parse(written).unwrap()), true);
            let found = [Ping::Start, Ping::Success, Ping::Failure].map(|ping| spec.url(ping).unwrap().path);
            assert_eq!(found, paths, "{written}");
            assert!(!format!("{spec:?}").contains("host") && !format!("{spec:?}").contains("a-b"));
        }
    }
}
