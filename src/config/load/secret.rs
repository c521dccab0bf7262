//! A secret of the configuration that does not stand in it: `{ file = "PATH" }`, or `{ credential = "NAME" }` of systemd.

use super::ConfigLoader;
use crate::config::element::literal;
use crate::config::reader::Value;
use crate::file::bounded;

impl ConfigLoader<'_> {
    /// The text of such a value, without blanks around it. No message quotes it; `forms` says how it may be given, `holds` what it is.
    pub(super) fn secret_of_file(&mut self, value: &Value<'_>, forms: &str, holds: &str) -> Option<String> {
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
            Ok(text) => Some(text.trim().to_owned()),
            Err(error) => {
                value.report(format!("expected a readable file that holds {holds} ({error})"));
                None
            }
        }
    }
}
