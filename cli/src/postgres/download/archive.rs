//! Which archive, and what its bytes must be.

use std::{env::consts, path::Path};

use crate::failure::{Failure, Result};

/// PostgreSQL 17.11, built for embedding by zonky from the official sources, without documentation and extras.
pub const VERSION: &str = "17.11.0";
pub const MAJOR: u32 = 17;

const PREFIX: &str = "io/zonky/test/postgres/embedded-postgres-binaries";

/// One build. The hash is part of this program, so that it does not matter which mirror the bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archive {
    platform: &'static str,
    pub sha256: &'static str,
}

const ARCHIVES: [Archive; 5] = [
    Archive { platform: "linux-amd64", sha256: "0dd7b72b6f335b8ecfb355fa24c5781e8a93edd09880bb77eb52ebbf29b3e96d" },
    Archive { platform: "linux-arm64v8", sha256: "8b042e0ea418b1927d95399207950da0734d27fe01e29503ade3bdc464ad4c2b" },
    Archive {
        platform: "linux-amd64-alpine",
        sha256: "ace9a6f95b1c98ce84c9841267cd04ebee5d7de5dc7b8fea148ead44f145afbd",
    },
    Archive { platform: "darwin-amd64", sha256: "d464ff178e9860ba204662ac23fa547504b7fd392392ff2fb92e3fd73b5bdb64" },
    Archive { platform: "darwin-arm64v8", sha256: "a1c2786acb0c398f9b2d76806fc52f5dc8b222cbc8e9383a9b9702084daaf3a5" },
];

impl Archive {
    /// Its path in a Maven repository.
    pub fn path(&self) -> String {
        let platform = self.platform;
        format!("{PREFIX}-{platform}/{VERSION}/embedded-postgres-binaries-{platform}-{VERSION}.jar")
    }
}

pub fn of_this_machine() -> Result<Archive> {
    let has_musl =
        ["/lib/ld-musl-x86_64.so.1", "/lib/ld-musl-aarch64.so.1"].iter().any(|path| Path::new(path).exists());
    let has_glibc =
        ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"].iter().any(|path| Path::new(path).exists());
    let libc = if has_musl && !has_glibc { Libc::Musl } else { Libc::Other };
    of(consts::OS, consts::ARCH, libc).ok_or_else(|| {
        Failure::user(format!("no PostgreSQL can be downloaded for {} on {}", consts::OS, consts::ARCH))
            .help("install it with the system's package manager, or set `GRIDFLOW__DATABASE__URL` to a server of yours")
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Libc {
    Musl,
    Other,
}

fn of(os: &str, arch: &str, libc: Libc) -> Option<Archive> {
    let platform = match (os, arch, libc) {
        ("linux", "x86_64", Libc::Other) => "linux-amd64",
        ("linux", "aarch64", Libc::Other) => "linux-arm64v8",
        ("linux", "x86_64", Libc::Musl) => "linux-amd64-alpine",
        ("macos", "x86_64", _) => "darwin-amd64",
        ("macos", "aarch64", _) => "darwin-arm64v8",
        _ => return None,
    };
    ARCHIVES.into_iter().find(|archive| archive.platform == platform)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_platform_has_an_archive_or_is_told_that_there_is_none() {
        for (os, arch, libc) in [
            ("linux", "x86_64", Libc::Other),
            ("linux", "aarch64", Libc::Other),
            ("linux", "x86_64", Libc::Musl),
            ("macos", "x86_64", Libc::Other),
            ("macos", "aarch64", Libc::Other),
        ] {
            assert!(of(os, arch, libc).is_some(), "{os} {arch}");
        }
        assert_eq!(of("linux", "riscv64", Libc::Other), None);
        assert!(VERSION.starts_with(&format!("{MAJOR}.")));
    }
}
