//! The rows of a turn as `turn_v1` takes them: one composite type a table.

/// Names the PostgreSQL type of a row whose fields are that type's, in its order.
macro_rules! turn_row {
    ($row:ty, $name:literal) => {
        impl sqlx::Type<sqlx::Postgres> for $row {
            fn type_info() -> sqlx::postgres::PgTypeInfo {
                sqlx::postgres::PgTypeInfo::with_name($name)
            }
        }

        impl sqlx::postgres::PgHasArrayType for $row {
            fn array_type_info() -> sqlx::postgres::PgTypeInfo {
                sqlx::postgres::PgTypeInfo::array_of($name)
            }
        }
    };
}

pub(crate) use turn_row;

/// An argument of `turn_v1`. Null when there are no rows: those cost the server nothing.
pub(crate) fn argument<R>(rows: impl IntoIterator<Item = R>) -> Option<Vec<R>> {
    let rows: Vec<R> = rows.into_iter().collect();
    (!rows.is_empty()).then_some(rows)
}
