//! Every bound of the language, with its reason.

/// The largest YAML file. A DAG of 10,000 tasks is about half of it.
pub const YAML_BYTES_MAX: usize = 1 << 20;

/// The deepest nesting of maps and lists. The language itself needs eight.
pub const DEPTH_MAX: usize = 64;

/// The most nodes of a file after aliases are expanded: a bomb of aliases ends here.
pub const NODES_MAX: usize = 500_000;

/// The most aliases (`*name`) in a file.
pub const ALIASES_MAX: usize = 1_000;

/// The most diagnostics reported for one file; what follows is mostly noise.
pub const DIAGNOSTICS_MAX: usize = 200;

/// The most tasks in one DAG.
pub const TASKS_MAX: usize = 20_000;

/// The largest file that a DAG refers to.
pub const FILE_BYTES_MAX: usize = 16 << 20;

/// The most bytes of all files that a DAG refers to.
pub const FILES_BYTES_MAX: usize = 64 << 20;

/// The most tokens in one `{{ … }}` or `{% … %}`. Their trees are walked by recursion.
pub const TEMPLATE_TAG_TOKENS_MAX: usize = 400;

/// The most `{% … %}` in one value; they nest.
pub const TEMPLATE_BLOCKS_MAX: usize = 200;

/// The most instructions one template may take, so that no template can hang the scheduler.
pub const TEMPLATE_FUEL: u64 = 100_000;

/// The largest text one template may render to.
pub const RENDERED_BYTES_MAX: usize = 1 << 20;

/// Above this, an inline script travels as a file: one argument of a process has at most 128 KiB.
pub const ARGUMENT_BYTES_MAX: usize = 96 << 10;

/// How much of a source line a diagnostic shows.
pub const EXCERPT_CHARS_MAX: usize = 160;
