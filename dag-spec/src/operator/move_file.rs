//! `move_file`: moves a file of this machine.

use gridflow_core::TaskKind;

use super::{
    LOCAL, Launch, OperatorSpec, Outputs, Rendered,
    transfer::{self, Transfer},
};
use crate::{
    read::spec,
    template::{RenderError, Template, Tree},
};

spec! {
    /// The file to move, and where it goes.
    pub struct MoveFile "move_file" {
        /// The file: a path or a `file://` URI.
        pub from: Template,
        /// Where it goes; with a `/` at its end, the folder that takes it. Folders are made.
        pub to: Template,
        /// Whether a file with other content that is there already is replaced.
        pub overwrite: bool = "false",
        /// What the content must be, in hex.
        pub sha256: Option<Template>,
        /// Why the file is moved: any value, written as JSON beside the moved file.
        pub reason: Option<Tree>,
        /// Where the reason goes: the target's name with `.reason.json` behind it unless given.
        pub reason_file: Option<Template>,
    }
}

impl OperatorSpec for MoveFile {
    fn summary() -> &'static str {
        "Moves a file in one step, also across file systems, and can say why."
    }

    fn kind(&self) -> TaskKind {
        LOCAL
    }

    fn outputs() -> Outputs {
        Outputs::Declared(transfer::OUTPUTS)
    }

    fn render(&self, launch: &Launch<'_>) -> Result<Rendered, RenderError> {
        let Self { from, to, overwrite, sha256, reason, reason_file } = self;
        let parts = Transfer { from, to, overwrite: *overwrite, sha256, reason, reason_file };
        let spec = transfer::spec(&parts, launch)?;
        Ok(Rendered::Operator { name: "move_file", spec, env: launch.env.clone() })
    }
}
