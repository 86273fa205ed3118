//! Resident memory of processes on this machine.

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Bytes of each of `pids`; 0 for one that has ended, and where the system does not tell.
pub(crate) fn resident(pids: &[u32]) -> Vec<u64> {
    let pids: Vec<Pid> = pids.iter().copied().map(Pid::from_u32).collect();
    let Ok(mut system) = System::new() else { return vec![0; pids.len()] };
    let what = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&pids), true, what);
    pids.iter().map(|pid| system.process(*pid).map_or(0, sysinfo::Process::memory)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_one_that_is_gone_has_none() {
        assert!(resident(&[std::process::id()])[0] > 0);
        assert_eq!(resident(&[u32::MAX - 1]), [0]);
    }
}
