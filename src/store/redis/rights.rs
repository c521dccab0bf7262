//! What this user of the server may do.
//!
//! A script that is refused a command midway undoes what it did as well as it can; it is better not to begin it. So a daemon
//! tests all its rights when it joins, and again after any command was refused. While a right is missing nothing is claimed
//! and nothing is promoted.

use std::fmt::Write as _;

use super::connection::Connection;
use super::refusal::{self, Fault};
use super::script::{Script, script};
use super::{reply, verdict};
use crate::store::error::StoreError;

static RIGHTS: Script = script!("rights");

/// Tests all rights.
///
/// # Errors
/// One that names every right that is missing, and how to give it.
pub(super) async fn ask(connection: &Connection) -> Result<(), StoreError> {
    let mut call = connection.call();
    call.key(connection.keys().probe());
    // The server asks for the right to each key that a call declares.
    verdict::places(&mut call, connection.keys());
    call.key(connection.keys().departed());
    let ours = format!(" ~{}*", connection.keys().namespace_prefix());
    let (mut rights, mut keys, mut commands) = (String::new(), String::new(), String::new());
    let mut refused = match connection.try_run(&RIGHTS, call).await {
        Ok(refused) => reply::strings(refused)?.into_iter(),
        // The whole script was refused because of its key.
        Err(Fault::Keys(_)) => {
            keys.clone_from(&ours);
            Vec::new().into_iter()
        }
        // No script is run at all.
        Err(Fault::Store(StoreError::Unsupported(said))) if refusal::command_without_right(&said).is_some() => {
            rights.push_str(" +evalsha +eval");
            Vec::new().into_iter()
        }
        Err(Fault::Store(error)) => return Err(error),
    };
    while let (Some(command), Some(reason)) = (refused.next(), refused.next()) {
        let command = String::from_utf8_lossy(&command).into_owned();
        let reason = String::from_utf8_lossy(&reason);
        // Writing to a string cannot fail.
        let _ = if reason.contains("nknown") {
            write!(commands, " {command}")
        } else if refusal::refuses_command(&reason) {
            write!(rights, " +{}", command.to_lowercase())
        } else {
            keys.clone_from(&ours);
            Ok(())
        };
    }
    if rights.is_empty() && keys.is_empty() && commands.is_empty() {
        connection.origin.rights.are_known();
        return Ok(());
    }
    let mut text = String::from("nothing is claimed or promoted, because");
    if !commands.is_empty() {
        let _ = write!(text, " the server does not have{commands} (is it hidden by rename-command?);");
    }
    if !rights.is_empty() || !keys.is_empty() {
        let user = connection.origin.user();
        let _ = write!(text, " the user {user} lacks rights: type ACL SETUSER {user}{keys}{rights};");
    }
    text.push_str(" docs/connections.md lists what it takes");
    Err(StoreError::MissingRights(text))
}

/// The subject of findings about rights.
const SUBJECT: &str = "rights";

/// Tests all rights if a command was refused since the last test. Steps that must not begin without them call this first.
///
/// Emits an event when rights are missing and when they are given back, once for all callers.
///
/// # Errors
/// As [`ask`].
pub(super) async fn ensure(connection: &Connection) -> Result<(), StoreError> {
    if !connection.origin.rights.are_doubted() {
        return Ok(());
    }
    let asked = ask(connection).await;
    let findings = &connection.origin.findings;
    match &asked {
        Ok(()) => findings.mended(SUBJECT, "no right is missing any more: jobs are claimed and promoted again"),
        Err(error @ StoreError::MissingRights(_)) => findings.complain(SUBJECT, format!("failed to {error}")),
        Err(_) => {}
    }
    asked
}

/// Like [`ensure`], for steps that are taken in part without all rights: the error that names those that are missing.
///
/// # Errors
/// Fails when they cannot be tested.
pub(super) async fn missing(connection: &Connection) -> Result<Option<StoreError>, StoreError> {
    match ensure(connection).await {
        Ok(()) => Ok(None),
        Err(missing @ StoreError::MissingRights(_)) => Ok(Some(missing)),
        Err(error) => Err(error),
    }
}

/// The error of any step of an instance. All its loops meet a right that is missing. The error that names every missing
/// right is told once for all of them, and takes the place of what each would tell.
pub(super) async fn explain_to_instance(connection: &Connection, error: StoreError) -> StoreError {
    let is_about_rights = matches!(error, StoreError::Unsupported(_)) && connection.origin.rights.are_doubted();
    if is_about_rights && connection.origin.rights.are_all_needed() { explain(connection, error).await } else { error }
}

/// The error of a step that claiming or promotion needs: if a right was missing, one that names all of them.
pub(super) async fn explain(connection: &Connection, error: StoreError) -> StoreError {
    match ensure(connection).await {
        Err(all @ StoreError::MissingRights(_)) => all,
        _ => error,
    }
}
