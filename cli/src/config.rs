//! Settings of the long-running roles. Each component owns its `Config`; this is their sum.
//!
//! What most people never touch is set by `GRIDFLOW__SECTION__KEY` alone, what they do touch has a flag as well.
//! A variable with our prefix that is no setting is refused: a typo must not be a default in disguise.

use std::time::Duration;

use crate::{
    clusters::CLUSTERS_FILE,
    failure::{Failure, Result},
};

/// All of our settings begin so. Variables of commands (`GRIDFLOW_SERVER` …) have one underline.
const PREFIX: &str = "GRIDFLOW__";

pub const DATABASE_URL: &str = "GRIDFLOW__DATABASE__URL";

/// Which database a role works on.
#[derive(Debug, clap::Args)]
pub struct DatabaseArgs {
    /// PostgreSQL 15 or newer, such as `postgres://user@host/name`; prefer the variable, since others see arguments
    /// in the list of processes
    #[arg(long, env = DATABASE_URL, hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,
}

impl DatabaseArgs {
    pub fn url(&self) -> Result<&str> {
        self.database_url.as_deref().ok_or_else(|| {
            Failure::user("no database is named")
                .help(format!("set `{DATABASE_URL}`, or use `gridflow standalone`, which brings its own"))
        })
    }
}

/// What the environment sets; nothing means the component's own default.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Settings {
    pub database_url: Option<String>,
    pub parallelism: Option<u32>,
    pub losses_max: Option<u32>,
    pub node_lost_after: Option<Duration>,
    pub connections_max: Option<u32>,
    pub heartbeat: Option<Duration>,
}

/// As long as it takes until a node counts as silent.
const NODE_LOST_AFTER_MIN: Duration = Duration::from_secs(15);

struct Setting {
    variable: &'static str,
    /// What a value looks like, for the message about one that does not.
    form: &'static str,
    set: fn(&mut Settings, &str) -> bool,
}

const SETTINGS: [Setting; 7] = [
    Setting {
        variable: DATABASE_URL,
        form: "an address such as `postgres://user@host/name`",
        set: |settings, text| put(&mut settings.database_url, (!text.is_empty()).then(|| text.to_owned())),
    },
    // Read by the arguments of the roles that it concerns.
    Setting { variable: CLUSTERS_FILE, form: "the path of a file", set: |_, text| !text.is_empty() },
    Setting {
        variable: "GRIDFLOW__DATABASE__CONNECTIONS_MAX",
        form: "a number from 1: connections that handlers and triggers share; the leader has its own",
        set: |settings, text| put(&mut settings.connections_max, number(text)),
    },
    Setting {
        variable: "GRIDFLOW__SCHEDULER__PARALLELISM",
        form: "a number from 1: attempts of all DAGs at the same time",
        set: |settings, text| put(&mut settings.parallelism, number(text)),
    },
    Setting {
        variable: "GRIDFLOW__SCHEDULER__LOSSES_MAX",
        form: "a number: retries after losses of infrastructure, apart from a task's own",
        set: |settings, text| put(&mut settings.losses_max, text.parse().ok()),
    },
    Setting {
        variable: "GRIDFLOW__SCHEDULER__NODE_LOST_AFTER",
        form: "a duration from `15s`, such as `1h`: how long a node may be silent before its attempts are given up",
        set: |settings, text| {
            let after = humantime::parse_duration(text).ok().filter(|after| NODE_LOST_AFTER_MIN <= *after);
            put(&mut settings.node_lost_after, after)
        },
    },
    Setting {
        variable: "GRIDFLOW__SCHEDULER__HEARTBEAT",
        form: "a duration such as `1s`",
        set: |settings, text| put(&mut settings.heartbeat, humantime::parse_duration(text).ok()),
    },
];

/// Reads the settings from environment variables. Says all that is wrong with them at once.
pub fn settings(variables: impl IntoIterator<Item = (String, String)>) -> Result<Settings> {
    let mut settings = Settings::default();
    let mut problems = Vec::new();
    for (name, value) in variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        match SETTINGS.iter().find(|setting| setting.variable == name) {
            // The value may be a secret: it stays out of the message.
            Some(setting) if !(setting.set)(&mut settings, &value) => {
                problems.push(format!("`{name}` must be {}", setting.form));
            }
            Some(_) => {}
            None => problems.push(format!("`{name}` is no setting")),
        }
    }
    if problems.is_empty() {
        return Ok(settings);
    }
    problems.sort();
    let known = SETTINGS.map(|setting| setting.variable).join("\n");
    Err(Failure::user(problems.join("\n")).help(format!("the settings are\n{known}")))
}

/// The settings of this process.
pub fn settings_of_environment() -> Result<Settings> {
    settings(
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
    )
}

fn put<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    *place = value;
    place.is_some()
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| 0 < *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings> {
        settings(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn variables_set_what_they_name() {
        let settings = read(&[
            ("GRIDFLOW__SCHEDULER__PARALLELISM", "64"),
            ("GRIDFLOW__SCHEDULER__HEARTBEAT", "500ms"),
            ("GRIDFLOW_SERVER", "not a setting of a role"),
        ]);
        let wanted =
            Settings { parallelism: Some(64), heartbeat: Some(Duration::from_millis(500)), ..Settings::default() };
        assert_eq!(settings.expect("all known"), wanted);
    }

    #[test]
    fn unknown_and_bad_ones_are_refused_together_and_values_stay_secret() {
        let failure = read(&[("GRIDFLOW__SCHEDULER__PARALELISM", "1"), ("GRIDFLOW__SCHEDULER__LOSSES_MAX", "s3cret")]);
        let text = format!("{:?}", failure.expect_err("both are wrong"));
        assert!(text.contains("`GRIDFLOW__SCHEDULER__PARALELISM` is no setting"), "{text}");
        assert!(text.contains("`GRIDFLOW__SCHEDULER__LOSSES_MAX` must be a number"), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
    }

    #[test]
    fn the_documents_name_every_setting() {
        let text = include_str!("../../docs/operations.md");
        for setting in SETTINGS {
            assert!(text.contains(&format!("`{}`", setting.variable)), "{} is missing", setting.variable);
        }
    }
}
