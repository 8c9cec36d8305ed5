//! `bash`: a command line or a script.

use gridflow_core::TaskKind;
use serde_json::json;

use super::{LOCAL, Launch, OperatorSpec, Outputs, Rendered, staged, staged_path};
use crate::{
    limit::ARGUMENT_BYTES_MAX,
    read::{Cx, Definitions, Read, Shape, Spanned, spec},
    template::{RenderError, ShellTemplate, Template},
    yaml::Node,
};

/// Where a long inline script is laid in the scratch folder.
const SCRIPT: &str = ".gridflow/script.sh";

spec! {
    /// A shell script in a file of its own.
    pub struct BashFile "bash" {
        /// The script, relative to the DAG file. It is run as it is, without templates: pass values
        /// through `env:` or `args`.
        pub file: Spanned<String>,
        /// Arguments of the script.
        pub args: Option<Vec<Template>>,
    }
}

/// A command line, or a script file.
#[derive(Debug, Clone)]
pub enum Bash {
    Line(ShellTemplate),
    File { path: String, args: Vec<Template> },
}

impl Read for Bash {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if node.map().is_none() {
            return ShellTemplate::read(node, cx).map(Self::Line);
        }
        let keys = BashFile::read(node, cx)?;
        cx.file(&keys.file.value, keys.file.span)?;
        let path = crate::files::normal(&keys.file.value).ok()?;
        Some(Self::File { path, args: keys.args.unwrap_or_default() })
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        Shape::new("shell command", json!({ "type": ["string", "number"] })).or(BashFile::shape(definitions))
    }
}

impl OperatorSpec for Bash {
    fn summary() -> &'static str {
        "Runs a command line, or a script file, with bash."
    }

    fn kind(&self) -> TaskKind {
        LOCAL
    }

    fn outputs() -> Outputs {
        Outputs::Unknown
    }

    fn render(&self, launch: &Launch<'_>) -> Result<Rendered, RenderError> {
        let mut files = staged(launch);
        let argv = match self {
            Self::File { path, args } => {
                let args = args.iter().map(|arg| launch.renderer.text(arg)).collect::<Result<Vec<_>, _>>()?;
                ["bash".into(), staged_path(path)].into_iter().chain(args).collect()
            }
            Self::Line(ShellTemplate(line)) => {
                let line = launch.renderer.text(line)?;
                if line.len() <= ARGUMENT_BYTES_MAX {
                    vec!["bash".into(), "-c".into(), line]
                } else {
                    files.push((SCRIPT.into(), line.into_bytes().into()));
                    vec!["bash".into(), SCRIPT.into()]
                }
            }
        };
        Ok(Rendered::Command { argv, env: launch.env.clone(), files })
    }
}
