//! The methods of Python's texts, maps and lists that templates of Airflow call.

use minijinja::{
    Error, ErrorKind,
    value::{Value, ValueKind, from_args},
};

use crate::limit::RENDERED_BYTES_MAX;

/// Calls a method that the value itself does not have.
pub fn call(value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => text(value.as_str().unwrap_or_default(), method, args),
        ValueKind::Map => map(value, method, args),
        ValueKind::Seq => list(value, method, args),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn text(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    type Strip = fn(&str, &[char]) -> String;
    let strip = |trim: Strip| -> Result<Value, Error> {
        let (chars,): (Option<&str>,) = from_args(args)?;
        let chars: Vec<char> = chars.map_or_else(|| vec![' ', '\t', '\n', '\r'], |chars| chars.chars().collect());
        Ok(trim(text, &chars).into())
    };
    let one = || from_args::<(&str,)>(args).map(|(arg,)| arg);
    let none = || from_args::<()>(args);
    Ok(match method {
        "startswith" => text.starts_with(one()?).into(),
        "endswith" => text.ends_with(one()?).into(),
        "upper" => none().map(|()| text.to_uppercase())?.into(),
        "lower" => none().map(|()| text.to_lowercase())?.into(),
        "capitalize" => {
            none()?;
            let mut chars = text.chars();
            chars
                .next()
                .map_or_else(String::new, |first| {
                    first.to_uppercase().chain(chars.as_str().to_lowercase().chars()).collect()
                })
                .into()
        }
        "strip" => strip(|text, chars| text.trim_matches(chars).to_owned())?,
        "lstrip" => strip(|text, chars| text.trim_start_matches(chars).to_owned())?,
        "rstrip" => strip(|text, chars| text.trim_end_matches(chars).to_owned())?,
        "removeprefix" => text.strip_prefix(one()?).unwrap_or(text).into(),
        "removesuffix" => text.strip_suffix(one()?).unwrap_or(text).into(),
        "isdigit" => none().map(|()| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()))?.into(),
        "find" => text.find(one()?).map_or(-1, |at| text[..at].chars().count() as i64).into(),
        "count" => text.matches(one()?).count().into(),
        "splitlines" => none().map(|()| text.lines().map(Value::from).collect::<Vec<_>>())?.into(),
        "split" | "rsplit" => {
            let (separator, max): (Option<&str>, Option<usize>) = from_args(args)?;
            split(text, separator, max, method == "rsplit")?
        }
        "replace" => {
            let (from, to): (&str, &str) = from_args(args)?;
            let grown = text.matches(from).count().saturating_mul(to.len()).saturating_add(text.len());
            if RENDERED_BYTES_MAX < grown {
                return Err(Error::new(ErrorKind::InvalidOperation, "the text would be too large"));
            }
            text.replace(from, to).into()
        }
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            let missing = width.min(1_000).saturating_sub(text.chars().count());
            let (sign, digits) = if text.starts_with(['-', '+']) { text.split_at(1) } else { ("", text) };
            format!("{sign}{}{digits}", "0".repeat(missing)).into()
        }
        "join" => {
            let (items,): (Value,) = from_args(args)?;
            let items: Vec<String> = items.try_iter()?.map(|item| item.to_string()).collect();
            items.join(text).into()
        }
        _ => return Err(Error::new(ErrorKind::UnknownMethod, format!("a text has no method `{method}`"))),
    })
}

fn split(text: &str, separator: Option<&str>, max: Option<usize>, from_end: bool) -> Result<Value, Error> {
    if separator == Some("") {
        return Err(Error::new(ErrorKind::InvalidOperation, "an empty separator splits nothing"));
    }
    let parts = max.map_or(usize::MAX, |max| max.saturating_add(1));
    let mut found: Vec<&str> = match (separator, from_end) {
        (Some(separator), false) => text.splitn(parts, separator).collect(),
        (Some(separator), true) => text.rsplitn(parts, separator).collect(),
        (None, _) => text.split_whitespace().collect(),
    };
    if from_end && separator.is_some() {
        found.reverse();
    }
    Ok(found.into_iter().map(Value::from).collect::<Vec<_>>().into())
}

fn map(value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let item = |key: &Value| value.get_item(key).ok().filter(|found| !found.is_undefined());
    Ok(match method {
        "get" => {
            let (key, default): (Value, Option<Value>) = from_args(args)?;
            item(&key).unwrap_or_else(|| default.unwrap_or_else(|| Value::from(())))
        }
        "keys" => value.try_iter()?.collect::<Vec<_>>().into(),
        "values" => value.try_iter()?.filter_map(|key| item(&key)).collect::<Vec<_>>().into(),
        "items" => {
            let pairs = value.try_iter()?.filter_map(|key| Some(Value::from(vec![key.clone(), item(&key)?])));
            pairs.collect::<Vec<_>>().into()
        }
        _ => return Err(Error::new(ErrorKind::UnknownMethod, format!("a map has no method `{method}`"))),
    })
}

fn list(value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (wanted,): (Value,) = from_args(args)?;
    Ok(match method {
        "count" => value.try_iter()?.filter(|item| *item == wanted).count().into(),
        "index" => {
            let at = value.try_iter()?.position(|item| item == wanted);
            at.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "the list has no such item"))?.into()
        }
        _ => return Err(Error::new(ErrorKind::UnknownMethod, format!("a list has no method `{method}`"))),
    })
}
