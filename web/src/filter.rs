//! Filters that many lists share, as Airflow writes them in query strings.

use gridflow_store::api::{Bound, Pattern, Range};

use crate::{
    error::{Error, Result},
    query::Query,
};

const BOUNDS: [(&str, Bound); 4] =
    [("gte", Bound::AtLeast), ("gt", Bound::Above), ("lte", Bound::AtMost), ("lt", Bound::Below)];

/// `NAME_gte`, `NAME_gt`, `NAME_lte` and `NAME_lt` for each pair of name and column.
pub fn instants(query: &Query, columns: &[(&str, &'static str)]) -> Result<Vec<Range>> {
    let mut ranges = Vec::new();
    for (name, column) in columns {
        for (suffix, bound) in BOUNDS {
            if let Some(value) = query.instant(&format!("{name}_{suffix}"))? {
                ranges.push(Range { column, bound, value });
            }
        }
    }
    Ok(ranges)
}

/// The same for seconds.
pub fn seconds(query: &mut Query, name: &str, column: &'static str) -> Vec<Range<f64>> {
    let bounds = BOUNDS.into_iter().filter_map(|(suffix, bound)| {
        query.number(&format!("{name}_{suffix}")).map(|value| Range { column, bound, value })
    });
    bounds.collect()
}

/// `NAME_pattern` (contains, whatever the case) and `NAME_prefix_pattern`; `|` stands for *or*, `~` for everything.
pub fn patterns(query: &Query, name: &str) -> Vec<Pattern> {
    let terms = |text: &str| -> Vec<String> {
        text.split('|').map(str::trim).filter(|term| !term.is_empty()).map(str::to_owned).collect()
    };
    let contains = query.text(&format!("{name}_pattern")).filter(|text| *text != "~").map(terms);
    let prefix = query.text(&format!("{name}_prefix_pattern")).filter(|text| *text != "~").map(terms);
    let contains = contains.filter(|terms| !terms.is_empty()).map(Pattern::Contains);
    let prefix = prefix.filter(|terms| !terms.is_empty()).map(Pattern::Prefix);
    contains.into_iter().chain(prefix).collect()
}

/// The values of a parameter that must each be one of these names; `what` is Airflow's word for them.
pub fn names(query: &Query, name: &str, what: &str, allowed: &[&str]) -> Result<Vec<String>> {
    let values = query.texts(name);
    if values.iter().all(|value| allowed.contains(&value.as_str())) {
        return Ok(values);
    }
    // `none` is a filter of its own, which Airflow does not list.
    let shown = allowed.iter().filter(|name| **name != "none").copied().collect::<Vec<_>>();
    Err(Error::Unprocessable(format!("Invalid value for {what}. Valid values are {}", shown.join(", "))))
}

/// `~` stands for all.
pub fn id_or_all(id: &str) -> Option<String> {
    (id != "~").then(|| id.to_owned())
}
