//! What stands for the whole spec of an attempt.

use std::sync::Arc;

/// Hashes a spec part by part, each behind its length, so that no two specs read the same.
#[derive(Debug, Default)]
pub(super) struct Hash(blake3::Hasher);

impl Hash {
    pub fn part(mut self, bytes: &[u8]) -> Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    pub fn count(self, count: usize) -> Self {
        self.part(&count.to_le_bytes())
    }

    pub fn files(self, files: &[(String, Arc<[u8]>)]) -> Self {
        files.iter().fold(self, |hash, (path, bytes)| hash.part(path.as_bytes()).part(bytes))
    }

    pub fn finish(self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}
