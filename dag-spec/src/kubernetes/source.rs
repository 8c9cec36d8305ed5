//! `secrets:` and `config_maps:`: what a container takes out of them, in a line each.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::{
    code::Code,
    dag::check_env_name,
    read::{Cx, Definitions, Read, Shape, Spanned, spec},
    template::{RenderError, Renderer, Template},
    yaml::{Core, Node},
};

spec! {
    /// A Secret or ConfigMap of the namespace, and where the container finds what it holds.
    pub struct SourceKeys "kubernetes.source" {
        /// The name of the Secret or ConfigMap.
        pub name: Spanned<Template>,
        /// `true`: each of its keys is an environment variable. A map: a variable for each key named,
        /// `{AWS_SECRET_ACCESS_KEY: secret-key}`.
        pub env: Option<Exported>,
        /// What the names of the variables begin with, for `env: true`.
        pub prefix: Option<Template>,
        /// The folder that holds a file for each key.
        pub mount: Option<Template>,
        /// For `mount`: which keys, each with the path of its file: `{tls.crt: cert.pem}`. All of them unless given.
        pub items: Option<IndexMap<String, Template>>,
        /// Whether the pod starts without it.
        pub optional: Option<bool>,
    }
}

/// The variables made of a source.
#[derive(Debug, Clone)]
pub enum Exported {
    All,
    Named(IndexMap<String, Template>),
}

/// A Secret or ConfigMap, and what is done with it.
#[derive(Debug, Clone)]
pub struct SourceUse(SourceKeys);

/// What a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    Secret,
    ConfigMap,
}

impl Read for Exported {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if let Some(map) = node.map() {
            map.entries.iter().for_each(|entry| check_env_name(&entry.key, entry.key_span, cx));
            return IndexMap::read(node, cx).map(Self::Named);
        }
        if node.scalar().map(|scalar| scalar.core()) == Some(Core::Bool(true)) {
            return Some(Self::All);
        }
        cx.wrong_type(node, "`true`, or a map of variables to keys");
        None
    }

    fn shape(_: &mut Definitions) -> Shape {
        let named = json!({ "type": "object", "additionalProperties": { "type": "string" } });
        Shape::new("`true` or map of variable to key", json!({ "anyOf": [{ "const": true }, named] }))
    }
}

impl Read for SourceUse {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if node.map().is_none() {
            let name = Spanned::<Template>::read(node, cx)?;
            let env = Some(Exported::All);
            return Some(Self(SourceKeys { name, env, prefix: None, mount: None, items: None, optional: None }));
        }
        let keys = SourceKeys::read(node, cx)?;
        if keys.env.is_none() && keys.mount.is_none() {
            cx.report(Code::MissingKey, cx.head(node), "nothing is done with it").help =
                Some("add `env: true`, `env: {VARIABLE: key}` or `mount: /folder`".into());
        }
        if keys.items.is_some() && keys.mount.is_none() {
            cx.report(Code::MissingKey, cx.head(node), "`items` are files of `mount`, which is missing");
        }
        Some(Self(keys))
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        Shape::new("name", json!({ "type": "string" })).or(SourceKeys::shape(definitions))
    }
}

/// What sources add to a pod.
#[derive(Debug, Default)]
pub struct Added {
    pub env: Vec<Value>,
    pub env_from: Vec<Value>,
    pub volumes: Vec<Value>,
    pub volume_mounts: Vec<Value>,
}

impl SourceUse {
    pub fn add(&self, kind: SourceKind, renderer: &Renderer, added: &mut Added) -> Result<(), RenderError> {
        let SourceKeys { name, env, prefix, mount, items, optional } = &self.0;
        let name = renderer.text(&name.value)?;
        let (reference, key_reference) = match kind {
            SourceKind::Secret => ("secretRef", "secretKeyRef"),
            SourceKind::ConfigMap => ("configMapRef", "configMapKeyRef"),
        };
        match env {
            Some(Exported::All) => {
                let mut from = json!({ reference: with_optional(json!({ "name": name }), *optional) });
                if let Some(prefix) = prefix {
                    from["prefix"] = renderer.text(prefix)?.into();
                }
                added.env_from.push(from);
            }
            Some(Exported::Named(variables)) => {
                for (variable, key) in variables {
                    let key = with_optional(json!({ "name": name, "key": renderer.text(key)? }), *optional);
                    added.env.push(json!({ "name": variable, "valueFrom": { key_reference: key } }));
                }
            }
            None => {}
        }
        if let Some(mount) = mount {
            let volume = volume_name(kind, &name);
            let mut source = with_optional(
                match kind {
                    SourceKind::Secret => json!({ "secretName": name }),
                    SourceKind::ConfigMap => json!({ "name": name }),
                },
                *optional,
            );
            if let Some(items) = items {
                let items = items.iter().map(|(key, path)| Ok(json!({ "key": key, "path": renderer.text(path)? })));
                source["items"] = Value::Array(items.collect::<Result<_, RenderError>>()?);
            }
            let field = match kind {
                SourceKind::Secret => "secret",
                SourceKind::ConfigMap => "configMap",
            };
            added.volumes.push(json!({ "name": volume, field: source }));
            added.volume_mounts.push(json!({ "name": volume, "mountPath": renderer.text(mount)?, "readOnly": true }));
        }
        Ok(())
    }
}

fn with_optional(mut reference: Value, optional: Option<bool>) -> Value {
    if let (Some(optional), Value::Object(map)) = (optional, &mut reference) {
        let _: &mut Map<_, _> = map;
        map.insert("optional".into(), optional.into());
    }
    reference
}

/// A volume's name has no dots and at most 63 characters; a source's name may have more of both.
fn volume_name(kind: SourceKind, name: &str) -> String {
    let prefix = match kind {
        SourceKind::Secret => "secret-",
        SourceKind::ConfigMap => "config-map-",
    };
    let plain = format!("{prefix}{}", name.replace('.', "-"));
    if plain.len() <= 63 && !name.contains('.') {
        return plain;
    }
    let hash = blake3::hash(name.as_bytes()).to_hex();
    let short: String = plain.chars().take(63 - 9).collect();
    format!("{}-{}", short.trim_end_matches('-'), &hash[..8])
}
