//! Files that can't be loaded.

use gridflow_core::Timestamp;
use sqlx::{FromRow, PgConnection};

use super::list::{self, Order, Page, Pattern, Source};
use crate::Error;

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ImportErrorRow {
    pub id: i64,
    pub bundle_name: String,
    pub file: String,
    /// Every diagnostic, as a person reads it.
    pub message: String,
    pub at: Timestamp,
}

/// Which import errors a list shows.
#[derive(Debug, Clone, Default)]
pub struct ImportErrorFilter {
    pub file: Option<String>,
    pub file_like: Vec<Pattern>,
    pub bundle: Option<String>,
}

const COLUMNS: &str = "e.id, b.name AS bundle_name, e.file, e.message, e.at";
const FROM: &str = "FROM import_error e JOIN bundle b ON b.id = e.bundle_id";

/// A page of import errors, and how many there are. Order columns: of `import_error e` and `bundle b`.
pub async fn list(
    conn: &mut PgConnection,
    filter: &ImportErrorFilter,
    order: &[Order],
    page: Page,
) -> Result<(Vec<ImportErrorRow>, i64), Error> {
    let source = Source { columns: COLUMNS, from: FROM, tie_breaker: &["e.id"] };
    let apply = |mut it: list::Filter<'_>| {
        it.statement.push(" AND b.workspace_id = 1");
        it.equals("e.file", filter.file.as_deref());
        it.like("e.file", &filter.file_like);
        it.equals("b.name", filter.bundle.as_deref());
    };
    list::page(conn, source, apply, order, page).await
}

/// One import error.
pub async fn by_id(conn: &mut PgConnection, id: i64) -> Result<Option<ImportErrorRow>, Error> {
    let statement = format!("SELECT {COLUMNS} {FROM} WHERE e.id = $1 AND b.workspace_id = 1");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement)).bind(id).fetch_optional(conn).await?)
}
