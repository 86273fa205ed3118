//! Why a server could not start or go on, and why an address is none.

use std::io;
use std::net::SocketAddr;

/// Everything here ends the process; what a client sees is a `tonic::Status`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process listens there.
    #[error("address in use: {address}: stop the other process or choose another with `{flag}`")]
    InUse {
        /// As asked for.
        address: SocketAddr,
        /// Flag of the binaries that changes it.
        flag: &'static str,
    },
    /// The machine does not let us listen there.
    #[error("cannot listen on {address}: {source}: choose another with `{flag}`")]
    Bind {
        /// As asked for.
        address: SocketAddr,
        /// Flag of the binaries that changes it.
        flag: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The gRPC server ended by itself.
    #[error("gRPC server: {0}")]
    Serve(#[from] tonic::transport::Error),
    /// The ops server ended by itself.
    #[error("ops server: {0}")]
    Ops(#[source] io::Error),
    /// Not something to connect to.
    #[error("{problem}; write it like `http://127.0.0.1:8001`: `{address}`")]
    Address {
        /// As given.
        address: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Error {
    pub(crate) fn bind(address: SocketAddr, flag: &'static str, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::AddrInUse {
            Self::InUse { address, flag }
        } else {
            Self::Bind { address, flag, source }
        }
    }
}
