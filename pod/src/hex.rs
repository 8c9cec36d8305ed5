//! Hexadecimal digests.

use sha2::{Digest, Sha256};

/// The SHA-256 of some bytes, in lower case.
pub fn sha256(bytes: &[u8]) -> String {
    digest(Sha256::new_with_prefix(bytes))
}

/// The end of a SHA-256, in lower case.
pub fn digest(hasher: Sha256) -> String {
    hasher.finalize().iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect()
}

fn digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).expect("four bits are a digit")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_digest_is_what_everybody_else_makes_it() {
        assert_eq!(super::sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
