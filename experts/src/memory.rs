//! How much memory this process holds.

use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

/// Resident bytes; 0 where the system does not say.
pub(crate) fn resident() -> u64 {
    let (Ok(pid), Ok(mut system)) = (sysinfo::get_current_pid(), System::new()) else { return 0 };
    let kind = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, kind);
    system.process(pid).map_or(0, sysinfo::Process::memory)
}
