//! Waits for a moment, to within tens of microseconds.
//!
//! tokio's own timer counts whole milliseconds, which is longer than a tiny expert takes for its whole answer: calls
//! would leave in bunches, and the wait would be counted as latency. On Linux a kernel timer wakes the same event loop.

use tokio::time::Instant;

/// A clock to wait on. One waiter at a time.
#[derive(Debug)]
pub enum Timer {
    /// tokio's timer: whole milliseconds, and can be paused in tests.
    Coarse,
    /// The kernel's timer.
    #[cfg(target_os = "linux")]
    Precise(tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>),
}

impl Timer {
    /// The best this system offers. Needs a tokio runtime around it.
    pub fn best() -> Self {
        #[cfg(target_os = "linux")]
        if let Ok(timer) = linux::timer() {
            return Self::Precise(timer);
        }
        Self::Coarse
    }

    /// Returns at `at` or a little later. Dropping the future is safe.
    pub async fn until(&self, at: Instant) {
        let wait = at.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            // Behind schedule: the calls started so far still need their turn on this thread.
            tokio::task::yield_now().await;
            return;
        }
        match self {
            Self::Coarse => tokio::time::sleep_until(at).await,
            #[cfg(target_os = "linux")]
            Self::Precise(timer) => {
                if linux::wait(timer, wait).await.is_err() {
                    tokio::time::sleep_until(at).await;
                }
            }
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    #[expect(deprecated, reason = "unsound for types whose descriptor changes; an `OwnedFd` keeps its own")]
    pub(super) fn timer() -> io::Result<AsyncFd<OwnedFd>> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        AsyncFd::with_interest(fd, Interest::READABLE)
    }

    pub(super) async fn wait(timer: &AsyncFd<OwnedFd>, wait: Duration) -> io::Result<()> {
        let once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Timespec::try_from(wait).map_err(|_| io::ErrorKind::InvalidInput)?;
        timerfd_settime(
            timer.get_ref(),
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval: once, it_value: value },
        )?;
        loop {
            let mut ready = timer.readable().await?;
            let mut n_fired = [0_u8; 8];
            match ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut n_fired)?)) {
                Ok(read) => return read.map(drop),
                Err(_would_block) => continue,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_best_timer_never_returns_early() {
        let timer = Timer::best();
        for micros in [0, 50, 300, 2500] {
            let at = Instant::now() + Duration::from_micros(micros);
            timer.until(at).await;
            assert!(Instant::now() >= at, "{micros} us");
        }
    }

    #[tokio::test]
    async fn a_wait_given_up_does_not_disturb_the_next() {
        let timer = Timer::best();
        let start = Instant::now();
        tokio::select! {
            biased;
            () = std::future::ready(()) => {}
            () = timer.until(start + Duration::from_secs(3600)) => unreachable!("an hour"),
        }
        timer.until(start + Duration::from_millis(1)).await;
        assert!(start.elapsed() < Duration::from_secs(60));
    }
}
