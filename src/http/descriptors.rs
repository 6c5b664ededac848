use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What else is open beside connections of clients: those to the database, files, the log.
const OTHERS: u64 = 128;

/// Asks the system for as many open files as that many connections need, and tells how many it can be: past its bound nothing
/// could be accepted, and honest clients would wait with the others.
#[must_use]
pub fn connections_within_limits(wanted: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let needed = u64::try_from(wanted).unwrap_or(u64::MAX).saturating_add(OTHERS);
    let raised = maximum.map_or(needed, |maximum| maximum.min(needed));
    let mut open = current.unwrap_or(u64::MAX);
    if open < raised && setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }).is_ok() {
        open = raised;
    }
    let possible = usize::try_from(open.saturating_sub(OTHERS)).unwrap_or(usize::MAX).max(1);
    if possible < wanted {
        tracing::warn!(wanted, possible, "the system lets this process have fewer connections (ulimit -n)");
    }
    possible.min(wanted)
}
