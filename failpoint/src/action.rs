//! What a file in the folder asks for, and doing it.

use std::{fs, path::Path, process, thread, time::Duration};

use crate::{Injected, Point};

const LOOK: Duration = Duration::from_millis(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Pause,
    Abort,
    Panic,
    Refuse,
}

#[derive(Debug, PartialEq, Eq)]
struct Order {
    action: Action,
    /// Everyone who comes by, not only the first.
    is_for_all: bool,
    /// Only where this is in what the place is about.
    about: Option<String>,
}

pub fn carry_out(folder: &Path, point: Point, about: impl FnOnce() -> String) -> Result<(), Injected> {
    let file = folder.join(point.name());
    let Ok(text) = fs::read_to_string(&file) else { return Ok(()) };
    let order = Order::parse(&text).unwrap_or_else(|| panic!("`{}` asks for `{text}`", file.display()));
    if order.about.is_some_and(|wanted| !about().contains(&wanted)) {
        return Ok(());
    }
    let taken = folder.join(format!("{}.taken-{}", point.name(), process::id()));
    // Of several that come by at once, one takes it.
    if !order.is_for_all && fs::rename(&file, &taken).is_err() {
        return Ok(());
    }
    match order.action {
        Action::Pause => {
            while taken.exists() {
                thread::sleep(LOOK);
            }
            Ok(())
        }
        Action::Abort => process::abort(),
        Action::Panic => panic!("a test made `{}` panic", point.name()),
        Action::Refuse => Err(Injected(point)),
    }
}

impl Order {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let action = match words.next()? {
            "pause" => Action::Pause,
            "abort" => Action::Abort,
            "panic" => Action::Panic,
            "refuse" => Action::Refuse,
            _ => return None,
        };
        let mut order = Self { action, is_for_all: false, about: None };
        while let Some(word) = words.next() {
            match word {
                "always" => order.is_for_all = true,
                "for" => order.about = Some(words.next()?.to_owned()),
                _ => return None,
            }
        }
        Some(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_names_an_action_and_whom_it_is_for() {
        let order = |action, is_for_all, about: Option<&str>| {
            Some(Order { action, is_for_all, about: about.map(str::to_owned) })
        };
        assert_eq!(Order::parse("pause\n"), order(Action::Pause, false, None));
        assert_eq!(Order::parse("panic always for x"), order(Action::Panic, true, Some("x")));
        assert_eq!(Order::parse("refuse for x"), order(Action::Refuse, false, Some("x")));
        assert_eq!(Order::parse("sleep"), None);
        assert_eq!(Order::parse("panic for"), None);
        assert_eq!(Order::parse(""), None);
    }

    #[test]
    fn a_place_is_armed_for_the_first_who_is_meant() {
        let folder = tempfile();
        fs::write(folder.join("turn.decided"), "refuse for red").unwrap();
        let come = |about: &str| carry_out(&folder, Point::TurnDecided, || about.to_owned());
        assert_eq!(come("a blue one"), Ok(()));
        assert_eq!(come("a red one"), Err(Injected(Point::TurnDecided)));
        assert_eq!(come("a red one"), Ok(()));
        fs::remove_dir_all(folder).unwrap();
    }

    fn tempfile() -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("gridflow-failpoint-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn every_place_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = Point::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
    }
}
