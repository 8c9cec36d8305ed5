//! Kubernetes' strategic merge: one manifest laid over another.
//!
//! Maps are merged, `null` removes, lists that have a key are merged by it and others are replaced. `$patch: delete`,
//! `$patch: replace`, `$retainKeys` and `$deleteFromPrimitiveList/…` mean what they mean to `kubectl patch`, with two
//! kindnesses for layers: `$patch: replace` on something that is not there yet sets it (Kubernetes drops it), and a
//! volume or variable of another kind takes the place of the weaker one, as `kubectl apply` has it.

use serde_json::{Map, Value};

use super::shape::{Field, PLAIN, Shape};

const PATCH: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

/// What is wrong with a layer, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at `{path}`")]
pub struct Error {
    pub path: String,
    pub problem: String,
}

/// Lays `patch` over `base`.
pub fn merge(base: &mut Map<String, Value>, patch: &Map<String, Value>, shape: &Shape) -> Result<(), Error> {
    merge_map(base, patch, shape, Kinds::Mixed).map_err(|error| error.into_error())
}

/// Whether the keys of an element say of which kind it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kinds {
    Mixed,
    OneOf,
}

fn merge_map(
    base: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    shape: &Shape,
    kinds: Kinds,
) -> Result<(), Located> {
    match directive(patch)? {
        Some(Directive::Replace) => {
            *base = fresh(patch, shape)?;
            return Ok(());
        }
        Some(Directive::Delete) => {
            base.clear();
            return Ok(());
        }
        None => {}
    }
    retain(base, patch, kinds)?;
    merge_fields(base, patch, shape)
}

/// What a layer sets where there is nothing yet.
fn fresh(patch: &Map<String, Value>, shape: &Shape) -> Result<Map<String, Value>, Located> {
    let mut map = Map::new();
    retain(&mut map, patch, Kinds::Mixed)?;
    merge_fields(&mut map, patch, shape)?;
    Ok(map)
}

fn merge_fields(base: &mut Map<String, Value>, patch: &Map<String, Value>, shape: &Shape) -> Result<(), Located> {
    for (name, value) in patch {
        if name == RETAIN || name == PATCH {
            continue;
        }
        if let Some(list) = name.strip_prefix(DELETE_FROM) {
            delete_scalars(base, list, value).map_err(|error| error.below(name))?;
            continue;
        }
        if name.starts_with('$') {
            return Err(Located::new(format!("the directive `{name}` is not understood")));
        }
        merge_field(base, name, value, shape.field(name)).map_err(|error| error.below(name))?;
    }
    Ok(())
}

fn merge_field(base: &mut Map<String, Value>, name: &str, value: &Value, field: Option<Field>) -> Result<(), Located> {
    let shape = if let Some(Field::Object(shape)) = field { shape } else { &PLAIN };
    match (value, base.get_mut(name)) {
        (Value::Null, _) => {
            base.remove(name);
        }
        (Value::Object(patch), Some(Value::Object(old))) => merge_map(old, patch, shape, Kinds::Mixed)?,
        (Value::Array(patch), Some(Value::Array(old))) => merge_list(old, patch, field)?,
        (Value::Object(patch), _) => {
            let gone = directive(patch)? == Some(Directive::Delete);
            if gone {
                base.remove(name);
            } else {
                base.insert(name.to_owned(), Value::Object(fresh(patch, shape)?));
            }
        }
        (Value::Array(patch), _) => {
            let mut list = Vec::new();
            merge_list(&mut list, patch, field)?;
            base.insert(name.to_owned(), Value::Array(list));
        }
        (Value::Bool(_) | Value::Number(_) | Value::String(_), _) => {
            base.insert(name.to_owned(), value.clone());
        }
    }
    Ok(())
}

fn merge_list(base: &mut Vec<Value>, patch: &[Value], field: Option<Field>) -> Result<(), Located> {
    match field {
        Some(Field::Keyed(key, shape)) => merge_keyed(base, patch, key, shape, Kinds::Mixed),
        Some(Field::Choice(key, shape)) => merge_keyed(base, patch, key, shape, Kinds::OneOf),
        Some(Field::Set) => {
            let mut merged = base.clone();
            merged.extend(patch.iter().cloned());
            let mut seen: Vec<Value> = Vec::new();
            merged.retain(|value| {
                let is_new = !seen.contains(value);
                seen.extend(is_new.then(|| value.clone()));
                is_new
            });
            *base = in_order(merged, patch, base, |value| Some(value));
            Ok(())
        }
        Some(Field::Object(_)) | None => {
            *base = patch.iter().filter_map(cleaned).collect();
            Ok(())
        }
    }
}

fn merge_keyed(base: &mut Vec<Value>, patch: &[Value], key: &str, shape: &Shape, kinds: Kinds) -> Result<(), Located> {
    let mut elements = Vec::new();
    let mut replaces = false;
    for (no, value) in patch.iter().enumerate() {
        let at = |error: Located| error.below(&format!("[{no}]"));
        let Value::Object(element) = value else {
            return Err(at(Located::new("a map is needed".to_owned())));
        };
        let directive = directive(element).map_err(at)?;
        if directive == Some(Directive::Replace) {
            replaces = true;
            continue;
        }
        if element.get(key).is_none_or(Value::is_null) {
            return Err(at(Located::new(format!(
                "the key `{key}` is missing: the elements of this list are merged by it"
            ))));
        }
        match directive {
            Some(Directive::Delete) => base.retain(|old| old.get(key) != element.get(key)),
            Some(Directive::Replace) | None => elements.push(element),
        }
    }
    let order = base.clone();
    if replaces {
        base.clear();
    }
    for element in &elements {
        let at = |error: Located| error.below(&format!("[{}]", element[key].as_str().unwrap_or("…")));
        let old = base.iter_mut().find(|old| old.get(key) == element.get(key));
        match old.and_then(Value::as_object_mut) {
            Some(old) => merge_map(old, element, shape, kinds).map_err(at)?,
            None => base.push(Value::Object(fresh(element, shape).map_err(at)?)),
        }
    }
    if !replaces {
        let named: Vec<Value> = elements.into_iter().cloned().map(Value::Object).collect();
        *base = in_order(std::mem::take(base), &named, &order, |value| value.get(key));
    }
    Ok(())
}

/// The order that `kubectl patch` gives: what the patch names as the patch has it, what was there before it as it was,
/// and what is new in front of it.
fn in_order<'a>(
    merged: Vec<Value>,
    patch: &'a [Value],
    before: &'a [Value],
    key: impl for<'b> Fn(&'b Value) -> Option<&'b Value>,
) -> Vec<Value> {
    let place = |list: &[Value], value: &Value| list.iter().position(|other| key(other) == key(value));
    let (mut named, kept): (Vec<_>, Vec<_>) = merged.into_iter().partition(|value| place(patch, value).is_some());
    named.sort_by_key(|value| place(patch, value));
    let mut all = Vec::with_capacity(named.len() + kept.len());
    let mut named = named.into_iter().peekable();
    for value in kept {
        let own = place(before, &value);
        while let Some(next) = named.next_if(|next| place(before, next).is_none_or(|next| Some(next) < own)) {
            all.push(next);
        }
        all.push(value);
    }
    all.extend(named);
    all
}

/// Before a merge: what the patch does not keep goes.
fn retain(base: &mut Map<String, Value>, patch: &Map<String, Value>, kinds: Kinds) -> Result<(), Located> {
    match (patch.get(RETAIN), kinds) {
        (Some(Value::Array(keys)), _) => {
            let is_kept = |name: &String| keys.iter().any(|key| key.as_str() == Some(name));
            let stray = patch.iter().find(|(name, value)| !name.starts_with('$') && !value.is_null() && !is_kept(name));
            if let Some((name, _)) = stray {
                return Err(Located::new(format!("`{name}` is set and not in `{RETAIN}`")));
            }
            base.retain(|name, _| is_kept(name));
        }
        (Some(_), _) => return Err(Located::new(format!("`{RETAIN}` is a list of keys"))),
        (None, Kinds::OneOf) => base.retain(|name, _| patch.contains_key(name)),
        (None, Kinds::Mixed) => {}
    }
    Ok(())
}

fn delete_scalars(base: &mut Map<String, Value>, list: &str, gone: &Value) -> Result<(), Located> {
    let Value::Array(gone) = gone else {
        return Err(Located::new("a list is needed".to_owned()));
    };
    if let Some(Value::Array(old)) = base.get_mut(list) {
        old.retain(|value| !gone.contains(value));
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Directive {
    Replace,
    Delete,
}

fn directive(patch: &Map<String, Value>) -> Result<Option<Directive>, Located> {
    match patch.get(PATCH).map(Value::as_str) {
        None | Some(Some("merge")) => Ok(None),
        Some(Some("replace")) => Ok(Some(Directive::Replace)),
        Some(Some("delete")) => Ok(Some(Directive::Delete)),
        Some(_) => Err(Located::new("`$patch` is `replace`, `delete` or `merge`".to_owned())),
    }
}

/// The element of a list that is replaced as a whole: without its nulls.
fn cleaned(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(map) => {
            Some(map.iter().filter_map(|(name, value)| Some((name.clone(), cleaned(value)?))).collect())
        }
        Value::Array(list) => Some(list.iter().filter_map(cleaned).collect()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(value.clone()),
    }
}

/// A problem on its way up, collecting where it is.
#[derive(Debug)]
struct Located {
    problem: String,
    steps: Vec<String>,
}

impl Located {
    fn new(problem: String) -> Self {
        Self { problem, steps: Vec::new() }
    }

    fn below(mut self, step: &str) -> Self {
        self.steps.push(step.to_owned());
        self
    }

    fn into_error(self) -> Error {
        let mut path = String::new();
        for step in self.steps.iter().rev() {
            if !path.is_empty() && !step.starts_with('[') {
                path.push('.');
            }
            path.push_str(step);
        }
        Error { path, problem: self.problem }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{super::shape::POD, *};

    fn merged(base: &Value, patch: &Value) -> Value {
        let mut base = base.clone();
        let (Value::Object(map), Value::Object(patch)) = (&mut base, patch) else { panic!("no maps") };
        merge(map, patch, &POD).unwrap();
        base
    }

    /// A layer: containers with variables and ports, volumes of two kinds, a list without a key, maps with nulls.
    fn layer() -> impl Strategy<Value = Value> {
        let text = || prop_oneof![Just(Value::Null), "[xyz]".prop_map(Value::from), Just(json!({ "deep": [1] }))];
        let map = || proptest::collection::btree_map("[abc]", text(), 0..3).prop_map(|map| json!(map));
        let variable = prop_oneof![
            Just(json!({ "value": "v" })),
            Just(json!({ "valueFrom": { "x": 1 } })),
            Just(json!({ "$patch": "delete" })),
        ];
        let env = elements("name", variable);
        let container = (env, proptest::option::of(map()), any::<bool>()).prop_map(|(env, resources, is_gone)| {
            if is_gone { json!({ "$patch": "delete" }) } else { json!({ "env": env, "resources": resources }) }
        });
        let volume = prop_oneof![Just(json!({ "emptyDir": { "m": 1 } })), Just(json!({ "hostPath": { "path": "/" } }))];
        let (containers, volumes) = (elements("name", container), elements("name", volume));
        let tolerations = proptest::option::of(proptest::collection::vec(map(), 0..3));
        (map(), map(), containers, volumes, tolerations, any::<bool>()).prop_map(
            |(labels, mut selector, containers, volumes, tolerations, replaces)| {
                if replaces {
                    selector["$patch"] = "replace".into();
                }
                json!({
                    "metadata": { "labels": labels },
                    "spec": {
                        "nodeSelector": selector, "containers": containers, "volumes": volumes,
                        "tolerations": tolerations,
                    },
                })
            },
        )
    }

    /// Elements with different keys.
    fn elements(key: &'static str, element: impl Strategy<Value = Value>) -> impl Strategy<Value = Vec<Value>> {
        proptest::collection::btree_map("[pqr]", element, 0..4).prop_map(move |elements| {
            let named = |(name, mut element): (String, Value)| {
                element[key] = name.into();
                element
            };
            elements.into_iter().map(named).collect()
        })
    }

    fn has_directive(value: &Value) -> bool {
        match value {
            Value::Object(map) => map.iter().any(|(name, value)| name.starts_with('$') || has_directive(value)),
            Value::Array(list) => list.iter().any(has_directive),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }

    proptest! {
        #[test]
        fn a_layer_that_is_there_already_changes_nothing(base in layer(), patch in layer()) {
            let once = merged(&merged(&json!({}), &base), &patch);
            prop_assert_eq!(merged(&once, &patch), once);
        }

        #[test]
        fn an_empty_layer_changes_nothing(base in layer()) {
            let base = merged(&json!({}), &base);
            prop_assert_eq!(merged(&base, &json!({})), base.clone());
            prop_assert_eq!(merged(&base, &base), base);
        }

        #[test]
        fn no_directive_and_no_null_is_left(base in layer(), patch in layer()) {
            let merged = merged(&merged(&json!({}), &base), &patch);
            prop_assert!(!has_directive(&merged), "{}", merged);
            prop_assert!(!merged.to_string().contains("null"), "{}", merged);
        }
    }
}
