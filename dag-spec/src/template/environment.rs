//! The Jinja environment: strict, bounded, with Airflow's filters.

use std::{
    fmt, io,
    sync::{Arc, OnceLock},
};

use minijinja::{
    Environment, Error, ErrorKind, State, UndefinedBehavior,
    value::{Enumerator, Kwargs, Object, Rest, Value, ValueKind, from_args},
};
use serde_json::Value as Json;

use super::{
    Context, Kind, LocalTime, Scope, Template, Use, Variables,
    context::{ds, ds_nodash, ts_nodash, ts_nodash_with_tz},
    value::to_json,
};
use crate::limit::{RENDERED_BYTES_MAX, TEMPLATE_FUEL};

/// Why a template of a launch gave no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    #[error("`{name}` has no value here: {reason}")]
    Absent { name: String, reason: String },
    #[error("template `{template}`: {reason}")]
    Failed { template: String, reason: String },
    #[error("template `{template}` takes too long; it is stopped after {TEMPLATE_FUEL} steps")]
    TooLong { template: String },
    #[error("template `{template}` makes a text of more than {RENDERED_BYTES_MAX} bytes")]
    TooLarge { template: String },
    #[error("`{name}` is {found}, expected {expected}")]
    WrongType { name: &'static str, found: String, expected: &'static str },
    #[error("param `{name}`: {reason}")]
    Param { name: String, reason: String },
}

/// Renders the templates of one attempt.
pub struct Renderer {
    root: Value,
}

impl Renderer {
    pub(crate) fn new<'t>(
        context: &Context<'_>,
        scope: &Scope<'_>,
        uses: impl IntoIterator<Item = &'t Use>,
    ) -> Result<Self, RenderError> {
        let uses: Vec<_> = uses.into_iter().collect();
        let Variables(values) = Variables::gather(context, scope, &uses)?;
        Ok(Self { root: Value::from_pairs(values) })
    }

    /// For expressions over a few given values, such as a trigger's `filter:`.
    pub fn over(values: impl IntoIterator<Item = (&'static str, Json)>) -> Self {
        Self {
            root: Value::from_pairs(values.into_iter().map(|(name, value)| (name, super::value::from_json(&value)))),
        }
    }

    /// The template as text.
    pub fn text(&self, template: &Template) -> Result<String, RenderError> {
        if template.kind == Kind::Literal {
            return Ok(template.text.clone());
        }
        if template.kind == Kind::Expression {
            return self.expression_text(template);
        }
        let fail = |error: Error| failed(template, &error);
        let compiled = environment().template_from_str(&template.text).map_err(fail)?;
        let mut out = Bounded::default();
        let rendered = compiled.render_captured_to(self.root.clone(), &mut out);
        if out.is_full {
            return Err(RenderError::TooLarge { template: shown(template) });
        }
        rendered.map_err(fail)?;
        Ok(String::from_utf8_lossy(&out.bytes).into_owned())
    }

    /// The template as a value: one expression keeps its type, anything else is text.
    pub fn value(&self, template: &Template) -> Result<Json, RenderError> {
        if template.kind != Kind::Expression {
            return self.text(template).map(Json::from);
        }
        let value = self.evaluate(template)?;
        if value.is_undefined() {
            let reason = format!("`{}` is undefined", template.expression());
            return Err(RenderError::Failed { template: shown(template), reason });
        }
        let json = to_json(&value).ok_or_else(|| RenderError::Failed {
            template: shown(template),
            reason: "this value has no JSON".into(),
        })?;
        if json.as_str().is_some_and(|text| RENDERED_BYTES_MAX < text.len()) {
            return Err(RenderError::TooLarge { template: shown(template) });
        }
        Ok(json)
    }

    /// The text of a single expression, which has kept its type: what YAML and JSON call it.
    fn expression_text(&self, template: &Template) -> Result<String, RenderError> {
        let value = self.evaluate(template)?;
        if value.is_undefined() {
            let reason = format!("`{}` is undefined", template.expression());
            return Err(RenderError::Failed { template: shown(template), reason });
        }
        let text = match value.kind() {
            ValueKind::Bool | ValueKind::Seq | ValueKind::Map => to_json(&value).unwrap_or_default().to_string(),
            _ => value.to_string(),
        };
        if RENDERED_BYTES_MAX < text.len() {
            return Err(RenderError::TooLarge { template: shown(template) });
        }
        Ok(text)
    }

    fn evaluate(&self, template: &Template) -> Result<Value, RenderError> {
        let fail = |error: Error| failed(template, &error);
        environment()
            .compile_expression(template.expression())
            .and_then(|expr| expr.eval(self.root.clone()))
            .map_err(fail)
    }

    /// Whether an expression holds.
    pub fn is_true(&self, template: &Template) -> Result<bool, RenderError> {
        match template.kind {
            Kind::Expression => Ok(self.evaluate(template)?.is_true()),
            Kind::Literal | Kind::Text => {
                Ok(!matches!(self.text(template)?.trim(), "" | "false" | "False" | "0" | "none" | "None"))
            }
        }
    }
}

fn failed(template: &Template, error: &Error) -> RenderError {
    if error.kind() == ErrorKind::OutOfFuel {
        return RenderError::TooLong { template: shown(template) };
    }
    let reason = match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    };
    RenderError::Failed { template: shown(template), reason }
}

/// The template for a message, cut to a line.
fn shown(template: &Template) -> String {
    let line = template.text.trim().lines().next().unwrap_or("");
    if line.chars().count() <= 80 { line.to_owned() } else { line.chars().take(80).chain(['…']).collect() }
}

#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if RENDERED_BYTES_MAX < self.bytes.len() + bytes.len() {
            self.is_full = true;
            return Err(io::Error::other("too large"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        env.set_fuel(Some(TEMPLATE_FUEL));
        env.set_recursion_limit(100);
        env.set_unknown_method_callback(|_, value, method, args| super::method::call(value, method, args));
        env.remove_global("debug");
        env.remove_global("namespace");
        for name in ["batch", "slice", "format", "indent", "join", "replace"] {
            env.remove_filter(name);
        }
        super::filter::add(&mut env);
        env.add_filter("sh", |value: &Value| sh(value));
        env.add_filter("raw", |value: Value| value);
        env.add_filter("ds", |value: &Value| date(value).map(ds));
        env.add_filter("ds_nodash", |value: &Value| date(value).map(ds_nodash));
        env.add_filter("ts", |value: &Value| date(value).map(LocalTime::isoformat));
        env.add_filter("ts_nodash", |value: &Value| date(value).map(ts_nodash));
        env.add_filter("ts_nodash_with_tz", |value: &Value| date(value).map(ts_nodash_with_tz));
        env
    })
}

fn date(value: &Value) -> Result<LocalTime, Error> {
    let no_date = || Error::new(ErrorKind::InvalidOperation, format!("`{value}` is no date"));
    if let Some(time) = value.downcast_object_ref::<LocalTime>() {
        return Ok(*time);
    }
    let parsed = value.as_str().and_then(|text| chrono::DateTime::parse_from_rfc3339(&text.replacen(' ', "T", 1)).ok());
    parsed.map(|time| LocalTime::new(time.to_utc(), chrono_tz::UTC)).ok_or_else(no_date)
}

/// A value as exactly one word of a shell; a list as one word for each item.
fn sh(value: &Value) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(Error::new(ErrorKind::UndefinedError, "an undefined value has no words"));
    }
    if value.kind() == minijinja::value::ValueKind::Seq {
        return Ok(value.try_iter()?.map(|item| quote(&item.to_string())).collect::<Vec<_>>().join(" "));
    }
    Ok(quote(&value.to_string()))
}

fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\"'\"'"))
    }
}

/// Airflow's `ti`.
#[derive(Debug)]
struct TaskInstance {
    attributes: Vec<(&'static str, Value)>,
    outputs: Vec<(String, Value)>,
}

pub(super) fn task_instance(context: &Context<'_>, scope: &Scope<'_>, outputs: Vec<(String, Value)>) -> Value {
    let attributes = vec![
        ("id", context.ti.attempt_id.into()),
        ("task_id", scope.task_id.into()),
        ("dag_id", scope.dag_id.into()),
        ("run_id", context.run.run_id.into()),
        ("try_number", context.ti.try_number.into()),
        ("map_index", context.ti.map_index.into()),
        ("start_date", Value::from_object(LocalTime::new(context.ti.start_date, scope.zone))),
    ];
    Value::from_object(TaskInstance { attributes, outputs })
}

impl Object for TaskInstance {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        self.attributes.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.attributes.iter().map(|(name, _)| Value::from(*name)).collect())
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        if method != "xcom_pull" {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let (positional, kwargs): (Rest<Value>, Kwargs) = from_args(args)?;
        let task_ids = match positional.first() {
            Some(first) => first.clone(),
            None => kwargs.get::<Value>("task_ids")?,
        };
        if kwargs.get::<Option<String>>("key")?.is_some_and(|key| key != "return_value") {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "only the key `return_value` is available in this version",
            ));
        }
        kwargs.assert_all_used()?;
        let output = |id: &str| {
            self.outputs.iter().find(|(name, _)| name == id).map_or(Value::from(()), |(_, value)| value.clone())
        };
        match task_ids.as_str() {
            Some(id) => Ok(output(id)),
            None => Ok(task_ids.try_iter()?.map(|id| output(&id.to_string())).collect::<Vec<_>>().into()),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<task instance>")
    }
}
