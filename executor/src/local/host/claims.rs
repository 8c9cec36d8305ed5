//! Claims: how long they stay, and what protects an attempt once its claim is gone.

use std::io;

use uuid::Uuid;

use super::{
    super::{layout::minted_ms, wire::End},
    attempts::Attempts,
    clock::wall_us,
    record::Record,
    records::{Header, Slot},
};

/// A forgotten claim is kept this long after its attempt was made; afterwards the attempt's age alone keeps it from
/// starting. Far longer than any launch can be under way.
const FORGOTTEN_MS_MIN: i64 = 24 * 60 * 60 * 1000;
/// Above that many claims (100 MB of records), those of committed ends may go without being forgotten …
const CLAIMS_MAX: usize = 200_000;
/// … once they are that old.
const COMMITTED_MS_MIN: i64 = 60 * 60 * 1000;

pub(super) enum Present {
    Known(Box<Record>),
    /// Its claim may have been dropped.
    TooOld,
    Unreadable(String),
}

impl Attempts {
    /// What is known of an attempt; `None` if its claim is free.
    pub(super) fn present(&self, attempt: Uuid) -> Option<Present> {
        let Some(slot) = self.claims.get(&attempt) else {
            let too_old = minted_ms(attempt).is_some_and(|made_ms| made_ms <= self.records.header().horizon_ms);
            return too_old.then_some(Present::TooOld);
        };
        if let Some(open) = self.open.get(slot) {
            return Some(Present::Known(Box::new(open.record.clone())));
        }
        Some(match self.records.read(*slot) {
            Ok(Some(record)) => Present::Known(Box::new(record)),
            Ok(None) => Present::Unreadable("the record of the claim is damaged".into()),
            Err(error) => Present::Unreadable(format!("cannot read the record of the claim: {error}")),
        })
    }

    /// The end is committed: only the claim is kept.
    pub(super) fn acknowledge(&mut self, attempt: Uuid) {
        let Some(&slot) = self.claims.get(&attempt) else { return };
        if self.open.get(&slot).is_none_or(|open| !open.is_gone()) {
            return;
        }
        if let Some(mut open) = self.open.remove(&slot) {
            open.record.acknowledged = true;
            self.write(slot, &open.record);
            self.note_committed(slot, &open.record);
        }
    }

    pub(super) fn note_committed(&mut self, slot: Slot, record: &Record) {
        // An id that does not tell its age is kept for ever.
        if let Some(made_ms) = minted_ms(record.attempt) {
            self.committed.insert((made_ms, slot));
            if record.forgotten {
                self.forgotten.insert((made_ms, slot));
            }
        }
    }

    /// The log is gone; the claim may go once the attempt is old enough.
    pub(super) fn forget(&mut self, attempt: Uuid) {
        let Some(&slot) = self.claims.get(&attempt) else { return };
        if let Ok(Some(record)) = self.records.read(slot)
            && record.acknowledged
        {
            let record = Record { forgotten: true, ..record };
            self.write(slot, &record);
            self.note_committed(slot, &record);
        }
    }

    /// Drops claims whose age is protection enough. The horizon is on file before the first of them goes.
    pub(super) fn drop_old_claims(&mut self) -> io::Result<()> {
        let now_ms = wall_us() / 1000;
        let older_than = |ms: i64| ..(now_ms - ms, Slot(0));
        let mut old: Vec<(i64, Slot)> = self.forgotten.range(older_than(FORGOTTEN_MS_MIN)).copied().collect();
        let too_many = self.claims.len().saturating_sub(CLAIMS_MAX);
        old.extend(self.committed.range(older_than(COMMITTED_MS_MIN)).take(too_many));
        let Some(horizon_ms) = old.iter().map(|(made_ms, _)| *made_ms).max() else { return Ok(()) };

        let header = self.records.header();
        let horizon_ms = horizon_ms.max(header.horizon_ms);
        self.records.write_header(Header { horizon_ms, turn_max: self.turn_max, ..header })?;
        for claim in old {
            let was_forgotten = self.forgotten.remove(&claim);
            // One that is on both lists is dropped once.
            if !self.committed.remove(&claim) && !was_forgotten {
                continue;
            }
            let (_, slot) = claim;
            if let Some(record) = self.records.read(slot)? {
                self.claims.remove(&record.attempt);
            }
            self.records.remove(slot)?;
        }
        Ok(())
    }
}

impl Record {
    /// Claimed by a cancel, which knows no hash.
    pub(super) fn end_is_unstarted_cancel(&self) -> bool {
        self.end.as_ref().is_some_and(|ended| ended.end == End::NeverStarted)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{
        super::{
            super::wire::{CancelOrder, State},
            records::{Records, open},
        },
        *,
    };

    fn attempts(path: &Path) -> Attempts {
        let (records, found) = Records::read_all(open(path).unwrap()).unwrap();
        super::super::recovery::recover(1, records, found, None).unwrap()
    }

    fn minted_hours_ago(hours: i64) -> Uuid {
        let ms = (wall_us() / 1000 - hours * 3_600_000).cast_unsigned();
        uuid::Builder::from_unix_timestamp_millis(ms, &[7; 10]).into_uuid()
    }

    fn shown_end(attempts: &mut Attempts, attempt: Uuid) -> Option<(End, bool)> {
        let order = CancelOrder { attempt, run: Uuid::nil() };
        attempts.cancel(&order).unwrap().map(|shown| match shown.state {
            State::Gone { end, .. } => (end, shown.acknowledged),
            State::Started { .. } => panic!("it never started"),
        })
    }

    #[test]
    fn a_claim_stays_until_it_is_acknowledged_forgotten_and_a_day_old() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records");
        let (old, young) = (minted_hours_ago(48), minted_hours_ago(1));
        let mut host = attempts(&path);
        for attempt in [old, young] {
            assert_eq!(shown_end(&mut host, attempt), None, "the cancel takes the claim");
            host.forget(attempt);
        }
        host.drop_old_claims().unwrap();
        for attempt in [old, young] {
            assert_eq!(shown_end(&mut host, attempt), Some((End::NeverStarted, false)), "not acknowledged yet");
            host.acknowledge(attempt);
            host.forget(attempt);
        }
        // Also when the host ends before it gets to it.
        let mut host = attempts(&path);
        assert_eq!(host.claims.len(), 2);
        host.drop_old_claims().unwrap();
        assert_eq!(host.claims.keys().copied().collect::<Vec<_>>(), [young]);

        // The old one has no claim any more, and still never starts: it is older than the horizon.
        let mut host = attempts(&path);
        assert_eq!(shown_end(&mut host, old), Some((End::NeverStarted, false)));
        assert_eq!(shown_end(&mut host, young), Some((End::NeverStarted, true)));
        assert_eq!(host.claims.len(), 1);
    }
}
