//! What the answers of API servers mean.

use super::*;

/// What becomes of a creation that was answered so.
fn meaning(code: u16, message: &str) -> String {
    let status = serde_json::from_value(json!({"status": "Failure", "message": message, "code": code})).unwrap();
    match refused(Failed::Status(Box::new(status))) {
        Made::Later(words) => format!("later: {words}"),
        Made::Denied(words) => format!("denied: {words}"),
        Made::Invalid(words) => format!("invalid: {words}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_server_that_is_still_starting_is_asked_again() {
    let starting = r#"pods "gf-1" is forbidden: not yet ready to handle request"#;
    assert_eq!(meaning(403, starting), format!("later: {starting} (403)"));
    assert!(meaning(429, "too many requests").starts_with("later"));
    assert!(meaning(500, "etcdserver: request timed out").starts_with("later"));
}

#[test]
fn what_people_can_mend_without_touching_the_dag_waits_for_them() {
    let rights = r#"pods is forbidden: User "u" cannot create resource "pods" in API group "" in the namespace "n""#;
    assert!(meaning(403, rights).starts_with("later"));
    let quota = r#"pods "gf-1" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"#;
    assert!(meaning(403, quota).starts_with("later"));
}

#[test]
fn a_policy_may_change_its_mind_and_a_manifest_can_not() {
    let limits = r#"pods "gf-1" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi"#;
    assert!(meaning(403, limits).starts_with("denied"));
    assert!(meaning(400, r#"admission webhook "w" denied the request: no"#).starts_with("invalid"));
    assert!(meaning(500, r#"admission webhook "w" denied the request: no"#).starts_with("denied"));
    assert!(meaning(403, r#"pods "gf-1" is forbidden: violates PodSecurity "restricted""#).starts_with("invalid"));
    assert!(meaning(422, "spec.containers: required").starts_with("invalid"));
}
