//! Who may do what, and from where: one middleware each, for reads as well. They are asked in this order.
//!
//! | | what it asks | refusal |
//! |---|---|---|
//! | [`host`] | is this one of our names? A page of a stranger whose name leads here (DNS rebinding) calls us by that name | 421 |
//! | [`origin`] | may this page change something? | 403, 415 |
//! | [`caller`] | whose token is this? Is it a program of this machine? | 401, 429 |
//! | [`read_only`] | may anybody change something? | 403 |
//! | [`role`] | may this caller do this? | 401, 403 |

pub(super) mod caller;
pub(super) mod host;
pub(super) mod origin;
pub(super) mod proxy;
pub(super) mod read_only;
pub(super) mod role;
pub(super) mod session;
