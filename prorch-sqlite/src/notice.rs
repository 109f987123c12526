//! Waits until a file was written to: told by the system where it can, else by looking again and again.

/// Why the waiting is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The file may have been written to.
    Look,
    /// Nobody wants to know any more.
    Stop,
}

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{Notices, Stop};
#[cfg(target_os = "linux")]
pub(crate) use linux::{Notices, Stop};

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io::{self, PipeReader, PipeWriter, Read};
    use std::path::Path;
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};

    use super::Notice;

    /// How often the file is looked at when it can't be watched.
    const POLL: Duration = Duration::from_millis(100);
    /// How often it is looked at all the same when it is: some file systems tell nothing.
    const ANYWAY: Duration = Duration::from_secs(1);
    /// The shortest time between two looks, however much is written.
    const GAP: Duration = Duration::from_millis(1);

    /// Ends the waiting when it is dropped.
    pub(crate) type Stop = PipeWriter;

    /// What the system tells about one file.
    pub(crate) struct Notices {
        /// None where the system has no more watches to give.
        events: Option<File>,
        stopped: PipeReader,
        rest: Duration,
    }

    impl Notices {
        pub(crate) fn of(path: &Path) -> io::Result<(Self, Stop)> {
            let events = watch(path);
            if let Err(error) = &events {
                tracing::debug!(%error, "the file can't be watched; it is looked at ten times a second instead");
            }
            let (stopped, stop) = io::pipe()?;
            Ok((Self { events: events.ok(), stopped, rest: Duration::ZERO }, stop))
        }

        /// Waits until there is reason to look.
        pub(crate) fn wait(&mut self) -> Notice {
            std::thread::sleep(std::mem::take(&mut self.rest));
            let longest = if self.events.is_some() { ANYWAY } else { POLL };
            let limit = Timespec::try_from(longest).ok();
            let mut both = vec![PollFd::new(&self.stopped, PollFlags::IN)];
            both.extend(self.events.iter().map(|events| PollFd::new(events, PollFlags::IN)));
            // One that was interrupted looks once more than it must.
            let _ = poll(&mut both, limit.as_ref());
            let stopped = !both[0].revents().is_empty();
            let noticed = both.get(1).is_some_and(|events| !events.revents().is_empty());
            if stopped {
                return Notice::Stop;
            }
            if noticed {
                self.rest = GAP;
                self.drain();
            }
            Notice::Look
        }

        /// Takes all that was told. What comes after this wakes the next wait.
        fn drain(&mut self) {
            let mut bytes = [0; 4_096];
            while self.events.as_mut().is_some_and(|events| events.read(&mut bytes).is_ok_and(|n| n > 0)) {}
        }
    }

    fn watch(path: &Path) -> io::Result<File> {
        let events = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        add_watch(&events, path, WatchFlags::MODIFY)?;
        Ok(File::from(events))
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::io;
    use std::path::Path;
    use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
    use std::time::Duration;

    use super::Notice;

    const POLL: Duration = Duration::from_millis(100);

    /// Ends the waiting when it is dropped.
    pub(crate) type Stop = Sender<()>;

    /// A pause, again and again.
    pub(crate) struct Notices(Receiver<()>);

    impl Notices {
        pub(crate) fn of(_: &Path) -> io::Result<(Self, Stop)> {
            let (stop, stopped) = channel();
            Ok((Self(stopped), stop))
        }

        pub(crate) fn wait(&mut self) -> Notice {
            match self.0.recv_timeout(POLL) {
                Err(RecvTimeoutError::Timeout) => Notice::Look,
                _ => Notice::Stop,
            }
        }
    }
}
