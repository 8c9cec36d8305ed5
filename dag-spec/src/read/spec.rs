//! Maps with a fixed set of keys, declared once: `spec!` makes the struct, its reading, its schema
//! and its reference from one list of documented fields.

use serde_json::Value;

use super::{Cx, Definitions, Read, Shape};
use crate::{
    code::Code,
    source::{Source, Span},
    suggest,
    yaml::{self, Entry, Map, Node},
};

/// One key of a [`Spec`].
#[derive(Debug, Clone)]
pub struct Field {
    pub name: &'static str,
    pub doc: &'static str,
    pub shape: Shape,
    pub required: bool,
    /// As it would be written in YAML.
    pub default: Option<&'static str>,
}

impl Field {
    /// The JSON Schema of the value, with doc and default.
    pub fn schema(&self) -> Value {
        let mut schema = self.shape.schema.clone();
        if let Value::Object(map) = &mut schema {
            map.insert("description".into(), self.doc.into());
            if let Some(default) = self.default {
                map.insert("default".into(), literal(default).map_or(Value::Null, |node| yaml::to_json(&node)));
            }
        }
        schema
    }
}

/// A map with a fixed set of keys.
pub trait Spec: Sized {
    const NAME: &'static str;

    fn doc() -> &'static str;

    fn fields(definitions: &mut Definitions) -> Vec<Field>;

    /// Reads the known keys. Unknown ones stay in `fields` for [`Fields::finish`].
    fn read_fields(fields: &mut Fields<'_>, cx: &mut Cx<'_>) -> Option<Self>;
}

/// The entries of a map while it is read.
pub struct Fields<'a> {
    span: Span,
    map: &'a Map,
    known: Vec<&'static str>,
    missing: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub fn new(node: &Node, map: &'a Map, cx: &Cx<'_>) -> Self {
        Self { span: cx.head(node), map, known: Vec::new(), missing: Vec::new() }
    }

    pub fn of(span: Span, map: &'a Map) -> Self {
        Self { span, map, known: Vec::new(), missing: Vec::new() }
    }

    /// The entry of a key, which is known from now on.
    pub fn entry(&mut self, name: &'static str) -> Option<&'a Entry> {
        self.known.push(name);
        self.map.get(name)
    }

    /// Reads a key. `None` says that it is missing or wrong, and a diagnostic says so.
    pub fn read<T: Read>(&mut self, name: &'static str, default: Option<&'static str>, cx: &mut Cx<'_>) -> Option<T> {
        let absent = || T::absent().or_else(|| default.and_then(read_literal));
        match self.entry(name) {
            // A broken value was reported; with its default in its place the rest is checked, too.
            Some(entry) => T::read(&entry.value, cx).or_else(absent),
            None => absent().or_else(|| {
                self.missing.push(name);
                None
            }),
        }
    }

    /// The keys that nobody asked for so far.
    pub fn unknown_keys(&self) -> impl Iterator<Item = &'a str> {
        self.map.entries.iter().map(|entry| entry.key.as_str()).filter(|key| !self.known.contains(key))
    }

    /// Reports every key that nobody asked for, and every key that is missing. One that is only
    /// misspelt is reported once.
    pub fn finish(&self, what: &str, cx: &mut Cx<'_>) {
        for name in &self.missing {
            let misspelt =
                self.unknown_keys().any(|key| suggest::nearest(key, self.known.iter().copied()) == Some(name));
            if !misspelt {
                cx.report(Code::MissingKey, self.span, format!("the key `{name}` is missing in {what}"));
            }
        }
        for entry in self.map.entries.iter().filter(|entry| !self.known.contains(&entry.key.as_str())) {
            unknown_key(entry, what, &self.known, cx);
        }
    }
}

pub fn unknown_key(entry: &Entry, what: &str, known: &[&str], cx: &mut Cx<'_>) {
    let help = crate::kubernetes::hint(&entry.key, what, known)
        .or_else(|| suggest::did_you_mean(&entry.key, known.iter().copied()))
        .or_else(|| elsewhere(&entry.key).filter(|_| what == "a DAG"))
        .or_else(|| {
            (entry.key == "<<").then(|| "merge keys are not part of YAML 1.2; put common keys into `defaults:`".into())
        })
        .unwrap_or_else(|| match known.len() {
            0..=16 => format!("known keys: {}", suggest::list(known.iter().copied())),
            _ => "see the YAML reference for the keys that exist".into(),
        });
    cx.report(Code::UnknownKey, entry.key_span, format!("unknown key `{}` in {what}", entry.key)).help = Some(help);
}

/// A key of tasks at the top of the file.
fn elsewhere(key: &str) -> Option<String> {
    let of_tasks = crate::dag::TaskDefaults::fields(&mut Definitions::default());
    of_tasks
        .iter()
        .any(|field| field.name == key)
        .then(|| format!("`{key}` is a key of tasks; put it into `defaults:` to set it for all of them"))
}

/// Reads a node as a map of a spec, and nothing else in it.
pub fn read_map<T: Spec>(node: &Node, what: &str, cx: &mut Cx<'_>) -> Option<T> {
    let Some(map) = node.map() else {
        let mut definitions = Definitions::default();
        let required: Vec<_> =
            T::fields(&mut definitions).into_iter().filter(|field| field.required).map(|field| field.name).collect();
        cx.wrong_type(node, "a map");
        if let (Some(last), false) = (cx.diagnostics.last_mut(), node.is_poisoned() || required.is_empty()) {
            last.help = Some(format!("write {what} with its keys {}", suggest::list(required)));
        }
        return None;
    };
    let mut fields = Fields::new(node, map, cx);
    let value = T::read_fields(&mut fields, cx);
    fields.finish(what, cx);
    value
}

fn literal(text: &str) -> Option<Node> {
    yaml::parse(&Source::new("default", text), &mut Vec::new())
}

/// The value of a default written in a declaration; tests read every one of them.
fn read_literal<T: Read>(text: &str) -> Option<T> {
    let source = Source::new("default", text);
    let node = yaml::parse(&source, &mut Vec::new())?;
    T::read(&node, &mut Cx::new(&source, &crate::files::NoFiles))
}

/// Declares a map with a fixed set of keys:
///
/// ```ignore
/// spec! {
///     /// Copies a file.
///     pub struct CopyFile "copy_file" {
///         /// The file to copy.
///         pub from: Template,
///         /// Whether an existing file is replaced.
///         pub overwrite: Flag = "false",
///     }
/// }
/// ```
macro_rules! spec {
    (
        $(#[doc = $doc:literal])*
        pub struct $type:ident $name:literal {
            $($(#[doc = $field_doc:literal])* pub $field:ident $(as $key:literal)?: $field_type:ty $(= $default:literal)?,)*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone)]
        pub struct $type {
            $($(#[doc = $field_doc])* pub $field: $field_type,)*
        }

        impl $crate::read::Spec for $type {
            const NAME: &'static str = $name;

            fn doc() -> &'static str {
                concat!($($doc, "\n"),*).trim()
            }

            fn fields(definitions: &mut $crate::read::Definitions) -> Vec<$crate::read::Field> {
                let _ = &definitions;
                vec![$({
                    let default: Option<&'static str> = None $(.or(Some($default)))?;
                    $crate::read::Field {
                        name: None $(.or(Some($key)))?.unwrap_or(stringify!($field).trim_start_matches("r#")),
                        doc: concat!($($field_doc, "\n"),*).trim(),
                        shape: <$field_type as $crate::read::Read>::shape(definitions),
                        required: default.is_none() && <$field_type as $crate::read::Read>::absent().is_none(),
                        default,
                    }
                }),*]
            }

            fn read_fields(fields: &mut $crate::read::Fields<'_>, cx: &mut $crate::read::Cx<'_>) -> Option<Self> {
                $(let $field = fields.read::<$field_type>(
                    None $(.or(Some($key)))?.unwrap_or(stringify!($field).trim_start_matches("r#")),
                    None $(.or(Some($default)))?,
                    cx,
                );)*
                let _ = (&fields, &cx);
                Some(Self { $($field: $field?,)* })
            }
        }

        impl $crate::read::Read for $type {
            fn read(node: &$crate::yaml::Node, cx: &mut $crate::read::Cx<'_>) -> Option<Self> {
                $crate::read::read_map::<Self>(node, concat!("`", $name, "`"), cx)
            }

            fn shape(definitions: &mut $crate::read::Definitions) -> $crate::read::Shape {
                let schema = definitions.refer::<Self>();
                $crate::read::Shape::new(concat!("map of [`", $name, "`](#", $name, ")"), schema)
            }
        }
    };
}
pub(crate) use spec;
