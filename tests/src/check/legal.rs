//! Which changes of state there may be, written down a second time.

/// What a run, task instance or attempt may become.
pub(super) fn may_become(kind: &str, from: &str, to: &str) -> bool {
    let next: &[&str] = match (kind, from) {
        ("run", "-") => &["queued"],
        ("run", "queued") => &["running", "failed"],
        ("run", "running") => &["success", "failed"],
        ("ti", "-") => &["none", "removed"],
        ("ti", "none") => &["scheduled", "skipped", "upstream_failed"],
        ("ti", "scheduled") => &["queued", "success", "failed", "skipped", "up_for_retry", "deferred"],
        ("ti", "queued") => &["running", "failed", "skipped", "up_for_retry", "scheduled"],
        ("ti", "running") => &["success", "failed", "skipped", "up_for_retry", "scheduled"],
        ("ti", "up_for_retry") => &["scheduled", "failed", "skipped"],
        ("ti", "deferred") => &["success", "failed", "skipped", "up_for_retry"],
        ("attempt", "-") => &["queued"],
        ("attempt", "queued") => &["running", "canceling", "closed"],
        ("attempt", "running") => &["canceling", "closed"],
        ("attempt", "canceling") => &["closed"],
        _ => &[],
    };
    next.contains(&to)
}
