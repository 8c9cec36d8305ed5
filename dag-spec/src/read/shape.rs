//! How a type is described: a phrase for people and a JSON Schema.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::spec::{Field, Spec};

/// What may be written for a type.
#[derive(Debug, Clone)]
pub struct Shape {
    /// "duration", "text or list of texts".
    pub phrase: String,
    pub schema: Value,
}

impl Shape {
    pub fn new(phrase: impl Into<String>, schema: Value) -> Self {
        Self { phrase: phrase.into(), schema }
    }

    /// Either of two.
    pub fn or(self, other: Self) -> Self {
        let mut any = Vec::new();
        for schema in [self.schema, other.schema] {
            match schema.get("anyOf").and_then(Value::as_array) {
                Some(inner) => any.extend(inner.iter().cloned()),
                None => any.push(schema),
            }
        }
        Self { phrase: format!("{} or {}", self.phrase, other.phrase), schema: json!({ "anyOf": any }) }
    }
}

/// Types that are described once and referred to by name.
#[derive(Debug, Default)]
pub struct Definitions {
    pub schemas: BTreeMap<String, Value>,
    /// For the reference: each type's doc and fields.
    pub sections: BTreeMap<String, (String, Vec<Field>)>,
}

impl Definitions {
    /// The schema of a spec type, which is added on its first use.
    pub fn refer<T: Spec>(&mut self) -> Value {
        if !self.schemas.contains_key(T::NAME) {
            self.schemas.insert(T::NAME.into(), Value::Null);
            let fields = T::fields(self);
            self.schemas.insert(T::NAME.into(), object_schema(T::doc(), &fields));
            self.sections.insert(T::NAME.into(), (T::doc().to_owned(), fields));
        }
        json!({ "$ref": format!("#/$defs/{}", T::NAME) })
    }
}

/// The JSON Schema of a map with these keys and no others.
pub fn object_schema(doc: &str, fields: &[Field]) -> Value {
    let properties: serde_json::Map<_, _> =
        fields.iter().map(|field| (field.name.to_owned(), field.schema())).collect();
    let required: Vec<_> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    let mut schema =
        json!({ "type": "object", "description": doc, "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}
