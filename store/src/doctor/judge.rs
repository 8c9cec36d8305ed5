//! What the facts mean.

use super::{facts::Facts, known::Finding};

/// Older than this, a request waits although somebody leads.
const WAITING_S_MAX: f64 = 60.0;
/// As for a takeover.
const SILENT_S_MAX: f64 = 3.0;
/// A transaction so old keeps vacuum from clearing away the row versions of every turn since.
const TRANSACTION_S_MAX: f64 = 600.0;
/// The server stops taking commands at 2.1 billion; autovacuum should have acted at 0.2.
const XID_AGE_MAX: i64 = 1_000_000_000;
/// A takeover, a handler's pool and a person with psql.
const CONNECTIONS_FREE_MIN: i64 = 10;

pub(super) fn schema(found: Option<i64>, needed: i64) -> Option<Finding> {
    match found {
        None => Some(Finding::new("schema-missing", vec![])),
        Some(found) if found < needed => {
            Some(Finding::new("schema-old", vec![format!("it is at {found}, this program is made for {needed}")]))
        }
        Some(found) if needed < found => {
            Some(Finding::new("schema-new", vec![format!("it is at {found}, this program is made for {needed}")]))
        }
        Some(_) => None,
    }
}

pub(super) fn server(facts: &Facts) -> Vec<Finding> {
    let checks = durability(facts).into_iter().chain(room(facts)).chain(liveness(facts));
    checks.filter_map(|(name, subject)| Some(Finding::new(name, subject?))).collect()
}

type Check = (&'static str, Option<Vec<String>>);

/// The subjects of a check that found something.
fn when(found: bool, subject: impl Into<String>) -> Option<Vec<String>> {
    found.then(|| vec![subject.into()])
}

fn durability(facts: &Facts) -> [Check; 7] {
    let version = facts.version / 10_000;
    let replicates = !facts.synchronous_standbys.is_empty();
    [
        ("fsync-off", when(!facts.fsync || !facts.full_page_writes, "`fsync` or `full_page_writes` is off")),
        ("commits-not-durable", when(facts.synchronous_commit == "off", "`synchronous_commit` is off")),
        (
            "replicas-behind",
            when(0 < facts.replicas && !replicates, format!("{} replicas, none of them synchronous", facts.replicas)),
        ),
        ("server-old", when(version < 15, format!("PostgreSQL {version}"))),
        ("server-replica", when(facts.is_replica, "the server is in recovery")),
        ("server-encoding", when(facts.encoding != "UTF8", facts.encoding.clone())),
        ("activities-not-tracked", when(!facts.track_activities, "`track_activities` is off")),
    ]
}

fn room(facts: &Facts) -> [Check; 7] {
    let free = facts.connections_max - facts.connections;
    let connections = format!("{} of {} connections are open", facts.connections, facts.connections_max);
    let list = |subjects: &Vec<String>| (!subjects.is_empty()).then(|| subjects.clone());
    [
        ("connections-few", when(free < CONNECTIONS_FREE_MIN, connections)),
        ("autovacuum-off", when(!facts.autovacuum, "`autovacuum` is off")),
        ("transaction-old", when(TRANSACTION_S_MAX < facts.oldest_transaction_s, seconds(facts.oldest_transaction_s))),
        ("wraparound-near", when(XID_AGE_MAX < facts.xid_age, format!("{} transactions", facts.xid_age))),
        ("table-bloated", list(&facts.bloated)),
        ("months-missing", list(&facts.months_missing)),
        ("rows-of-no-month", when(0 < facts.rows_of_no_month, format!("{} rows", facts.rows_of_no_month))),
    ]
}

fn liveness(facts: &Facts) -> [Check; 5] {
    let is_silent = facts.has_leader && SILENT_S_MAX < facts.leader_silent_s;
    let waits = facts.has_leader && WAITING_S_MAX < facts.inbox_oldest_s;
    let event_waits = facts.has_leader && WAITING_S_MAX < facts.event_oldest_s;
    let inbox = format!("{} rows, the oldest for {}", facts.inbox, seconds(facts.inbox_oldest_s));
    [
        ("leader-missing", when(!facts.has_leader, "no session holds the leader's lock")),
        ("leader-silent", when(is_silent, format!("for {}", seconds(facts.leader_silent_s)))),
        ("standby-missing", when(facts.has_leader && facts.candidates < 2, "nobody stands by")),
        ("inbox-waits", when(waits, inbox)),
        ("event-waits", when(event_waits, format!("the oldest for {}", seconds(facts.event_oldest_s)))),
    ]
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.0} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy() -> Facts {
        Facts {
            now: "2030-05-17T06:00:00Z".parse().unwrap(),
            version: 150_008,
            encoding: "UTF8".to_owned(),
            fsync: true,
            full_page_writes: true,
            synchronous_commit: "on".to_owned(),
            synchronous_standbys: String::new(),
            autovacuum: true,
            track_activities: true,
            is_replica: false,
            connections_max: 97,
            connections: 20,
            replicas: 0,
            oldest_transaction_s: 1.0,
            xid_age: 1_000,
            has_leader: true,
            leader_silent_s: 0.4,
            candidates: 2,
            inbox: 3,
            inbox_oldest_s: 0.1,
            event_oldest_s: 0.0,
            bloated: vec![],
            months_missing: vec![],
            rows_of_no_month: 0,
        }
    }

    type Fault = fn(&mut Facts);

    fn names(facts: &Facts) -> Vec<&'static str> {
        server(facts).iter().map(Finding::name).collect()
    }

    #[test]
    fn a_healthy_server_has_no_findings() {
        assert_eq!(names(&healthy()), [""; 0]);
    }

    #[test]
    fn each_fault_of_a_server_has_its_name() {
        let faults: [(&str, Fault); 19] = [
            ("fsync-off", |facts| facts.fsync = false),
            ("fsync-off", |facts| facts.full_page_writes = false),
            ("commits-not-durable", |facts| facts.synchronous_commit = "off".to_owned()),
            ("replicas-behind", |facts| facts.replicas = 2),
            ("server-old", |facts| facts.version = 140_012),
            ("server-replica", |facts| facts.is_replica = true),
            ("server-encoding", |facts| facts.encoding = "LATIN1".to_owned()),
            ("activities-not-tracked", |facts| facts.track_activities = false),
            ("connections-few", |facts| facts.connections = 90),
            ("autovacuum-off", |facts| facts.autovacuum = false),
            ("transaction-old", |facts| facts.oldest_transaction_s = 4_000.0),
            ("wraparound-near", |facts| facts.xid_age = 1_500_000_000),
            ("table-bloated", |facts| facts.bloated = vec!["attempt_203005: 900000 dead of 1000000".to_owned()]),
            ("months-missing", |facts| facts.months_missing = vec!["attempt_203006".to_owned()]),
            ("rows-of-no-month", |facts| facts.rows_of_no_month = 7),
            ("leader-silent", |facts| facts.leader_silent_s = 12.0),
            ("standby-missing", |facts| facts.candidates = 1),
            ("inbox-waits", |facts| facts.inbox_oldest_s = 300.0),
            ("event-waits", |facts| facts.event_oldest_s = 300.0),
        ];
        for (name, fault) in faults {
            let mut facts = healthy();
            fault(&mut facts);
            assert_eq!(names(&facts), [name]);
        }
    }

    #[test]
    fn requests_wait_rightly_while_nobody_leads() {
        let facts =
            Facts { has_leader: false, candidates: 0, inbox_oldest_s: 300.0, event_oldest_s: 300.0, ..healthy() };
        assert_eq!(names(&facts), ["leader-missing"]);
    }

    #[test]
    fn a_schema_of_another_program_is_told() {
        assert!(schema(Some(3), 3).is_none());
        assert_eq!(schema(None, 3).map(|finding| finding.name()), Some("schema-missing"));
        assert_eq!(schema(Some(2), 3).map(|finding| finding.name()), Some("schema-old"));
        assert_eq!(schema(Some(4), 3).map(|finding| finding.name()), Some("schema-new"));
    }
}
