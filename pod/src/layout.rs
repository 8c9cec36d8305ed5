//! Where things lie in a pod.

/// The emptyDir that the init step fills and the task's container finds.
pub const ROOT: &str = "/gridflow";
/// The working folder: the DAG version's files, writable.
pub const WORK: &str = "/gridflow/work";
/// The copy of the program that the task's container runs.
pub const PROGRAM: &str = "/gridflow/bin/gridflow-pod";
/// In the working folder.
pub const CONTEXT_FILE: &str = ".gridflow-context.json";
/// In the working folder; made by the command.
pub const OUTPUT_FILE: &str = ".gridflow-output.json";
/// Where the Secret is mounted, in the init step alone.
pub const PAYLOAD: &str = "/gridflow-payload";
/// Kubernetes' own default.
pub const TERMINATION_MESSAGE: &str = "/dev/termination-log";

/// What the kubelet keeps of a container's termination message.
pub const MESSAGE_BYTES_MAX: usize = 4096;
/// What the kubelet keeps of those of a pod's containers together: each has an equal share, used or not.
pub const MESSAGES_BYTES_MAX: usize = 12 * 1024;
/// The largest output of a task.
pub const OUTPUT_BYTES_MAX: u64 = 1 << 20;
