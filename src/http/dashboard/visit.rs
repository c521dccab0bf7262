//! A look at a page: who looks, at which page, and what they may do there.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::IF_NONE_MATCH;
use axum::http::request::Parts;

use super::flash::Flash;
use crate::config::http::Role;
use crate::http::api::query::Query;
use crate::http::base::Base;
use crate::http::guard::caller::{Caller, Scope};
use crate::http::guard::session::{SESSION, cookie};
use crate::http::problem::Problem;
use crate::http::site::Site;

/// The header of requests that want the live part of a page only.
const PART: &str = "hx-request";

/// A look at a page, or a form that was sent from one.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    pub(super) site: Site,
    /// What every link begins with: empty, or such as `/jobs`.
    pub(super) base: String,
    /// The page below the base, with its query.
    pub(super) here: String,
    pub(super) query: Query,
    /// The present time.
    pub(super) now_ms: i64,
    /// The name of the token, if there is one.
    pub(super) name: Option<String>,
    /// Can the session be ended?
    pub(super) in_session: bool,
    /// Is only the live part wanted?
    pub(super) is_part: bool,
    /// The page as the browser has it.
    pub(super) known: Option<String>,
    /// What came of the last form.
    pub(super) said: Option<Flash>,
    pub(super) read_only: bool,
    caller: Caller,
}

impl FromRequestParts<Site> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Problem> {
        let query = Query::parse(parts.uri.query().unwrap_or_default())?;
        let here = parts.uri.path_and_query().map(|path| path.as_str().to_owned()).unwrap_or_default();
        let extensions = &parts.extensions;
        let base = extensions.get::<Base>().cloned().unwrap_or_default();
        let name = extensions.get::<Scope>().and_then(|scope| scope.0.strip_prefix("token ").map(str::to_owned));
        let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let is_part = text(PART) == Some("true");
        Ok(Self {
            site: site.clone(),
            base: base.0.to_string(),
            here,
            query,
            now_ms: site.clock.now_ms(),
            name,
            in_session: cookie(&parts.headers, SESSION).is_some(),
            is_part,
            known: text(IF_NONE_MATCH.as_str()).map(str::to_owned),
            said: said(is_part, &parts.headers),
            read_only: site.content().http.read_only,
            caller: extensions.get::<Caller>().copied().unwrap_or(Caller::Nobody),
        })
    }
}

/// A part of a page does not say it again.
fn said(is_part: bool, headers: &HeaderMap) -> Option<Flash> {
    Flash::of(headers).filter(|_| !is_part)
}

impl Visit {
    /// May who looks do what this role stands for, on this server? What they may not has no button.
    pub(super) fn may(&self, role: Role) -> bool {
        self.caller.may(role) && (!self.read_only || role == Role::Read)
    }

    /// Who asks.
    pub(super) fn caller(&self) -> Caller {
        self.caller
    }

    /// A parameter that is not empty.
    pub(super) fn asked(&self, name: &str) -> Option<&str> {
        self.query.text(name).filter(|text| !text.is_empty())
    }
}
