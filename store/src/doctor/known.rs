//! Everything that can be found: what it means, and what to do.

/// How bad it is. The worst comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A promise is broken, or what was asked for does not happen.
    Broken,
    /// It will be, when something else fails.
    Risk,
    /// Good to know; may be as it is meant.
    Note,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Risk => "risk",
            Self::Note => "note",
        }
    }
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    known: &'static Known,
    /// What it was found on.
    pub subjects: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Known {
    name: &'static str,
    severity: Severity,
    what: &'static str,
    means: &'static str,
    advice: &'static str,
}

impl Finding {
    /// # Panics
    /// If nothing of this name is known; a test reads the names from the queries.
    pub(super) fn new(name: &str, subjects: Vec<String>) -> Self {
        let known = KNOWN.iter().find(|known| known.name == name);
        Self { known: known.unwrap_or_else(|| panic!("the check `{name}` is not described")), subjects }
    }

    pub fn name(&self) -> &'static str {
        self.known.name
    }

    pub fn severity(&self) -> Severity {
        self.known.severity
    }

    /// What is wrong, in a few words.
    pub fn what(&self) -> &'static str {
        self.known.what
    }

    /// What follows from it.
    pub fn means(&self) -> &'static str {
        self.known.means
    }

    /// What to do.
    pub fn advice(&self) -> &'static str {
        self.known.advice
    }

    /// Nothing else can be looked at.
    pub(super) fn is_blocking(&self) -> bool {
        matches!(self.known.name, "schema-missing" | "schema-old")
    }
}

/// Checks that say nothing while nobody leads: then everything waits.
pub(super) const NEEDS_LEADER: [&str; 1] = ["task-overdue"];

const REPORT: &str =
    "it should not be possible: please report it, with the output of this command and the scheduler's log";

const fn known(name: &'static str, severity: Severity, texts: [&'static str; 3]) -> Known {
    let [what, means, advice] = texts;
    Known { name, severity, what, means, advice }
}

use Severity::{Broken, Note, Risk};

static KNOWN: [Known; 43] = [
    known(
        "schema-missing",
        Broken,
        [
            "the database has no schema",
            "nothing ran on it yet",
            "start a scheduler on it, or `gridflow db migrate`; check that the URL names the right database",
        ],
    ),
    known(
        "schema-old",
        Broken,
        [
            "the schema is older than this program",
            "this program can not read it",
            "`gridflow db migrate`, or ask with the program that runs on it",
        ],
    ),
    known(
        "schema-new",
        Note,
        [
            "the schema is newer than this program",
            "a newer program has migrated it; this one may miss something",
            "ask with the newest program that runs on it",
        ],
    ),
    known(
        "transaction-pooler",
        Broken,
        [
            "a transaction pooler stands before the database",
            "leadership rests on a session: two could lead",
            "connect directly, or through a session pooler",
        ],
    ),
    known(
        "fsync-off",
        Broken,
        [
            "the server may forget commits",
            "a crash of the machine loses or destroys runs and events",
            "set `fsync = on` and `full_page_writes = on`",
        ],
    ),
    known(
        "commits-not-durable",
        Note,
        [
            "commits are not durable by default",
            "Gridflow turns it on for its own sessions; other programs on this server do not",
            "set `synchronous_commit = on`",
        ],
    ),
    known(
        "replicas-behind",
        Risk,
        [
            "replicas may miss the newest commits",
            "a failover to one loses what it missed: events and runs that were answered",
            "name them in `synchronous_standby_names`; after a failover see `gridflow recover --help`",
        ],
    ),
    known("server-old", Broken, ["PostgreSQL is older than 15", "no scheduler starts on it", "upgrade the server"]),
    known(
        "server-replica",
        Broken,
        ["this server only reads", "no scheduler can work on it", "connect to the primary"],
    ),
    known(
        "server-encoding",
        Broken,
        ["the database's encoding is not UTF-8", "no scheduler starts on it", "make one with `ENCODING 'UTF8'`"],
    ),
    known(
        "activities-not-tracked",
        Broken,
        [
            "sessions are not tracked",
            "a leader that hangs can't be told from one that works",
            "set `track_activities = on`",
        ],
    ),
    known(
        "connections-few",
        Risk,
        [
            "few connections are left",
            "handlers wait; a new standby can't connect (one that stands by already can take over)",
            "raise `max_connections`, or close what holds them",
        ],
    ),
    known(
        "autovacuum-off",
        Risk,
        ["autovacuum is off", "tables grow with every turn and get slower", "set `autovacuum = on`"],
    ),
    known(
        "transaction-old",
        Risk,
        [
            "a transaction is open for long",
            "the row versions of every turn since then must be kept: tables grow and get slower",
            "find it with `SELECT pid, query, xact_start FROM pg_stat_activity ORDER BY xact_start` and end it",
        ],
    ),
    known(
        "wraparound-near",
        Risk,
        [
            "transaction ids run out",
            "the server will refuse to write",
            "vacuum the databases that pg_database.datfrozenxid names",
        ],
    ),
    known(
        "table-bloated",
        Risk,
        [
            "more dead rows than living ones",
            "reads get slower",
            "look for an old transaction or replication slot that holds vacuum back; then `VACUUM` the table",
        ],
    ),
    known(
        "months-missing",
        Risk,
        [
            "partitions of this or the next month are missing",
            "rows go to the default partition, and retention can't drop them with their month",
            "start a scheduler, which makes them, or `gridflow db migrate`",
        ],
    ),
    known(
        "rows-of-no-month",
        Note,
        [
            "rows lie in a default partition",
            "a clock was far off, or partitions were made too late; they move when their month is made",
            "check the clocks of the machines that make runs",
        ],
    ),
    known(
        "leader-missing",
        Broken,
        [
            "nobody leads",
            "runs are accepted and wait",
            "start `gridflow scheduler`; if one runs, its log says why it does not lead",
        ],
    ),
    known(
        "leader-silent",
        Broken,
        [
            "the leader is silent",
            "it hangs or is cut off; a standby ends its session and takes over",
            "start a standby; look into the leader's log",
        ],
    ),
    known(
        "standby-missing",
        Note,
        [
            "nobody stands by",
            "if the leader's machine fails, work waits until somebody starts a scheduler",
            "start a second `gridflow scheduler` on another machine, unless that is meant so",
        ],
    ),
    known(
        "inbox-waits",
        Broken,
        [
            "requests wait although somebody leads",
            "runs and commands are accepted and not taken",
            "the leader's log says what keeps its turns from committing",
        ],
    ),
    known(
        "event-waits",
        Broken,
        [
            "events wait although somebody leads",
            "they are kept and make no runs",
            "the leader's log says why their DAG or trigger is not ready",
        ],
    ),
    known(
        "run-aside",
        Broken,
        [
            "runs were set aside",
            "a row of theirs could not be read, or deciding on them failed: they stay as they are",
            "the reason is with the run; after a fix, the next start of a scheduler takes them up",
        ],
    ),
    known("run-ended-early", Broken, ["a run has ended, tasks of it have not", "NO-STUCK is broken", REPORT]),
    known(
        "run-tasks-missing",
        Broken,
        ["a running run has not the tasks of its DAG version", "it can't be taken up by a new leader", REPORT],
    ),
    known(
        "task-without-attempt",
        Broken,
        ["a task runs without an attempt", "NO-STUCK is broken: nothing will end it", REPORT],
    ),
    known(
        "task-waits-for-nothing",
        Broken,
        ["a task waits for nothing", "NO-STUCK is broken: nothing will move it", REPORT],
    ),
    known(
        "task-overdue",
        Broken,
        ["a task waits for something that has come", "NO-STUCK is broken, or the leader is far behind", REPORT],
    ),
    known(
        "attempt-of-finished",
        Broken,
        ["a task is finished, its attempt was not asked to end", "its command goes on, holding its slot", REPORT],
    ),
    known(
        "attempt-twice",
        Broken,
        ["a task has several open attempts", "ONE-LAUNCH is broken: its command may run twice", REPORT],
    ),
    known(
        "attempt-of-nothing",
        Broken,
        ["an attempt belongs to no run or task", "nobody will collect it, and it holds its slot", REPORT],
    ),
    known(
        "process-left-over",
        Broken,
        [
            "processes live whose attempt is closed",
            "ONE-LAUNCH is broken: the next attempt may run beside them",
            REPORT,
        ],
    ),
    known("log-illegal", Broken, ["the log has a step that is not allowed", "LEGAL is broken", REPORT]),
    known(
        "log-differs",
        Broken,
        [
            "the log does not lead to the present state",
            "something else than the leader changed rows, or LEGAL is broken",
            "if somebody changed rows by hand, put them right by hand; else please report it",
        ],
    ),
    known(
        "pool-over",
        Note,
        [
            "a pool has more taken than it has slots",
            "rightly so only if it was made smaller while its tasks ran; else LIMITS is broken",
            "wait until some have ended; if it was not made smaller, please report it",
        ],
    ),
    known(
        "pool-missing",
        Risk,
        [
            "tasks want a pool that does not exist",
            "they wait until it does",
            "make the pool, or name another one in the DAG",
        ],
    ),
    known(
        "event-without-run",
        Broken,
        ["an event belongs to a run that does not exist", "NO-LOSS is broken, unless the run was deleted", REPORT],
    ),
    known("event-twice", Broken, ["one event made several runs", "ONE-RUN is broken", REPORT]),
    known(
        "node-silent",
        Risk,
        [
            "a node with running tasks is silent",
            "its tasks keep their states and slots until it speaks again",
            "start a scheduler on it; if it is gone for ever, see `GRIDFLOW__SCHEDULER__NODE_LOST_AFTER` in the documents",
        ],
    ),
    known(
        "node-ahead",
        Broken,
        [
            "a node has seen turns that the database does not know",
            "the database went back in time: a restored copy, or a failover that lost commits; the next leader holds all launches",
            "restore a newer copy if there is one; else see `gridflow recover`",
        ],
    ),
    known(
        "launches-held",
        Broken,
        [
            "nothing is launched and nothing is decided",
            "the database went back in time; running commands go on",
            "`gridflow recover` lists what is unknown; `gridflow recover --accept-data-loss` goes on without it",
        ],
    ),
    known(
        "import-error",
        Risk,
        [
            "DAG files can't be loaded",
            "their last good version goes on being used",
            "`gridflow dags validate DIR` shows every error with its place",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_of_the_queries_is_described_once() {
        let mut names: Vec<_> = KNOWN.iter().map(|known| known.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KNOWN.len());
        let rows = include_str!("../../queries/doctor_rows.sql");
        let checks: Vec<_> = rows.lines().filter_map(|line| line.trim().strip_prefix("SELECT '")).collect();
        assert!(10 < checks.len());
        for check in checks {
            let name = check.split('\'').next().unwrap();
            assert!(names.contains(&name), "{name} is not described");
        }
    }
}
