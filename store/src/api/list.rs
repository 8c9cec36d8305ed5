//! Lists: filters, order, a page, and how many there are in all.

use gridflow_core::Timestamp;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row};

use crate::Error;

/// A page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    pub limit: i64,
    pub offset: i64,
}

/// One key to sort by, already mapped to a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    pub column: &'static str,
    pub is_descending: bool,
}

/// How a bound is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    AtLeast,
    Above,
    AtMost,
    Below,
}

/// A bound of a column that holds instants or seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range<T = Timestamp> {
    /// An expression over the list's own tables; never text from outside.
    pub column: &'static str,
    pub bound: Bound,
    pub value: T,
}

/// What a text must look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// Contains any of these, whatever the case; `%` and `_` are wildcards.
    Contains(Vec<String>),
    /// Begins with one of these, literally.
    Prefix(Vec<String>),
}

pub(super) type Statement = QueryBuilder<Postgres>;

/// The condition under construction: starts with `WHERE true`.
pub(super) struct Filter<'q> {
    pub statement: &'q mut Statement,
}

impl Filter<'_> {
    pub fn any_of(&mut self, column: &str, values: &[String]) {
        if !values.is_empty() {
            self.statement.push(format_args!(" AND {column} = ANY(")).push_bind(values.to_vec()).push(")");
        }
    }

    pub fn any_number(&mut self, column: &str, values: &[i32]) {
        if !values.is_empty() {
            self.statement.push(format_args!(" AND {column} = ANY(")).push_bind(values.to_vec()).push(")");
        }
    }

    pub fn equals(&mut self, column: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.statement.push(format_args!(" AND {column} = ")).push_bind(value.to_owned());
        }
    }

    pub fn is(&mut self, condition: &str, value: Option<bool>) {
        if let Some(value) = value {
            self.statement.push(format_args!(" AND ({condition}) = ")).push_bind(value);
        }
    }

    pub fn like(&mut self, column: &str, patterns: &[Pattern]) {
        for pattern in patterns {
            let (operator, terms): (_, Vec<String>) = match pattern {
                Pattern::Contains(terms) => ("ILIKE", terms.iter().map(|term| format!("%{term}%")).collect()),
                Pattern::Prefix(terms) => ("LIKE", terms.iter().map(|term| format!("{}%", literal(term))).collect()),
            };
            self.statement.push(format_args!(" AND {column} {operator} ANY(")).push_bind(terms).push(")");
        }
    }

    pub fn instants(&mut self, ranges: &[Range]) {
        for range in ranges {
            let Range { column, bound, value } = *range;
            self.statement.push(format_args!(" AND {column} {} ", sign(bound))).push_bind(value);
        }
    }

    pub fn numbers(&mut self, ranges: &[Range<f64>]) {
        for range in ranges {
            let Range { column, bound, value } = *range;
            self.statement.push(format_args!(" AND {column} {} ", sign(bound))).push_bind(value);
        }
    }
}

fn sign(bound: Bound) -> &'static str {
    match bound {
        Bound::AtLeast => ">=",
        Bound::Above => ">",
        Bound::AtMost => "<=",
        Bound::Below => "<",
    }
}

/// A text in which LIKE's wildcards mean themselves.
fn literal(text: &str) -> String {
    text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")
}

/// Where a list comes from.
pub(super) struct Source<'s> {
    pub columns: &'s str,
    /// `FROM …`, with joins.
    pub from: &'s str,
    /// Makes the order total, so that pages neither repeat nor lose rows.
    pub tie_breaker: &'s [&'s str],
}

/// Reads one page, and counts all that the filter lets through.
pub(super) async fn page<T>(
    conn: &mut PgConnection,
    source: Source<'_>,
    filter: impl Fn(Filter<'_>),
    order: &[Order],
    page: Page,
) -> Result<(Vec<T>, i64), Error>
where
    T: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow> + Send + Unpin,
{
    let mut count = Statement::new(format!("SELECT count(*) {} WHERE true", source.from));
    filter(Filter { statement: &mut count });
    let total: i64 = count.build().fetch_one(&mut *conn).await?.try_get(0)?;
    if total <= page.offset || page.limit == 0 {
        return Ok((Vec::new(), total));
    }
    let mut rows = Statement::new(format!("SELECT {} {} WHERE true", source.columns, source.from));
    filter(Filter { statement: &mut rows });
    push_order(&mut rows, order, source.tie_breaker);
    rows.push(" LIMIT ").push_bind(page.limit).push(" OFFSET ").push_bind(page.offset);
    Ok((rows.build_query_as().fetch_all(conn).await?, total))
}

fn push_order(statement: &mut Statement, order: &[Order], tie_breaker: &[&str]) {
    let is_descending = order.first().is_some_and(|first| first.is_descending);
    let mut keys = statement.push(" ORDER BY ").separated(", ");
    for key in order {
        keys.push(key.column);
        keys.push_unseparated(direction(key.is_descending));
    }
    for column in tie_breaker {
        keys.push(column);
        keys.push_unseparated(direction(is_descending));
    }
}

fn direction(is_descending: bool) -> &'static str {
    if is_descending { " DESC NULLS LAST" } else { " ASC NULLS LAST" }
}
