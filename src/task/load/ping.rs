//! Reads `ping = "https://..."` of a task.

use super::run::{HandlerContext, secret};
use crate::config::reader::{Table, Value};
use crate::task::handler_spec::Secret;
use crate::task::http_url::HttpUrl;
use crate::task::ping::PingSpec;

/// `ping = URL` or `ping = { url = URL, start = true }`. Anyone who knows the address can ping, so it may stand in a file.
pub(super) fn read(table: &mut Table<'_>, runs_by_itself: bool, context: HandlerContext<'_>) -> Option<PingSpec> {
    let value = table.take("ping")?;
    if !runs_by_itself {
        value.report("goes with frequency, schedule or [[schedule]]: it tells a server that waits for the runs");
        return None;
    }
    if value.raw().is_str() {
        return Some(PingSpec::new(url(&value, context)?, false));
    }
    let mut inner = value.table("an address, or a table with url and start")?;
    let start = inner.take("start").and_then(|value| value.boolean()).unwrap_or(false);
    let found = inner.required("url", "the address that is told").and_then(|value| url(&value, context));
    inner.finish();
    Some(PingSpec::new(found?, start))
}

/// `Some(None)`: it is written in a file that cannot be read here.
fn url(value: &Value<'_>, context: HandlerContext<'_>) -> Option<Option<HttpUrl>> {
    match secret::read(value, context, false)? {
        Secret::Known(text) => match HttpUrl::parse(text.trim()) {
            Ok(url) => Some(Some(url)),
            Err(error) => {
                value.report(error.to_string());
                None
            }
        },
        Secret::Unavailable(_) => Some(None),
    }
}
