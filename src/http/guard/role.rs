//! May this caller do this? Each route asks for a role; what everybody may see asks for none.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::caller::Caller;
use crate::config::http::Role;
use crate::http::problem::{Kind, Problem};

/// The middleware of a route.
pub(in crate::http) async fn check(State(role): State<Role>, request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>().copied().unwrap_or(Caller::Nobody);
    match judge(caller, role) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Is it somebody? For what any caller may learn who is.
pub(in crate::http) fn somebody(request: &Request) -> Result<(), Problem> {
    match request.extensions().get::<Caller>() {
        None | Some(Caller::Nobody) => Err(nobody()),
        Some(_) => Ok(()),
    }
}

fn judge(caller: Caller, role: Role) -> Result<(), Problem> {
    match caller {
        Caller::Nobody => Err(nobody()),
        Caller::Holder(held) if !caller.may(role) => {
            let detail = format!("this needs a token with the role {:?}, and yours has {:?}", role.name(), held.name());
            Err(Problem::new(Kind::Forbidden, detail))
        }
        _ => Ok(()),
    }
}

fn nobody() -> Problem {
    let detail = "this needs a token: one of [http] token and [[http.tokens]] in the configuration of this server";
    Problem::new(Kind::Unauthenticated, detail).command("curl -H \"Authorization: Bearer $TOKEN\" URL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_who_it_is_and_somebody_else_is_told_what_is_missing() {
        let judged = |caller, role| judge(caller, role).map_err(|problem| problem.status().as_u16());
        assert_eq!(judged(Caller::Nobody, Role::Read), Err(401));
        assert_eq!(judged(Caller::Local, Role::Admin), Ok(()));
        assert_eq!(judged(Caller::Holder(Role::Operate), Role::Read), Ok(()));
        assert_eq!(judged(Caller::Holder(Role::Enqueue), Role::Read), Err(403));
        let told = judge(Caller::Holder(Role::Read), Role::Admin).unwrap_err();
        assert_eq!(told.detail(), "this needs a token with the role \"admin\", and yours has \"read\"");
    }
}
