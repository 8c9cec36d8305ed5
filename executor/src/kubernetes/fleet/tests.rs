//! Attempts and strays together.
