//! Reads a file on a thread of its own, a little ahead of what is being asked.

use std::{path::Path, thread};

use futures::Stream;
use nanogrid_evaluation::{Layout, Reader, Refused, Row};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    error::Error,
    eval::{progress::Progress, source},
};

/// So many rows wait for their turn; the thread waits when they are there.
const AHEAD: usize = 256;

pub(crate) struct Rows {
    rows: mpsc::Receiver<Result<Row, Refused>>,
}

impl Rows {
    /// The first `limit` rows of `path`, and what cannot be read before them.
    pub(crate) fn read(
        path: &Path,
        layout: Layout,
        progress: &Progress,
        limit: Option<u64>,
    ) -> Result<Self, Error> {
        let source = source::open(path, &progress.bytes)?;
        let (send, rows) = mpsc::channel(AHEAD);
        let (mut left, progress) = (limit.unwrap_or(u64::MAX), progress.clone());
        thread::Builder::new()
            .name("rows".to_owned())
            .spawn(move || {
                let mut reader = Reader::new(source, layout);
                while left > 0 {
                    let Some(read) = reader.next() else { break };
                    progress.read_one();
                    left -= u64::from(read.is_ok());
                    // Nobody asks for more.
                    if send.blocking_send(read).is_err() {
                        return;
                    }
                }
                progress.read_all();
            })
            .map_err(Error::system("start a thread to read with"))?;
        Ok(Self { rows })
    }

    pub(crate) fn stream(self) -> impl Stream<Item = Result<Row, Refused>> {
        ReceiverStream::new(self.rows)
    }
}
