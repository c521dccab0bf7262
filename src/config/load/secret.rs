//! A secret of the configuration that does not stand in it: `{ file = "PATH" }`, or `{ credential = "NAME" }` of systemd.

use std::path::PathBuf;

use super::ConfigLoader;
use crate::config::element::literal;
use crate::config::reader::Value;
use crate::file::bounded;

/// A secret that was read.
pub(super) struct FoundSecret<'a> {
    /// Without blanks around it.
    pub(super) text: String,
    /// Where it stands.
    pub(super) path: PathBuf,
    /// The value that names that, for messages. They never quote the text.
    pub(super) value: Value<'a>,
}

impl ConfigLoader<'_> {
    /// The secret of such a value; `forms` says how it may be given, `holds` what it is.
    pub(super) fn secret_of_file<'a>(
        &mut self,
        value: &Value<'a>,
        forms: &str,
        holds: &str,
    ) -> Option<FoundSecret<'a>> {
        let mut table = value.table(forms)?;
        let (file, credential) = (table.take("file"), table.take("credential"));
        table.finish();
        let (value, path) = match (file, credential) {
            (Some(file), None) => {
                let path = self.defaults.folder.join(literal::path(&file)?);
                (file, path)
            }
            (None, Some(credential)) => {
                let path = self.credential(&credential)?;
                (credential, path)
            }
            _ => {
                value.report("expected one of file and credential");
                return None;
            }
        };
        if let Some(warning) = bounded::exposed_secret(&path) {
            self.notes.push(format!("{}: {warning}", value.location_and_key()));
        }
        match bounded::read_text(&path, bounded::SECRET) {
            Ok(text) => Some(FoundSecret { text: text.trim().to_owned(), path, value }),
            Err(error) => {
                value.report(format!("expected a readable file that holds {holds} ({error})"));
                None
            }
        }
    }
}
