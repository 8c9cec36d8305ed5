//! The merge of manifests beside the one that Kubernetes itself has: `kubectl patch --local --type=strategic`.
//!
//! `kubectl` is a must in CI; without it the recorded cases remain, which came from it.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use gridflow_executor::kubernetes::manifest::{shape, strategic};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Map, Value, json};

const CASES: usize = 60;

#[test]
fn the_merge_is_that_of_kubectl() {
    let Some(kubectl) = kubectl() else { return };
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), seed);
    for no in 0..CASES {
        let base = pod(Role::Base).new_tree(&mut runner).unwrap().current();
        let patch = pod(Role::Patch).new_tree(&mut runner).unwrap().current();
        let expected = patched(&kubectl, &base, &patch);
        let ours = merged(&base, &patch);
        assert_eq!(plain(&ours), plain(&expected), "case {no}\nbase {base:#}\npatch {patch:#}");
    }
}

#[test]
fn the_recorded_cases_are_merged_as_kubectl_did() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("strategic_merge.json")).unwrap();
    assert!(10 <= cases.len());
    for case in cases {
        assert_eq!(plain(&merged(&case["base"], &case["patch"])), case["merged"], "{case:#}");
    }
}

/// Two variants of one pod, and what a patch may say besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Base,
    Patch,
}

fn pod(role: Role) -> impl Strategy<Value = Value> {
    let labels = map(&["app", "team"], text(), role);
    let selector = map(&["disk", "zone"], text(), role);
    let containers = keyed("name", &["task", "side", "more"], container(), role, 1);
    let volumes = keyed("name", &["v1", "v2"], volume(), role, 0);
    let tolerations =
        proptest::collection::vec(text().prop_map(|key| json!({ "key": key, "operator": "Exists" })), 0..3);
    let finalizers = proptest::collection::vec(text().prop_map(|name| json!(format!("x.io/{name}"))), 0..3);
    (labels, selector, containers, volumes, tolerations, finalizers).prop_map(
        move |(labels, selector, containers, volumes, tolerations, finalizers)| {
            let mut pod = json!({
                "metadata": { "labels": labels },
                "spec": { "nodeSelector": selector, "containers": containers },
            });
            for (list, values) in [("volumes", volumes), ("tolerations", tolerations)] {
                if !values.is_empty() || role == Role::Base {
                    pod["spec"][list] = values.into();
                }
            }
            let mut once: Vec<Value> = Vec::new();
            once.extend(finalizers.into_iter().fold(Vec::new(), |mut seen, one| {
                if !seen.contains(&one) {
                    seen.push(one);
                }
                seen
            }));
            if !once.is_empty() {
                pod["metadata"]["finalizers"] = once.into();
            }
            if role == Role::Base {
                pod["apiVersion"] = "v1".into();
                pod["kind"] = "Pod".into();
                pod["metadata"]["name"] = "p".into();
            }
            pod
        },
    )
}

/// Without directives: in a container that only the patch has, Kubernetes leaves them where they are.
fn container() -> impl Strategy<Value = Map<String, Value>> {
    let env = keyed("name", &["A", "B", "C"], text().prop_map(|value| fields([("value", value)])), Role::Base, 0);
    let ports = proptest::collection::vec(1..4_u16, 0..3).prop_map(|ports| {
        let mut ports: Vec<_> = ports;
        ports.sort_unstable();
        ports.dedup();
        ports.into_iter().map(|port| json!({ "containerPort": port, "protocol": "TCP" })).collect::<Vec<_>>()
    });
    let mounts = keyed("mountPath", &["/a", "/b"], text().prop_map(|name| fields([("name", name)])), Role::Base, 0);
    let limits = map(&["cpu", "memory"], (1..9_u8).prop_map(|n| json!(n.to_string())), Role::Base);
    let args = proptest::option::of(proptest::collection::vec(text(), 0..3));
    (env, ports, mounts, limits, args, proptest::option::of(text())).prop_map(
        |(env, ports, mounts, limits, args, image)| {
            let mut container = Map::new();
            for (list, values) in [("env", env), ("ports", ports), ("volumeMounts", mounts)] {
                if !values.is_empty() {
                    container.insert(list.into(), values.into());
                }
            }
            if limits.as_object().is_some_and(|limits| !limits.is_empty()) {
                container.insert("resources".into(), json!({ "limits": limits }));
            }
            if let Some(args) = args {
                container.insert("args".into(), args.into());
            }
            if let Some(image) = image {
                container.insert("image".into(), image);
            }
            container
        },
    )
}

fn volume() -> impl Strategy<Value = Map<String, Value>> {
    // Of one kind: where the kinds differ, layers are merged as `kubectl apply` would.
    (1..9_u8).prop_map(|n| fields([("emptyDir", json!({ "sizeLimit": format!("{n}Gi") }))]))
}

fn text() -> impl Strategy<Value = Value> {
    prop_oneof!["x", "y", "z"].prop_map(Value::from)
}

fn fields<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn map(keys: &'static [&'static str], value: impl Strategy<Value = Value>, role: Role) -> impl Strategy<Value = Value> {
    let value = (value, any::<u8>()).prop_map(move |(value, dice)| match (role, dice % 4) {
        (Role::Patch, 0) => Value::Null,
        (Role::Base | Role::Patch, _) => value,
    });
    (proptest::collection::vec(value, keys.len()), any::<u8>(), proptest::sample::subsequence(keys, 0..=keys.len()))
        .prop_map(move |(values, dice, keys)| {
            let mut map: Map<String, Value> = keys.into_iter().map(ToString::to_string).zip(values).collect();
            // Something is there in every base, so that the directive has what it replaces.
            if role == Role::Base {
                map.insert("zz".into(), "1".into());
            } else if dice % 5 == 0 {
                map.retain(|_, value| !value.is_null());
                map.insert("$patch".into(), "replace".into());
            }
            Value::Object(map)
        })
}

/// Elements with different keys; in a patch some of them delete, and sometimes the whole list is replaced.
fn keyed(
    key: &'static str,
    names: &'static [&'static str],
    element: impl Strategy<Value = Map<String, Value>>,
    role: Role,
    least: usize,
) -> impl Strategy<Value = Vec<Value>> {
    let names = proptest::sample::subsequence(names, least..=names.len()).prop_shuffle();
    (names, proptest::collection::vec((element, any::<u8>()), 3), any::<u8>()).prop_map(
        move |(names, elements, dice)| {
            let mut list = Vec::new();
            for (name, (mut element, dice)) in names.into_iter().zip(elements) {
                element.insert(key.to_owned(), name.into());
                if role == Role::Patch && dice % 5 == 0 && name != "task" {
                    element = fields([("$patch", "delete".into())]);
                    element.insert(key.to_owned(), name.into());
                }
                list.push(Value::Object(element));
            }
            if role == Role::Patch && dice % 7 == 0 && !list.is_empty() {
                list.push(json!({ "$patch": "replace" }));
            }
            list
        },
    )
}

fn merged(base: &Value, patch: &Value) -> Value {
    let mut base = base.clone();
    let (Value::Object(map), Value::Object(patch)) = (&mut base, patch) else { panic!("no maps") };
    strategic::merge(map, patch, &shape::POD).unwrap();
    base
}

/// Without what a typed round trip adds and drops: empty values.
fn plain(value: &Value) -> Value {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    match value {
        Value::Object(map) => {
            let fields = map.iter().map(|(name, value)| (name.clone(), plain(value)));
            Value::Object(fields.filter(|(_, value)| !is_empty(value)).collect())
        }
        Value::Array(list) => list.iter().map(plain).collect(),
        other => other.clone(),
    }
}

/// A program that works, or a visible skip where it may be absent.
fn kubectl() -> Option<String> {
    let program = std::env::var("GRIDFLOW_KUBECTL").unwrap_or_else(|_| "kubectl".into());
    let works = Command::new(&program).args(["version", "--client"]).output().is_ok_and(|it| it.status.success());
    if !works {
        assert!(std::env::var_os("CI").is_none(), "`{program}` does not work");
        eprintln!("skipped: no `kubectl`; GRIDFLOW_KUBECTL names one");
        return None;
    }
    Some(program)
}

fn patched(kubectl: &str, base: &Value, patch: &Value) -> Value {
    let mut child = Command::new(kubectl)
        .args(["patch", "--local", "-f", "-", "--type=strategic", "-o", "json", "-p"])
        .arg(patch.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(base.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{base:#}\n{patch:#}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
