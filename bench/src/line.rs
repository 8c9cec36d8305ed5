//! One line of the answer: a figure, the machine's own limit, and what was to be reached.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// `W1` … `W10`, `core`.
    pub item: String,
    pub what: String,
    pub value: f64,
    pub unit: String,
    pub better: Better,
    pub limit: Option<Limit>,
    pub target: Option<Target>,
    /// Settings and circumstances that a reader must know.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    Lower,
    Higher,
}

/// What the machine can do without Gridflow, measured in the same run and in the unit of the line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    pub what: String,
    pub value: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// So many times the limit.
    Ratio(f64),
    /// This figure, on any machine.
    Absolute(f64),
    /// The figure on a machine whose limit is `footing`; elsewhere in proportion.
    Footing { bound: f64, footing: f64 },
}

impl Line {
    pub fn lower(item: &str, what: impl Into<String>, value: f64, unit: &str) -> Self {
        let (item, what, unit) = (item.to_owned(), what.into(), unit.to_owned());
        Self { item, what, value, unit, better: Better::Lower, limit: None, target: None, note: String::new() }
    }

    pub fn higher(item: &str, what: impl Into<String>, value: f64, unit: &str) -> Self {
        Self { better: Better::Higher, ..Self::lower(item, what, value, unit) }
    }

    pub fn limit(self, what: &str, value: f64) -> Self {
        Self { limit: Some(Limit { what: what.to_owned(), value }), ..self }
    }

    pub fn target(self, target: Target) -> Self {
        Self { target: Some(target), ..self }
    }

    pub fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// What stays the same from run to run: which figure this is.
    pub fn key(&self) -> String {
        format!("{} {}", self.item, self.what)
    }

    /// The figure as a multiple of the limit.
    pub fn ratio(&self) -> Option<f64> {
        let limit = self.limit.as_ref()?.value;
        (0.0 < limit).then(|| self.value / limit)
    }

    /// What the target asks for on this machine, in the unit of the line.
    pub fn bound(&self) -> Option<f64> {
        let limit = self.limit.as_ref().map(|limit| limit.value);
        match self.target? {
            Target::Ratio(ratio) => Some(ratio * limit?),
            Target::Absolute(bound) => Some(bound),
            Target::Footing { bound, footing } => Some(bound * limit? / footing),
        }
    }

    /// Whether the target is reached; nothing where there is none.
    pub fn is_met(&self) -> Option<bool> {
        let bound = self.bound()?;
        Some(match self.better {
            Better::Lower => self.value <= bound,
            Better::Higher => bound <= self.value,
        })
    }

    pub fn verdict(&self) -> &'static str {
        match self.is_met() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        }
    }

    /// The target in words, with what it means here.
    pub fn target_text(&self) -> String {
        let (Some(target), Some(bound)) = (self.target, self.bound()) else { return String::new() };
        let sign = match self.better {
            Better::Lower => '≤',
            Better::Higher => '≥',
        };
        let here = number(bound);
        match target {
            Target::Ratio(ratio) => format!("{sign} {} × limit ({here})", number(ratio)),
            Target::Absolute(_) => format!("{sign} {here}"),
            Target::Footing { bound, footing } => {
                format!("{sign} {} where the limit is {}: {here} here", number(bound), number(footing))
            }
        }
    }

    /// For people, on two lines.
    pub fn text(&self) -> String {
        let mut text = format!("{:<5} {:<58} {:>12} {}", self.item, self.what, number(self.value), self.unit);
        if let (Some(limit), Some(ratio)) = (&self.limit, self.ratio()) {
            let _ = write!(text, "\n      limit {} ({}), ratio {ratio:.2}", number(limit.value), limit.what);
        }
        if self.target.is_some() {
            let lead = if self.limit.is_some() { ";" } else { "\n     " };
            let _ = write!(text, "{lead} target {}: {}", self.target_text(), self.verdict());
        }
        if !self.note.is_empty() {
            let _ = write!(text, "\n      {}", self.note);
        }
        text
    }
}

/// With three digits that count, and thousands apart.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size < 0.0005 && value != 0.0 {
        return format!("{value:.1e}");
    }
    let digits = match size {
        _ if size < 1.0 => 3,
        _ if size < 10.0 => 2,
        _ if size < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), String::new()), |(w, r)| (w, format!(".{r}")));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        let left = whole.len() - place;
        if place != 0 && left % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + &rest
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn a_target_is_a_multiple_of_the_limit_or_a_figure_or_both() {
        let line = Line::lower("W1", "end → next start", 2.1, "ms").limit("commit + spawn", 1.1);
        assert_eq!(line.clone().target(Target::Ratio(2.0)).is_met(), Some(true));
        assert_eq!(line.clone().target(Target::Absolute(2.0)).is_met(), Some(false));
        assert_eq!(line.clone().target(Target::Footing { bound: 2.0, footing: 1.0 }).is_met(), Some(true));
        assert_eq!(line.is_met(), None);
        let rate = Line::higher("W2", "fan", 900.0, "tasks/s").limit("spawn", 2_000.0).target(Target::Ratio(0.5));
        assert_eq!(rate.is_met(), Some(false));
    }

    #[test]
    fn a_target_that_needs_a_limit_is_not_judged_without_one() {
        let line = Line::higher("W2", "fan", 900.0, "tasks/s").target(Target::Ratio(0.5));
        assert_eq!((line.is_met(), line.verdict()), (None, ""));
    }

    #[test]
    fn a_line_says_everything() {
        let line = Line::lower("W8", "trigger → start, p50", 3.21, "ms")
            .limit("2 commits + 1 spawn", 1.9)
            .target(Target::Footing { bound: 5.0, footing: 1.7 })
            .note("200 times");
        assert_snapshot!(line.text(), @r"
        W8    trigger → start, p50                                               3.21 ms
              limit 1.90 (2 commits + 1 spawn), ratio 1.69; target ≤ 5.00 where the limit is 1.70: 5.59 here: met
              200 times
        ");
    }

    #[test]
    fn numbers_show_what_counts() {
        let shown = [0.0, 0.000_01, 0.12345, 1.5, 12.34, 123.4, 1_234.5, 1_234_567.0, -1_234.0].map(number);
        assert_eq!(shown, ["0.000", "1.0e-5", "0.123", "1.50", "12.3", "123", "1,234", "1,234,567", "-1,234"]);
    }
}
