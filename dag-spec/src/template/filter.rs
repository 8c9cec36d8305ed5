//! Filters of Jinja's stock that can make very much of very little, with bounds.

use minijinja::{
    Environment, Error, ErrorKind, State, filters,
    value::{Rest, Value, ValueOrKwargs},
};

use crate::limit::RENDERED_BYTES_MAX;

/// The deepest indentation.
const INDENT_MAX: usize = 200;

pub fn add(env: &mut Environment<'static>) {
    env.add_filter("join", join);
    env.add_filter("replace", replace);
    env.add_filter("indent", indent);
    env.add_filter("format", format);
}

fn join(value: &Value, separator: Option<&str>) -> Result<String, Error> {
    let separator = separator.unwrap_or("");
    let mut out = String::new();
    for (at, item) in value.try_iter()?.enumerate() {
        if 0 < at {
            out.push_str(separator);
        }
        match item.as_str() {
            Some(text) => out.push_str(text),
            None => out.push_str(&item.to_string()),
        }
        bounded(out.len())?;
    }
    Ok(out)
}

fn replace(text: &Value, from: &str, to: &str) -> Result<String, Error> {
    let text = text.to_string();
    bounded(text.matches(from).count().saturating_mul(to.len()).saturating_add(text.len()))?;
    Ok(text.replace(from, to))
}

fn indent(text: &str, width: Option<usize>, first: Option<bool>, blank: Option<bool>) -> Result<String, Error> {
    let width = width.unwrap_or(4);
    if INDENT_MAX < width {
        return Err(Error::new(ErrorKind::InvalidOperation, format!("an indentation is at most {INDENT_MAX}")));
    }
    bounded(text.lines().count().saturating_mul(width).saturating_add(text.len()))?;
    let pad = " ".repeat(width);
    let lines = text.lines().enumerate().map(|(at, line)| {
        let indents = if at == 0 { first.unwrap_or(false) } else { blank.unwrap_or(false) || !line.is_empty() };
        if indents { format!("{pad}{line}") } else { line.to_owned() }
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// `'%05d' | format(7)`. A width of four digits is a mistake or worse.
fn format(state: &mut State<'_, '_>, pattern: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let text = pattern.to_string();
    let mut digits = 0;
    for c in text.chars() {
        digits = if c.is_ascii_digit() { digits + 1 } else { 0 };
        if 3 < digits || c == '*' {
            return Err(Error::new(ErrorKind::InvalidOperation, "a width has at most three digits"));
        }
    }
    filters::format(state, pattern, args)
}

fn bounded(bytes: usize) -> Result<(), Error> {
    if bytes <= RENDERED_BYTES_MAX {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidOperation, format!("the text would have more than {RENDERED_BYTES_MAX} bytes")))
}
