//! `trigger_dag`: a run of another DAG.

use gridflow_core::{DagId, RunId, TaskKind};
use serde_json::{Value, json};

use super::{Launch, OperatorSpec, Outputs, Rendered, TriggerDagRun};
use crate::{
    code::Code,
    dag::ParamMap,
    read::{Cx, Date, Definitions, Read, Shape, Spanned, spec},
    source::Span,
    template::{Kind, RenderError, Template},
    yaml::Node,
};

spec! {
    /// The run to create.
    pub struct TriggerDagKeys "trigger_dag" {
        /// The id of the DAG.
        pub dag: Spanned<Template>,
        /// The params of the run.
        pub params: Option<Spanned<ParamMap>>,
        /// The same as `params`, by Airflow's name.
        pub conf: Option<Spanned<ParamMap>>,
        /// The id of the run; made from the instant unless given.
        pub run_id: Option<Template>,
        /// The logical date of the run; none unless given.
        pub logical_date: Option<Template>,
        /// Whether the task waits for the end of the run, and fails if it fails.
        pub wait_for_completion: bool = "false",
    }
}

/// The run to create.
#[derive(Debug, Clone)]
pub struct TriggerDag {
    pub dag: Template,
    pub params: ParamMap,
    pub run_id: Option<Template>,
    pub logical_date: Option<Template>,
    pub wait_for_completion: bool,
}

const OUTPUTS: &[(&str, &str)] = &[
    ("dag_id", "the DAG of the run"),
    ("run_id", "the id of the run"),
    ("state", "how the run ended, with `wait_for_completion`"),
];

impl Read for TriggerDag {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if node.scalar().is_some() && !node.is_null() {
            let dag = Spanned::<Template>::read(node, cx)?;
            check_id(&dag, cx);
            return Some(Self {
                dag: dag.value,
                params: ParamMap::default(),
                run_id: None,
                logical_date: None,
                wait_for_completion: false,
            });
        }
        let keys = TriggerDagKeys::read(node, cx)?;
        check_id(&keys.dag, cx);
        if let (Some(_), Some(conf)) = (&keys.params, &keys.conf) {
            cx.report(Code::KeyConflict, conf.span, "`params` and `conf` are the same; write one of them");
        }
        let params = keys.params.or(keys.conf).map(|params| params.value).unwrap_or_default();
        Some(Self {
            dag: keys.dag.value,
            params,
            run_id: keys.run_id,
            logical_date: keys.logical_date,
            wait_for_completion: keys.wait_for_completion,
        })
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        Shape::new("id of a DAG", json!({ "type": "string" })).or(TriggerDagKeys::shape(definitions))
    }
}

fn check_id(dag: &Spanned<Template>, cx: &mut Cx<'_>) {
    if dag.value.kind == Kind::Literal
        && let Err(error) = DagId::parse(&dag.value.text)
    {
        cx.report(Code::InvalidId, dag.span, error.to_string());
    }
}

impl OperatorSpec for TriggerDag {
    fn summary() -> &'static str {
        "Creates a run of another DAG, and waits for it if asked to. Takes no slot."
    }

    fn kind(&self) -> TaskKind {
        TaskKind::TriggerDag { wait_for_completion: self.wait_for_completion }
    }

    fn outputs() -> Outputs {
        Outputs::Declared(OUTPUTS)
    }

    fn render(&self, launch: &Launch<'_>) -> Result<Rendered, RenderError> {
        let text =
            |template: &Option<Template>| template.as_ref().map(|template| launch.renderer.text(template)).transpose();
        let wrong = |name: &'static str, found: &str, expected: &'static str| RenderError::WrongType {
            name,
            found: format!("`{found}`"),
            expected,
        };
        let dag = launch.renderer.text(&self.dag)?;
        let conf = self.params.0.iter().map(|(name, value, _)| Ok((name.clone(), value.render(launch.renderer)?)));
        let conf = conf.collect::<Result<serde_json::Map<_, _>, RenderError>>()?;
        let run_id =
            text(&self.run_id)?.map(|id| RunId::parse(&id).map_err(|_| wrong("run_id", &id, "the id of a run")));
        let logical_date = text(&self.logical_date)?.filter(|date| !date.is_empty()).map(|date| {
            let parsed = Date::parse(&date, Span::default()).map(|date| date.instant(launch.zone));
            parsed.ok_or_else(|| wrong("logical_date", &date, "a date such as 2025-01-31T06:00:00Z"))
        });
        Ok(Rendered::TriggerDag(TriggerDagRun {
            dag_id: DagId::parse(&dag).map_err(|_| wrong("dag", &dag, "the id of a DAG"))?,
            conf: Value::Object(conf),
            run_id: run_id.transpose()?,
            logical_date: logical_date.transpose()?,
            wait_for_completion: self.wait_for_completion,
        }))
    }
}
