//! A route, and who may take it.

use axum::routing::MethodRouter;

use super::site::Site;
use crate::config::http::Role;

/// A route.
pub(super) struct Route {
    /// `GET /path`. Parts in braces stand for names.
    pub(super) name: &'static str,
    /// Who may take it; `None`: everybody.
    pub(super) role: Option<Role>,
    pub(super) handler: MethodRouter<Site>,
    /// Does it read records, of which each may be long?
    pub(super) reads_records: bool,
}

impl Route {
    pub(super) fn open(name: &'static str, handler: MethodRouter<Site>) -> Self {
        Self { name, role: None, handler, reads_records: false }
    }

    /// A route whose requests take turns ([`reading`]).
    pub(super) fn records(name: &'static str, handler: MethodRouter<Site>) -> Self {
        Self { reads_records: true, ..Self::read(name, handler) }
    }

    pub(super) fn read(name: &'static str, handler: MethodRouter<Site>) -> Self {
        Self { name, role: Some(Role::Read), handler, reads_records: false }
    }

    pub(super) fn enqueue(name: &'static str, handler: MethodRouter<Site>) -> Self {
        Self { name, role: Some(Role::Enqueue), handler, reads_records: false }
    }

    pub(super) fn operate(name: &'static str, handler: MethodRouter<Site>) -> Self {
        Self { name, role: Some(Role::Operate), handler, reads_records: false }
    }

    pub(super) fn admin(name: &'static str, handler: MethodRouter<Site>) -> Self {
        Self { name, role: Some(Role::Admin), handler, reads_records: false }
    }

    /// Does it change what is there? Jobs that are put in change nothing.
    pub(super) fn changes(&self) -> bool {
        matches!(self.role, Some(Role::Operate | Role::Admin)) && !self.name.starts_with("GET ")
    }

    pub(super) fn path(&self) -> &'static str {
        self.name.split_once(' ').map_or(self.name, |(_, path)| path)
    }
}
