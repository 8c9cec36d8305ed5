//! Where else people can look at attempts.

use std::{collections::BTreeMap, sync::Arc};

use gridflow_core::{AttemptId, RunKey};
use serde_json::Value;
use sqlx::PgConnection;

use super::Word;
use crate::{Error, leader::Pass};

/// No browser follows a longer one.
const URL_BYTES_MAX: usize = 2_000;

/// All pages of other systems about an attempt, by their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    pub run: RunKey,
    pub attempt: AttemptId,
    pub links: BTreeMap<&'static str, Arc<str>>,
}

impl Links {
    /// As a row has them. What can't be stored, or followed, is left out.
    fn to_json(&self) -> Value {
        let is_sound = |url: &str| url.len() <= URL_BYTES_MAX && !url.contains('\0');
        let links = self.links.iter().filter(|(_, url)| is_sound(url));
        links.map(|(name, url)| (String::from(*name), Value::from(&**url))).collect()
    }
}

impl Word for Links {
    fn attempt(&self) -> AttemptId {
        self.attempt
    }

    async fn write(conn: &mut PgConnection, pass: Pass, links: &[Self]) -> Result<Vec<AttemptId>, Error> {
        let again = sqlx::query_file_scalar!(
            "queries/attempt_links_write.sql",
            pass.epoch.0,
            pass.holder,
            &links.iter().map(|one| one.run.0).collect::<Vec<_>>(),
            &links.iter().map(|one| one.attempt.0).collect::<Vec<_>>(),
            &links.iter().map(Self::to_json).collect::<Vec<_>>(),
        )
        .fetch_all(conn)
        .await?;
        Ok(again.into_iter().map(AttemptId).collect())
    }

    /// They hold for as long as the attempt does, whoever leads.
    async fn forget(_: &mut PgConnection, _: Pass) -> Result<bool, Error> {
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_nobody_can_follow_is_left_out() {
        let long = format!("http://{}", "x".repeat(URL_BYTES_MAX));
        let links = [("UI", "http://10.0.0.1:4040"), ("long", &*long), ("odd", "http://a\0b")];
        let links = links.map(|(name, url)| (name, Arc::from(url))).into();
        let links = Links { run: RunKey(Uuid::nil()), attempt: AttemptId(Uuid::nil()), links };
        assert_eq!(links.to_json(), serde_json::json!({"UI": "http://10.0.0.1:4040"}));
    }
}
