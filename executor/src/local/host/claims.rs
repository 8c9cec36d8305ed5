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

/// How long the claim of a committed end is kept after its attempt was made; afterwards the attempt's age alone keeps
/// it from starting. Far longer than any launch can be under way.
const KEPT_MS_MAX: i64 = 7 * 24 * 60 * 60 * 1000;
/// Above that many claims (100 MB of records), those of committed ends may go earlier …
const CLAIMS_MAX: usize = 200_000;
/// … once they are that old: at 1,000 commands a second, 600,000 claims and some 40 MB of memory.
const KEPT_MS_MIN: i64 = 10 * 60 * 1000;
/// Some milliseconds; launches and ends get their turn in between.
const DROPPED_AT_ONCE_MAX: usize = 1000;

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
        }
    }

    /// Another installation takes over a state directory in which nothing is open. The claims of the former one go, and
    /// with them its turns, which say nothing about the new one's; their age keeps its attempts from starting again.
    pub(super) fn begin_anew(&mut self, installation: Uuid, node: Uuid) -> io::Result<()> {
        let header = self.records.header();
        let made_last = self.claims.keys().filter_map(|attempt| minted_ms(*attempt)).max();
        let horizon_ms = made_last.map_or(header.horizon_ms, |made_ms| made_ms.max(header.horizon_ms));
        self.records.write_header(Header { horizon_ms, ..header })?;
        for (_, slot) in std::mem::take(&mut self.claims) {
            self.records.remove(slot)?;
        }
        self.committed.clear();
        self.turn_max = 0;
        self.records.write_header(Header { installation, node, horizon_ms, turn_max: 0 })
    }

    /// Drops claims whose age is protection enough, a bounded number of them. `true` if there are more. The horizon is
    /// on file before the first of them goes.
    pub(super) fn drop_old_claims(&mut self) -> io::Result<bool> {
        let now_ms = wall_us() / 1000;
        let too_many = self.claims.len().saturating_sub(CLAIMS_MAX);
        let is_old = |n: usize, made_ms: i64| {
            let kept_ms = if n < too_many { KEPT_MS_MIN } else { KEPT_MS_MAX };
            made_ms < now_ms - kept_ms
        };
        let by_age = self.committed.iter().copied().enumerate();
        let old = by_age.take_while(|(n, (made_ms, _))| is_old(*n, *made_ms)).map(|(_, claim)| claim);
        let old: Vec<(i64, Slot)> = old.take(DROPPED_AT_ONCE_MAX).collect();
        let Some((youngest_ms, _)) = old.last() else { return Ok(false) };

        let header = self.records.header();
        let horizon_ms = header.horizon_ms.max(*youngest_ms);
        self.records.write_header(Header { horizon_ms, turn_max: self.turn_max, ..header })?;
        for claim in &old {
            let (_, slot) = *claim;
            if let Some(record) = self.records.read(slot)? {
                self.claims.remove(&record.attempt);
            }
            self.records.remove(slot)?;
            self.committed.remove(claim);
        }
        Ok(old.len() == DROPPED_AT_ONCE_MAX)
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

    #[test]
    fn another_installation_begins_without_the_turns_of_the_former_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records");
        let mut host = attempts(&path);
        let old = minted_hours_ago(1);
        assert_eq!(shown_end(&mut host, old), None, "the cancel takes the claim");
        host.acknowledge(old);
        host.turn_max = 900;
        let (installation, node) = (Uuid::now_v7(), Uuid::now_v7());
        host.begin_anew(installation, node).unwrap();

        let mut host = attempts(&path);
        assert_eq!((host.turn_max, host.claims.len()), (0, 0));
        assert_eq!(host.records.header().installation, installation);
        assert_eq!(shown_end(&mut host, old), Some((End::NeverStarted, false)), "it still never starts");
        assert_eq!(shown_end(&mut host, Uuid::now_v7()), None, "new ones are claimed as ever");
    }

    fn minted_hours_ago(hours: i64) -> Uuid {
        let ms = (wall_us() / 1000 - hours * 3_600_000).cast_unsigned();
        uuid::Builder::from_unix_timestamp_millis(ms, &[7; 10]).into_uuid()
    }

    fn shown_end(attempts: &mut Attempts, attempt: Uuid) -> Option<(End, bool)> {
        let order = CancelOrder { attempt, run: Uuid::nil(), unclaimed_only: false };
        attempts.cancel(&order).unwrap().map(|shown| match shown.state {
            State::Gone { end, .. } => (end, shown.acknowledged),
            State::Started { .. } => panic!("it never started"),
        })
    }

    #[test]
    fn a_claim_stays_until_its_end_is_committed_and_it_is_a_week_old() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records");
        let (old, young) = (minted_hours_ago(7 * 24 + 1), minted_hours_ago(7 * 24 - 1));
        let mut host = attempts(&path);
        for attempt in [old, young] {
            assert_eq!(shown_end(&mut host, attempt), None, "the cancel takes the claim");
        }
        host.drop_old_claims().unwrap();
        for attempt in [old, young] {
            assert_eq!(shown_end(&mut host, attempt), Some((End::NeverStarted, false)), "not acknowledged yet");
            host.acknowledge(attempt);
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

    #[test]
    fn claims_go_some_at_a_time_and_their_places_are_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records");
        let mut host = attempts(&path);
        let count = DROPPED_AT_ONCE_MAX + 7;
        for n in 0..count {
            let ms = (wall_us() / 1000 - KEPT_MS_MAX - 1000 + n as i64 % 500).cast_unsigned();
            let random = (n as u128).to_le_bytes();
            let attempt = uuid::Builder::from_unix_timestamp_millis(ms, random[..10].try_into().unwrap()).into_uuid();
            assert_eq!(shown_end(&mut host, attempt), None);
            host.acknowledge(attempt);
        }
        let bytes = std::fs::metadata(&path).unwrap().len();
        assert!(host.drop_old_claims().unwrap(), "there are more");
        assert_eq!(host.claims.len(), 7);
        assert!(!host.drop_old_claims().unwrap());
        assert_eq!(host.claims.len(), 0);
        for _ in 0..count {
            let attempt = Uuid::now_v7();
            assert_eq!(shown_end(&mut host, attempt), None);
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), bytes, "the file did not grow");
    }
}
