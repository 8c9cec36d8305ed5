//! The two clocks of the host.

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Since boot, suspended time included: what the kernel dates processes with, and what deadlines are kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub(super) struct BootNs(pub u64);

impl BootNs {
    pub(super) fn now() -> Self {
        Self(read(ClockId::CLOCK_BOOTTIME))
    }

    pub(super) fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1_000_000)))
    }

    pub(super) fn ms_until(self, later: Self) -> u64 {
        later.0.saturating_sub(self.0).div_ceil(1_000_000)
    }
}

/// Microseconds since 1970.
pub(super) fn wall_us() -> i64 {
    (read(ClockId::CLOCK_REALTIME) / 1_000) as i64
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock).expect("Linux has had these clocks for decades");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}
