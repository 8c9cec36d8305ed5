//! `resources:`: the short form, and Kubernetes' own.

use serde_json::{Map, Value, json};

use super::quantity;
use crate::{
    code::Code,
    read::{Cx, Definitions, Read, Shape},
    template::{Kind, RenderError, Renderer, Template, Tree},
    yaml::{Entry, Node},
};

/// What a container asks for, and what it may use at most.
#[derive(Debug, Clone, Default)]
pub struct Resources {
    requests: Vec<(String, Template)>,
    limits: Vec<(String, Template)>,
    claims: Option<Tree>,
}

impl Read for Resources {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Some(map) = node.map() else {
            cx.wrong_type(node, "a map of resources");
            if let Some(last) = cx.diagnostics.last_mut().filter(|_| !node.is_poisoned()) {
                last.help = Some("write `resources: {cpu: 500m, memory: 1Gi}`".into());
            }
            return None;
        };
        let mut read = Self::default();
        let mut short = (Vec::new(), Vec::new());
        for entry in &map.entries {
            match entry.key.as_str() {
                "requests" => read.requests = amounts(&entry.value, cx),
                "limits" => read.limits = amounts(&entry.value, cx),
                "claims" => read.claims = Tree::read(&entry.value, cx),
                name => {
                    let Some(amount) = amount(name, entry, cx) else { continue };
                    // A CPU can be shared out again, memory cannot, and of anything else
                    // (`nvidia.com/gpu`) the two must be the same.
                    if name != "cpu" {
                        short.1.push((name.to_owned(), amount.clone()));
                    }
                    short.0.push((name.to_owned(), amount));
                }
            }
        }
        read.requests = [short.0, read.requests].concat();
        read.limits = [short.1, read.limits].concat();
        Some(read)
    }

    fn shape(_: &mut Definitions) -> Shape {
        let amounts = json!({ "type": "object", "additionalProperties": { "type": ["string", "number"] } });
        let schema = json!({
            "type": "object",
            "properties": { "requests": amounts, "limits": amounts, "claims": { "type": "array" } },
            "additionalProperties": { "type": ["string", "number"] },
        });
        Shape::new("`{cpu: …, memory: …}`, or `{requests: …, limits: …}`", schema)
    }
}

fn amounts(node: &Node, cx: &mut Cx<'_>) -> Vec<(String, Template)> {
    let Some(map) = node.map() else {
        cx.wrong_type(node, "a map of resources to quantities");
        return Vec::new();
    };
    map.entries.iter().filter_map(|entry| Some((entry.key.clone(), amount(&entry.key, entry, cx)?))).collect()
}

fn amount(name: &str, entry: &Entry, cx: &mut Cx<'_>) -> Option<Template> {
    if !name.contains(['/', '-']) && !["cpu", "memory", "storage"].contains(&name) {
        let known = ["cpu", "memory", "ephemeral-storage", "requests", "limits"];
        let help = crate::suggest::did_you_mean(name, known)
            .or_else(|| (name == "gpu").then(|| "write the resource of your cluster: `nvidia.com/gpu: 1`".into()));
        let help = help.unwrap_or_else(|| "a resource is `cpu`, `memory`, or named as `nvidia.com/gpu`".into());
        cx.report(Code::BadManifest, entry.key_span, format!("Kubernetes has no resource `{name}`")).help = Some(help);
        return None;
    }
    let template = Template::read(&entry.value, cx)?;
    let is_fine = template.kind != Kind::Literal || quantity::check(&template.text, name, &entry.value, cx);
    is_fine.then_some(template)
}

impl Resources {
    pub fn render(&self, renderer: &Renderer) -> Result<Value, RenderError> {
        let amounts = |amounts: &[(String, Template)]| {
            let rendered = amounts.iter().map(|(name, amount)| Ok((name.clone(), renderer.text(amount)?.into())));
            rendered.collect::<Result<Map<_, _>, RenderError>>()
        };
        let mut out = Map::new();
        for (name, found) in [("requests", &self.requests), ("limits", &self.limits)] {
            if !found.is_empty() {
                out.insert(name.into(), amounts(found)?.into());
            }
        }
        if let Some(claims) = &self.claims {
            out.insert("claims".into(), claims.render(renderer)?);
        }
        Ok(Value::Object(out))
    }
}
