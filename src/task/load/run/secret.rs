//! Reads a text that may be secret: literally, from a file, or from the environment.
//!
//! No message quotes a secret. If a file or a variable is missing, the task is valid and its secret is unavailable; the
//! caller decides what to do about that.

use std::path::Path;

use super::HandlerContext;
use crate::config::element::literal;
use crate::config::reader::Value;
use crate::file::bounded::{self, FileError};
use crate::process::private;
use crate::task::handler_spec::Secret;

/// The longest secret. A longer file is taken for a mistake.
const MAX_SECRET_BYTES: usize = 16 * 1024;

/// The shortest key of signatures. A shorter one could be found by trying.
const MIN_KEY_BYTES: usize = 16;

const FORMS: &str = "a text, { file = \"PATH\" } or { env = \"NAME\" }";

/// Reads the text. `is_secret`: a file that holds it should be readable by its owner alone.
pub(in crate::task::load) fn read(value: &Value<'_>, context: HandlerContext<'_>, is_secret: bool) -> Option<Secret> {
    read_of(value, context, 1, is_secret)
}

/// Reads a key of signatures.
pub(super) fn read_key(value: &Value<'_>, context: HandlerContext<'_>) -> Option<Secret> {
    read_of(value, context, MIN_KEY_BYTES, true)
}

fn read_of(value: &Value<'_>, context: HandlerContext<'_>, least: usize, is_secret: bool) -> Option<Secret> {
    if let Some(text) = value.raw().as_str() {
        literal::warn(value, "a variable of the daemon is { env = \"NAME\" }, alone and without a dollar");
        if is_secret {
            warn_if_exposed(value, context.source, context);
        }
        return match judged(text, least) {
            Ok(()) => Some(Secret::Known(text.to_owned())),
            Err(why) => {
                value.report(why);
                None
            }
        };
    }
    let mut table = value.table(FORMS)?;
    let (file, env) = (table.take("file"), table.take("env"));
    table.finish();
    let (source, found) = match (file, env) {
        (Some(file), None) => {
            let path = context.folder.join(literal::path(&file)?);
            warn_if_exposed(&file, &path, context);
            (file, read_file(&path))
        }
        (None, Some(env)) => {
            let name = env.string()?;
            if name.is_empty() || name.contains(['=', '\0']) {
                env.report("expected the name of an environment variable");
                return None;
            }
            (env, read_env(name))
        }
        _ => {
            value.report(format!("expected {FORMS}"));
            return None;
        }
    };
    Some(match found.and_then(|text| judged(&text, least).map(|()| text).map_err(str::to_owned)) {
        Ok(text) => Secret::Known(text),
        Err(why) => {
            let problem = source.problem(&why);
            let secret = Secret::Unavailable(problem.to_string());
            context.unavailable.borrow_mut().push(problem);
            secret
        }
    })
}

fn warn_if_exposed(value: &Value<'_>, path: &Path, context: HandlerContext<'_>) {
    if let Some(warning) = bounded::exposed_secret(path) {
        context.exposed.borrow_mut().push(format!("{}: {warning}", value.location_and_key()));
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    match bounded::read_text(path, bounded::SECRET) {
        Ok(mut text) => {
            text.truncate(text.trim_end_matches(['\n', '\r']).len());
            Ok(text)
        }
        Err(FileError::NotText) => Err("expected a file of UTF-8 text".to_owned()),
        Err(error) => Err(format!("expected a readable file ({error})")),
    }
}

fn read_env(name: &str) -> Result<String, String> {
    private::keep(name);
    let found = private::variable(name).ok_or("expected an environment variable that is set (it is not)")?;
    found.into_string().map_err(|_| "expected an environment variable in UTF-8".to_owned())
}

fn judged(text: &str, least: usize) -> Result<(), &'static str> {
    if text.is_empty() {
        Err("expected a text that is not empty")
    } else if text.len() > MAX_SECRET_BYTES {
        Err("expected a text of at most 16 KiB")
    } else if text.len() < least {
        Err("expected a secret of at least 16 bytes; openssl rand -hex 32 makes one")
    } else {
        Ok(())
    }
}
