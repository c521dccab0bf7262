//! Whose request is it?
//!
//! A token says so, or the session of a browser that began with one. Without one, programs of this machine may do everything, unless the configuration asks them for a token
//! as well; what came through a proxy is none of them. Who is nobody gets as far as what everybody may see.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONNECTION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::host::Name;
use super::{proxy, session};
use crate::config::http::{HttpConfig, HttpToken, LoopbackMode, Role};
use crate::event::Event;
use crate::http::attempts::Attempts;
use crate::http::audited::Who;
use crate::http::peer::Peer;
use crate::http::problem::{Kind, Problem};
use crate::http::site::{Content, Site};
use crate::http::slots::Slot;

/// Who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Caller {
    /// Who showed no token, and does not come from this machine.
    Nobody,
    /// A program of this machine.
    Local,
    /// The holder of a token with this role.
    Holder(Role),
}

impl Caller {
    /// May this caller do what this role stands for?
    pub(in crate::http) fn may(self, role: Role) -> bool {
        match self {
            Self::Nobody => false,
            Self::Local => true,
            Self::Holder(held) => held.may(role),
        }
    }
}

/// Whose keys a caller shares: those of the holders of the same token, or of the programs of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::http) struct Scope(pub(in crate::http) String);

impl Scope {
    fn of(held: Option<&HttpToken>) -> Self {
        Self(held.map(|one| format!("token {}", one.name)).unwrap_or_default())
    }
}

/// The content by which a request was judged. What outlives a reload must know whether it was this one.
#[derive(Debug, Clone)]
pub(in crate::http) struct JudgedBy(pub(in crate::http) Arc<Content>);

/// The middleware. It leaves a [`Caller`], a [`Scope`] and a [`JudgedBy`] for those behind it.
pub(in crate::http) async fn find(State(site): State<Site>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied().unwrap_or(Peer::unix());
    let name = request.extensions().get::<Name>().copied().unwrap_or(Name::Allowed);
    let content = site.content();
    let held = held(&content.http, request.headers(), site.clock.now_ms());
    // A session stands for the token with which it began.
    let in_session = held.filter(|_| !request.headers().contains_key(AUTHORIZATION));
    let judged = match in_session {
        Some(held) => Ok(Caller::Holder(held.role)),
        None => judge(&content.http, &site.attempts, peer, name, request.headers()),
    };
    match judged {
        Ok(caller) => {
            if !request.method().is_safe() {
                let who = who(&content.http, caller, held, peer, request.headers());
                request.extensions_mut().insert(who);
            }
            let scope = Scope::of(held);
            request.extensions_mut().insert(scope);
            request.extensions_mut().insert(caller);
            if let Some(slot) = request.extensions().get::<Arc<Slot>>() {
                slot.has_rights(caller != Caller::Nobody);
            }
            request.extensions_mut().insert(JudgedBy(content));
            next.run(request).await
        }
        Err(refused) => {
            if let Some(text) = refused.told {
                site.bus.emit(Event::Warning { text });
            }
            let mut response = refused.problem.into_response();
            if response.status() == StatusCode::TOO_MANY_REQUESTS {
                // Each further try costs a connection.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    }
}

/// Who it is, for people to read.
fn who(http: &HttpConfig, caller: Caller, held: Option<&HttpToken>, peer: Peer, headers: &HeaderMap) -> Who {
    let who = match (caller, held) {
        (Caller::Nobody, _) => "nobody".to_owned(),
        (Caller::Local, _) | (_, None) => "a program of this machine".to_owned(),
        (Caller::Holder(_), Some(held)) => format!("token {}", held.name),
    };
    let client = proxy::client(peer.address, headers, &http.trusted_proxies);
    Who { who, from: client.map_or_else(|| "a socket".to_owned(), |address| address.to_string()) }
}

/// The token that a request shows, or that its session began with.
fn held<'h>(http: &'h HttpConfig, headers: &HeaderMap, now_ms: i64) -> Option<&'h HttpToken> {
    match headers.get(AUTHORIZATION) {
        Some(value) => {
            let token = value.to_str().ok().and_then(bearer)?;
            http.tokens.iter().find(|one| one.is(token))
        }
        None => session::holder(http, headers, now_ms),
    }
}

/// A refusal, and what people should know of it.
#[derive(Debug)]
pub(in crate::http) struct Refused {
    pub(in crate::http) problem: Problem,
    pub(in crate::http) told: Option<String>,
}

fn judge(
    http: &HttpConfig,
    attempts: &Attempts,
    peer: Peer,
    name: Name,
    headers: &HeaderMap,
) -> Result<Caller, Refused> {
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = shown.next() else {
        let is_local = peer.is_local() && name == Name::Own && !proxy::came_through(headers);
        let is_open = http.loopback == LoopbackMode::Open;
        return Ok(if is_local && is_open { Caller::Local } else { Caller::Nobody });
    };
    let client = proxy::client(peer.address, headers, &http.trusted_proxies);
    let (None, Some(token)) = (shown.next(), value.to_str().ok().and_then(bearer)) else {
        let detail = "expected one header: Authorization: Bearer TOKEN";
        return Err(Refused { problem: Problem::new(Kind::Unauthenticated, detail), told: None });
    };
    try_token(http, attempts, client, token).map(|held| Caller::Holder(held.role))
}

/// The token of this text.
///
/// # Errors
/// If it is none, or if this client has shown too many that are none.
pub(in crate::http) fn try_token<'h>(
    http: &'h HttpConfig,
    attempts: &Attempts,
    client: Option<IpAddr>,
    token: &str,
) -> Result<&'h HttpToken, Refused> {
    // Before anything is counted: a right token passes no matter who else tries wrong ones. All are compared, so that the time
    // tells nothing.
    let held = http.tokens.iter().fold(None, |held, one| if one.is(token) { Some(one) } else { held });
    if let Some(held) = held {
        return Ok(held);
    }
    if let Some(left) = attempts.barred(client) {
        let seconds = left.as_secs() + 1;
        let detail = format!("this token is wrong, as the last 10 from your address were; wait {seconds} s");
        let problem = Problem::new(Kind::TooManyTries, detail).retry_after_s(seconds);
        return Err(Refused { problem, told: None });
    }
    let who = client.map_or_else(|| "a socket".to_owned(), |address| address.to_string());
    let told = attempts.wrong(client).then(|| {
        format!(
            "http: 10 wrong tokens came from {who} within a minute; further ones are refused with 429 until it is over"
        )
    });
    let detail = "this token is not one of [http] token and [[http.tokens]] in the configuration of this server";
    Err(Refused { problem: Problem::new(Kind::Unauthenticated, detail), told })
}

/// The token of `Bearer TOKEN`.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{Sources, load};

    const ADMIN: &str = "0123456789abcdef";
    const READER: &str = "fedcba9876543210";

    fn http(more: &str) -> HttpConfig {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tasks.toml");
        let text = format!(
            "[http]\nlisten = \"0.0.0.0:80\"\ntoken = \"{ADMIN}\"\ntokens = [{{ name = \"r\", role = \"read\", token = \"{READER}\" }}]\n{more}"
        );
        std::fs::write(&file, text).unwrap();
        load(&Sources::new(dir.path()).file(file)).unwrap().config.http.unwrap()
    }

    fn peer(address: &str) -> Peer {
        Peer::tcp(address.parse().unwrap(), "10.0.0.1".parse().unwrap())
    }

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn judged(http: &HttpConfig, peer: Peer, name: Name, shown: &[(&'static str, &str)]) -> Result<Caller, u16> {
        judge(http, &Attempts::default(), peer, name, &headers(shown))
            .map_err(|refused| refused.problem.status().as_u16())
    }

    #[test]
    fn this_machine_needs_no_token_unless_it_is_asked_for_one_or_a_proxy_is_between() {
        let open = http("");
        for local in [peer("127.0.0.1"), peer("::ffff:127.0.0.1"), peer("::1"), Peer::unix()] {
            assert_eq!(judged(&open, local, Name::Own, &[]), Ok(Caller::Local));
            assert_eq!(judged(&open, local, Name::Allowed, &[]), Ok(Caller::Nobody), "a name that proxies use");
            for trace in ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-real-ip", "via"] {
                assert_eq!(judged(&open, local, Name::Own, &[(trace, "127.0.0.1")]), Ok(Caller::Nobody), "{trace}");
            }
            assert_eq!(judged(&http("loopback = \"token\""), local, Name::Own, &[]), Ok(Caller::Nobody));
        }
        assert_eq!(judged(&open, peer("10.0.0.2"), Name::Own, &[]), Ok(Caller::Nobody));
        assert_eq!(
            judged(&open, peer("10.0.0.1"), Name::Own, &[]),
            Ok(Caller::Nobody),
            "it could be a proxy of a container"
        );
    }

    #[test]
    fn a_token_has_its_role_wherever_it_comes_from() {
        let http = http("");
        for from in [peer("127.0.0.1"), peer("10.0.0.2"), Peer::unix()] {
            let shown = |value: &str| judged(&http, from, Name::Allowed, &[("authorization", value)]);
            assert_eq!(shown(&format!("Bearer {ADMIN}")), Ok(Caller::Holder(Role::Admin)));
            assert_eq!(shown(&format!("bearer  {READER} ")), Ok(Caller::Holder(Role::Read)));
            for wrong in ["Bearer 0123456789abcdeg", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "", ADMIN] {
                assert_eq!(shown(wrong), Err(401), "{wrong}: also on this machine");
            }
        }
        let two = format!("Bearer {ADMIN}");
        assert_eq!(
            judged(&http, peer("::1"), Name::Own, &[("authorization", &two), ("authorization", &two)]),
            Err(401)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn after_ten_wrong_ones_further_ones_are_too_many_and_a_right_one_passes() {
        let (http, attempts) = (http("trusted_proxies = [\"10.0.0.9\"]"), Attempts::default());
        let show = |from: &str, token: &str, client: &str| {
            let shown = headers(&[("authorization", &format!("Bearer {token}")), ("x-forwarded-for", client)]);
            judge(&http, &attempts, peer(from), Name::Own, &shown)
        };
        for number in 1..=10 {
            let refused = show("10.0.0.2", "wrong", "").unwrap_err();
            assert_eq!((refused.problem.status().as_u16(), refused.told.is_some()), (401, number == 10));
        }
        assert_eq!(show("10.0.0.2", "wrong", "").unwrap_err().problem.status().as_u16(), 429);
        assert_eq!(show("10.0.0.2", ADMIN, "").unwrap(), Caller::Holder(Role::Admin), "others guess from its address");
        assert_eq!(show("10.0.0.2", "wrong", "").unwrap_err().problem.status().as_u16(), 429, "that changes nothing");
        assert!(show("10.0.0.3", ADMIN, "").is_ok());
        let silent = judge(&http, &attempts, peer("10.0.0.2"), Name::Own, &headers(&[]));
        assert_eq!(silent.unwrap(), Caller::Nobody, "who shows none is answered");
        for _ in 0..10 {
            show("10.0.0.9", "wrong", "192.0.2.1").unwrap_err();
        }
        let of_proxy = |client: &str| show("10.0.0.9", "wrong", client).unwrap_err().problem.status().as_u16();
        assert_eq!((of_proxy("192.0.2.1"), of_proxy("192.0.2.2")), (429, 401), "another client of the same proxy");
    }
}
