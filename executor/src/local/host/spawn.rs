//! From a claim to a running command, as fast as the kernel allows.
//!
//! ```text
//! host   claim on file ─ clone(VM|VFORK) ┄┄┄┄┄┄┄┄┄┄ waits ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄ goes on
//! child                   └ session, cwd, fds, user ─ birth on file ─ exec ─────► command
//! ```
//! The child shares the host's memory until its exec, so nothing is copied, and it writes its own pid to the record:
//! no handshake with a parent that may just have died. It also holds a copy of the state directory's lock until the
//! exec, so the next host reads the records only when every child has either written its birth or will never run.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    fs::File,
    io,
    os::fd::{AsRawFd, RawFd},
    ptr,
};

use nix::libc;

use super::{
    super::wire::{Command, User},
    clock::BootNs,
    record::Birth,
    records::Slot,
};

/// Where a child failed before its command ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Step {
    Session = 1,
    Cwd,
    Stdio,
    User,
    Record,
    Exec,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failed {
    pub step: Step,
    pub errno: i32,
}

/// Everything the child needs, laid out before the clone: it must not allocate.
pub(super) struct Prepared {
    programs: Vec<CString>,
    argv: Vec<CString>,
    env: Vec<CString>,
    cwd: CString,
    user: Option<User>,
}

const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Fails on a NUL byte, and on an empty argv.
pub(super) fn prepare(command: &Command) -> Result<Prepared, String> {
    let Some(program) = command.argv.first().filter(|program| !program.is_empty()) else {
        return Err("there is no program to start: the command is empty".into());
    };
    let text = |what: &str, text: &str| {
        CString::new(text).map_err(|_| format!("{what} contains a NUL byte, which no command can be given"))
    };
    let all = |what: &str, texts: &[String]| texts.iter().map(|one| text(what, one)).collect::<Result<Vec<_>, _>>();
    let programs = if program.contains('/') { vec![program.clone()] } else { lookup(program, &command.env) };
    Ok(Prepared {
        programs: all("the program", &programs)?,
        argv: all("an argument", &command.argv)?,
        env: all("the environment", &command.env)?,
        cwd: text("the working directory", &command.cwd)?,
        user: command.user.clone(),
    })
}

/// Every place where the command's own `PATH` would look, in order.
fn lookup(program: &str, env: &[String]) -> Vec<String> {
    let path = env.iter().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    let dirs = path.split(':').map(|dir| if dir.is_empty() { "." } else { dir });
    dirs.map(|dir| format!("{dir}/{program}")).collect()
}

/// Makes children one after the other, on a stack of its own that is never freed while a child may use it.
pub(super) struct Spawner {
    stack_top: *mut c_void,
    /// In memory that stays shared whether a child copies ours or not.
    verdict: *mut Verdict,
    null: File,
}

const STACK_BYTES: usize = 64 << 10;
const GUARD_BYTES: usize = 4 << 10;

impl Spawner {
    pub(super) fn new() -> io::Result<Self> {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        let stack = map(STACK_BYTES + GUARD_BYTES, libc::MAP_PRIVATE | libc::MAP_STACK)?;
        // SAFETY: the first page of the mapping just made; an overflow of the child's stack faults there.
        if unsafe { libc::mprotect(stack, GUARD_BYTES, libc::PROT_NONE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: one past the end of the same mapping.
        let stack_top = unsafe { stack.byte_add(STACK_BYTES + GUARD_BYTES) };
        let verdict = map(size_of::<Verdict>(), libc::MAP_SHARED)?.cast();
        Ok(Self { stack_top, verdict, null })
    }

    /// Starts it, in the control group if there is one. The outer error says that no process could be made at all.
    pub(super) fn spawn(&self, prepared: &Prepared, files: Files<'_>) -> io::Result<Result<Birth, Failed>> {
        let pointers = |texts: &[CString]| -> Vec<*const c_char> {
            texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
        };
        let argv = pointers(&prepared.argv);
        let env = pointers(&prepared.env);
        let mut child = Child {
            prepared,
            argv: argv.as_ptr(),
            env: env.as_ptr(),
            null: self.null.as_raw_fd(),
            log: files.log.as_raw_fd(),
            records: files.records.as_raw_fd(),
            birth_offset: files.slot.birth_offset() as i64,
            verdict: self.verdict,
        };
        // SAFETY: our own mapping, and no child lives that could use it.
        unsafe { self.verdict.write(Verdict { birth: Birth { pid: 0, alive_at: BootNs(0) }, failed: None }) };
        let pid = match files.cgroup {
            None => self.clone_sharing(&mut child),
            // Where the kernel or a filter forbids it, the command starts outside.
            Some(cgroup) => clone_into(cgroup, &mut child).or_else(|_| self.clone_sharing(&mut child)),
        }?;
        // SAFETY: as above: the child has exec'd or exited. It wrote this behind the compiler's back.
        let verdict = unsafe { self.verdict.read_volatile() };
        match verdict.failed {
            None => Ok(Ok(Birth { pid, ..verdict.birth })),
            Some(failed) => {
                // SAFETY: our own child, which has exited or is about to.
                unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
                Ok(Err(failed))
            }
        }
    }

    fn clone_sharing(&self, child: &mut Child) -> io::Result<i32> {
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: the child runs `enter` on its own stack and touches only `child`, which outlives it: CLONE_VFORK
        // keeps us here until it has exec'd or exited. Should we be killed meanwhile, the memory stays as the child's.
        let pid = unsafe { libc::clone(enter, self.stack_top, flags, ptr::from_mut(child).cast()) };
        if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) }
    }
}

/// Only `clone3` knows control groups, and without a stack of its own the child gets a copy of our memory. Joining the
/// group afterwards would cost more: it waits for every other thread that forks or exits.
fn clone_into(cgroup: &File, child: &mut Child) -> io::Result<i32> {
    // SAFETY: all zeroes are valid, and mean defaults.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = libc::CLONE_VFORK as u64 | CLONE_INTO_CGROUP;
    arguments.exit_signal = libc::SIGCHLD as u64;
    arguments.cgroup = cgroup.as_raw_fd() as u64;
    // SAFETY: like fork in a process with one thread; the child goes straight into `enter`.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<libc::clone_args>()) };
    match pid {
        0 => {
            enter(ptr::from_mut(child).cast());
            unreachable!("the child has exec'd or exited")
        }
        pid if pid < 0 => Err(io::Error::last_os_error()),
        pid => Ok(pid as i32),
    }
}

/// The libc's constant has the wrong type for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

fn map(bytes: usize, kind: c_int) -> io::Result<*mut c_void> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a fresh anonymous mapping touches no memory of ours.
    let memory = unsafe { libc::mmap(ptr::null_mut(), bytes, access, kind | libc::MAP_ANONYMOUS, -1, 0) };
    if memory == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(memory) }
}

/// What a command is attached to.
#[derive(Clone, Copy)]
pub(super) struct Files<'a> {
    pub log: &'a File,
    pub records: &'a File,
    pub slot: Slot,
    pub cgroup: Option<&'a File>,
}

/// The child's answer.
#[derive(Clone, Copy)]
struct Verdict {
    birth: Birth,
    failed: Option<Failed>,
}

struct Child<'a> {
    prepared: &'a Prepared,
    argv: *const *const c_char,
    env: *const *const c_char,
    null: RawFd,
    log: RawFd,
    records: RawFd,
    birth_offset: i64,
    verdict: *mut Verdict,
}

/// Only system calls from here on: no allocation, no lock, no panic. Returns only when it failed.
extern "C" fn enter(argument: *mut c_void) -> c_int {
    // SAFETY: the pointer that `spawn` passed; the parent does not touch it until we are done.
    let child = unsafe { &mut *argument.cast::<Child>() };
    // SAFETY: we are the child of a vfork and call system calls only.
    let failed = unsafe { become_command(child) };
    // SAFETY: the parent's mapping, which it reads only once we are gone.
    unsafe { (*child.verdict).failed = Some(failed) };
    // SAFETY: ends the process without running anything of the parent's.
    unsafe { libc::_exit(127) }
}

/// Returns where it failed, or not at all.
unsafe fn become_command(child: &mut Child) -> Failed {
    // SAFETY (whole body): system calls on descriptors and memory that live until the exec.
    unsafe {
        if libc::setsid() < 0 {
            return failed(Step::Session);
        }
        if libc::chdir(child.prepared.cwd.as_ptr()) != 0 {
            return failed(Step::Cwd);
        }
        if libc::dup2(child.null, 0) < 0 || libc::dup2(child.log, 1) < 0 || libc::dup2(child.log, 2) < 0 {
            return failed(Step::Stdio);
        }
        if let Some(user) = &child.prepared.user
            && !switch_user(user)
        {
            return failed(Step::User);
        }
        let mut now: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now);
        let alive_at = BootNs((now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64));
        let birth = Birth { pid: libc::getpid(), alive_at };
        (*child.verdict).birth = birth;
        let bytes = birth.encode();
        let written = libc::pwrite(child.records, bytes.as_ptr().cast(), bytes.len(), child.birth_offset);
        if written != bytes.len() as isize {
            return failed(Step::Record);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
        exec_first(child)
    }
}

/// Like `execvp`: the first place that has the program; a forbidden one is remembered, as the better answer.
unsafe fn exec_first(child: &Child) -> Failed {
    let mut answer = Failed { step: Step::Exec, errno: libc::ENOENT };
    for program in &child.prepared.programs {
        let program: &CStr = program;
        // SAFETY: all three are NUL-terminated and live until the exec.
        unsafe { libc::execve(program.as_ptr(), child.argv, child.env) };
        let now = failed(Step::Exec);
        match now.errno {
            libc::ENOENT | libc::ENOTDIR => {}
            libc::EACCES => answer = now,
            _ => return now,
        }
    }
    answer
}

/// Raw calls: libc's would try to change every thread of the memory we share.
unsafe fn switch_user(user: &User) -> bool {
    // SAFETY: plain numbers, and an array that lives until the exec.
    unsafe {
        libc::syscall(libc::SYS_setgroups, user.groups.len(), user.groups.as_ptr()) == 0
            && libc::syscall(libc::SYS_setresgid, user.gid, user.gid, user.gid) == 0
            && libc::syscall(libc::SYS_setresuid, user.uid, user.uid, user.uid) == 0
    }
}

fn failed(step: Step) -> Failed {
    // SAFETY: the address of this thread's errno, which the child shares with the waiting parent.
    Failed { step, errno: unsafe { *libc::__errno_location() } }
}
