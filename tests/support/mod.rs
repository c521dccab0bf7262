//! What several test crates share: a private redis-server, a proxy that breaks connections on command, and the arrows as
//! methods.
//!
//! A crate that needs only a part takes that file with `#[path]`; `redis` and `proxy` both read
//! the wire through `resp`.

pub(crate) mod proxy;
pub(crate) mod redis;
pub(crate) mod resp;
pub(crate) mod verbs;
