//! How much a step reads of rows that hold jobs or records. A number of rows is no bound, because each may have any size.

use rusqlite::{Row, Rows};

/// After how many bytes a step reads no further row; the row with which it has them is the last.
pub(super) const STEP_BYTES: usize = 1 << 20;

/// What room a step has left.
pub(super) struct Room(usize);

impl Room {
    pub(super) fn new(bytes: usize) -> Self {
        Self(bytes)
    }

    /// Is there any? A row that is read last may have more bytes than are left.
    pub(super) fn is_left(&self) -> bool {
        self.0 > 0
    }

    /// So many bytes were read.
    pub(super) fn take(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes);
    }

    /// Reads rows as long as there is room for them: one at least if there was any. `read` tells how many bytes a row has. A row
    /// is read where it is looked at, so that the next one costs nothing.
    pub(super) fn fill<T>(
        &mut self,
        rows: &mut Rows<'_>,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<(usize, T)>,
    ) -> rusqlite::Result<Vec<T>> {
        let mut found = Vec::new();
        while self.is_left()
            && let Some(row) = rows.next()?
        {
            let (bytes, one) = read(row)?;
            self.take(bytes);
            found.push(one);
        }
        Ok(found)
    }
}
