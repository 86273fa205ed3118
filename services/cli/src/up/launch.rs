//! The step between `up` and a process it starts: binds the life of the process to the life of `up`, so that not even
//! `kill -9` of `up` leaves a grid behind that nobody supervises. The binding survives `exec`, and needs nothing of
//! the program that is started.

use std::{ffi::OsString, os::unix::process::CommandExt, process::Command};

use clap::Args;

use crate::error::{Error, Exit};

/// Become PROGRAM, and end when the parent ends.
#[derive(Args)]
pub(crate) struct Launch {
    /// The process that this one must not outlive
    #[arg(long)]
    parent: u32,
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    program: Vec<OsString>,
}

impl Launch {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        self.bind()?;
        let mut words = self.program.into_iter();
        let program = words.next().expect("at least one word, required by clap");
        Err(Error::File {
            what: "cannot start",
            path: program.clone().into(),
            source: Command::new(program).args(words).exec(),
        })
    }

    /// SIGTERM and not SIGKILL: what is being answered is still answered.
    #[cfg(target_os = "linux")]
    fn bind(&self) -> Result<(), Error> {
        use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

        set_parent_process_death_signal(Some(Signal::TERM))
            .map_err(|error| Error::system("bind this process to its parent")(error.into()))?;
        // The parent may have gone before the line above.
        let is_orphan =
            getppid().map(Pid::as_raw_nonzero).map(|pid| pid.get().unsigned_abs()) != Some(self.parent);
        if is_orphan {
            return Err(Error::Orphan { parent: self.parent });
        }
        Ok(())
    }

    /// Elsewhere a killed `up` leaves its processes running.
    #[cfg(not(target_os = "linux"))]
    fn bind(&self) -> Result<(), Error> {
        Ok(())
    }
}
