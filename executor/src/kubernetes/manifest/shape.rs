//! Which lists of a manifest are merged element by element: Kubernetes' `patchStrategy` and `patchMergeKey`.
//!
//! Maps are always merged and other lists replaced, so only these need to be known, and fields newer than this table
//! are treated as Kubernetes treats fields without a strategy. Tolerations and `envFrom` have none: they are replaced.

/// What is known of an object's fields.
#[derive(Debug)]
pub struct Shape {
    fields: &'static [(&'static str, Field)],
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    Object(&'static Shape),
    /// Elements with the same key are one.
    Keyed(&'static str, &'static Shape),
    /// The same, and an element is one of several kinds: the stronger layer's keys say which.
    Choice(&'static str, &'static Shape),
    /// Scalars, each there once.
    Set,
}

impl Shape {
    pub(super) fn field(&self, name: &str) -> Option<Field> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, field)| *field)
    }
}

use Field::{Choice, Keyed, Object, Set};

/// An object with nothing special inside.
pub(super) static PLAIN: Shape = Shape { fields: &[] };

/// A Pod, or the template of one.
pub static POD: Shape = Shape { fields: &[("metadata", Object(&METADATA)), ("spec", Object(&POD_SPEC))] };

/// A SparkApplication. Kubernetes merges custom resources as plain JSON; its pods' parts are merged here as in a pod.
pub static SPARK_APPLICATION: Shape =
    Shape { fields: &[("metadata", Object(&METADATA)), ("spec", Object(&SPARK_SPEC))] };

static METADATA: Shape = Shape { fields: &[("finalizers", Set), ("ownerReferences", Keyed("uid", &PLAIN))] };

static POD_SPEC: Shape = Shape {
    fields: &[
        ("containers", Keyed("name", &CONTAINER)),
        ("initContainers", Keyed("name", &CONTAINER)),
        ("ephemeralContainers", Keyed("name", &CONTAINER)),
        ("volumes", Choice("name", &PLAIN)),
        ("resourceClaims", Choice("name", &PLAIN)),
        ("imagePullSecrets", Keyed("name", &PLAIN)),
        ("hostAliases", Keyed("ip", &PLAIN)),
        ("topologySpreadConstraints", Keyed("topologyKey", &PLAIN)),
        ("schedulingGates", Keyed("name", &PLAIN)),
    ],
};

pub(super) static CONTAINER: Shape = Shape {
    fields: &[
        ("ports", Keyed("containerPort", &PLAIN)),
        // A value or where it comes from.
        ("env", Choice("name", &PLAIN)),
        ("volumeMounts", Keyed("mountPath", &PLAIN)),
        ("volumeDevices", Keyed("devicePath", &PLAIN)),
    ],
};

static SPARK_SPEC: Shape = Shape {
    fields: &[("volumes", Choice("name", &PLAIN)), ("driver", Object(&SPARK_POD)), ("executor", Object(&SPARK_POD))],
};

static SPARK_POD: Shape = Shape {
    fields: &[
        ("template", Object(&POD)),
        ("env", Choice("name", &PLAIN)),
        ("volumeMounts", Keyed("mountPath", &PLAIN)),
        ("sidecars", Keyed("name", &CONTAINER)),
        ("initContainers", Keyed("name", &CONTAINER)),
    ],
};
