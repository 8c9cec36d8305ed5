//! Identities. Parsed once at the edge; inside there are no invalid ids.

use std::{fmt, sync::Arc};

use uuid::Uuid;

/// A point in time, UTC. Time always comes in as a parameter.
pub type Timestamp = chrono::DateTime<chrono::Utc>;

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("a {what} must not be empty")]
    Empty { what: &'static str },
    #[error("a {what} has at most {max} characters, this one has {len}")]
    TooLong { what: &'static str, len: usize, max: usize },
    #[error("a {what} must not contain `{found}`: allowed are letters, digits and {allowed}")]
    BadCharacter { what: &'static str, found: char, allowed: &'static str },
}

/// Airflow's limit for ids of DAGs, tasks and runs.
const ID_CHARS_MAX: usize = 250;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $extra:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and takes a text as an id.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                check($what, text, $extra)?;
                Ok(Self(text.into()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

fn check(what: &'static str, text: &str, extra: &'static str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty { what });
    }
    let len = text.chars().count();
    if len > ID_CHARS_MAX {
        return Err(IdError::TooLong { what, len, max: ID_CHARS_MAX });
    }
    match text.chars().find(|c| !c.is_alphanumeric() && !extra.contains(*c)) {
        Some(found) => Err(IdError::BadCharacter { what, found, allowed: extra }),
        None => Ok(()),
    }
}

text_id!(
    /// The id of a DAG, unique in a workspace.
    DagId, "DAG id", "_.-"
);
text_id!(
    /// The id of a task, unique in its DAG. Tasks of a group are `group.task`.
    TaskId, "task id", "_.-"
);
text_id!(
    /// What people call a DAG run, unique in its DAG: `manual__2025-01-01T00:00:00+00:00`.
    RunId, "run id", "_.~:+-"
);
text_id!(
    /// The name of a pool.
    PoolName, "pool name", "_.- "
);

impl PoolName {
    /// Airflow's pool of tasks that name none.
    pub fn default_pool() -> Self {
        Self("default_pool".into())
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(
    /// The key of a DAG run in the database: a UUIDv7, so that a month of runs is a range of keys.
    RunKey
);
uuid_id!(
    /// One try of one task instance. Everything outside is named after it.
    AttemptId
);
uuid_id!(
    /// One version of a DAG: the YAML and the files it refers to.
    DagVersionId
);
uuid_id!(
    /// An outside event, committed by a trigger's receiver.
    EventId
);
uuid_id!(
    /// A user's command, kept with its outcome.
    CommandId
);
uuid_id!(
    /// One installation (database) of Gridflow; things outside that carry another one are not ours.
    InstallationId
);
uuid_id!(
    /// A machine (or container) that runs local attempts: made once in its state directory.
    NodeId
);

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id!(
    /// The place of a task in its DAG version, from 0.
    TaskNo(u32)
);
number_id!(
    /// How often a task instance was tried, from 1; 0 before its first try.
    TryNumber(u32)
);
number_id!(
    /// Counts takeovers. A writer with an older epoch changes no row.
    Epoch(i64)
);
number_id!(
    /// Counts the leader's transactions over all epochs.
    Turn(i64)
);
number_id!(
    /// A row of the inbox.
    InboxId(i64)
);

/// The place of a mapped task instance, from 0; −1 for a task that is not mapped (Airflow's).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MapIndex(pub i32);

impl MapIndex {
    pub const UNMAPPED: Self = Self(-1);
}

/// The whole key of a task instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskInstanceKey {
    pub run: RunKey,
    pub task_no: TaskNo,
    pub map_index: MapIndex,
}
