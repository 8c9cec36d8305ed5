//! Layers, one over the other.

use serde_json::{Map, Value};

use super::{
    error::{Error, Layer},
    shape::Shape,
    strategic,
};

/// Lays a cluster's fragment and then the settings, weakest first, over `base`, a whole object.
pub fn apply_layers(base: &mut Value, cluster: Option<&Value>, settings: &[Value], shape: &Shape) -> Result<(), Error> {
    let cluster = cluster.map(|layer| (Layer::Cluster, layer));
    let settings = settings.iter().enumerate().map(|(no, layer)| (Layer::Settings(no), layer));
    for (layer, fragment) in cluster.into_iter().chain(settings) {
        let problem = |problem: String| Error::Layer { layer, problem };
        let (Value::Object(base), Value::Object(fragment)) = (&mut *base, fragment) else {
            return Err(problem("a map is needed".into()));
        };
        let fragment = authored(base, fragment).map_err(problem)?;
        strategic::merge(base, &fragment, shape).map_err(|source| Error::Merge { layer, source })?;
    }
    Ok(())
}

/// Applies an RFC 6902 patch.
pub fn apply_json_patch(object: &mut Value, patch: &Value) -> Result<(), Error> {
    let patch: json_patch::Patch = serde_json::from_value(patch.clone())
        .map_err(|error| Error::Layer { layer: Layer::JsonPatch, problem: error.to_string() })?;
    json_patch::patch(object, &patch).map_err(|source| Error::JsonPatch { source })
}

/// What servers write into a `metadata`, and files copied from one carry along.
const SERVERS_METADATA: [&str; 10] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generateName",
    "generation",
    "managedFields",
    "name",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// A fragment without what is not its author's to say: the object is named after its attempt.
fn authored(base: &Map<String, Value>, fragment: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    let mut fragment = fragment.clone();
    for name in ["apiVersion", "kind"] {
        let given = fragment.remove(name);
        if let Some(given) = given.filter(|given| base.get(name) != Some(given)) {
            let wanted = base.get(name).unwrap_or(&Value::Null);
            return Err(format!("`{name}` is {given}, and {wanted} is needed"));
        }
    }
    fragment.remove("status");
    if let Some(Value::Object(metadata)) = fragment.get_mut("metadata") {
        metadata.retain(|name, _| !SERVERS_METADATA.contains(&name.as_str()));
    }
    Ok(fragment)
}
