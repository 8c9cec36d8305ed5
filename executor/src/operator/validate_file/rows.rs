//! What both formats share: rows that come one by one, checked against the columns of a schema.

use std::{io, path::Path};

use super::{
    finding::{Finding, Findings, Place, Rule},
    schema::{Column, Schema},
    unique::Keys,
};
use crate::operator::error::Error;

/// Follows the rows of one file.
pub(super) struct Rows<'a> {
    path: &'a Path,
    columns: &'a [Column],
    unique: &'a [Vec<usize>],
    keys: Vec<Keys>,
}

impl<'a> Rows<'a> {
    pub fn new(path: &'a Path, schema: &'a Schema) -> Self {
        let keys = schema.unique.iter().map(|_| Keys::default()).collect();
        Self { path, columns: schema.columns.as_deref().unwrap_or_default(), unique: &schema.unique, keys }
    }

    /// Remembers the keys of a row. `value` gives a column's value as text, `None` for null;
    /// as in SQL, null equals nothing.
    pub fn remember<T: AsRef<str>>(&mut self, place: Place, value: impl Fn(usize) -> Option<T>) -> Result<(), Error> {
        for (columns, keys) in self.unique.iter().zip(&mut self.keys) {
            let mut hasher = blake3::Hasher::new();
            let mut is_whole = true;
            for &column in columns {
                match value(column) {
                    Some(text) => {
                        let text = text.as_ref();
                        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
                    }
                    None => is_whole = false,
                }
            }
            if is_whole {
                keys.add(&hasher.finalize(), place.row, place.line).map_err(Self::sort_error(self.path))?;
            }
        }
        Ok(())
    }

    /// Reports the rows that share a key.
    pub fn finish(self, findings: &mut Findings) -> Result<(), Error> {
        for (columns, keys) in self.unique.iter().zip(self.keys) {
            let names: Vec<_> = columns.iter().map(|&column| self.columns[column].name.as_str()).collect();
            let names = names.join(", ");
            keys.repeats(|repeat| {
                findings.add(Rule::Unique, || {
                    let place = Place { row: repeat.row, line: repeat.line };
                    let message = format!("repeats the value of row {}", repeat.first_row);
                    Finding { column: Some(names.clone()), ..Finding::row(Rule::Unique, place, message) }
                });
            })
            .map_err(Self::sort_error(self.path))?;
        }
        Ok(())
    }

    fn sort_error(path: &Path) -> impl FnOnce(io::Error) -> Error {
        Error::io("sort the unique values of", path)
    }
}
