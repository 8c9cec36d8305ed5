//! Attempts as pods of a real Kubernetes.

mod cancel;
mod credentials;
mod ends;
mod foreign;
mod protocol;
mod rights;
mod support;
mod sweep;
mod takeover;
mod wire;
