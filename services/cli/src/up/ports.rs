//! Addresses on this machine: free ones for the experts, and whose the wanted one is when it is not free.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process,
};

use listeners::Protocol;

use crate::error::Error;

/// Below the ports that the kernel gives to outgoing connections: while an expert restarts, nobody else gets its port.
const FIRST: u16 = 20_000;
const LAST: u16 = 29_999;

/// Gives out ports on which nobody listens. One is given once, and belongs to its process over every restart.
pub(crate) struct Ports {
    left: Box<dyn Iterator<Item = u16>>,
}

impl Ports {
    pub(crate) fn new() -> Self {
        // Two grids that start at the same moment begin far from each other.
        let span = LAST - FIRST + 1;
        let start = u16::try_from(u64::from(process::id()) * 7919 % u64::from(span)).expect("below span");
        Self { left: Box::new((0..span).map(move |step| FIRST + (start + step) % span)) }
    }

    pub(crate) fn free(&mut self) -> Result<SocketAddr, Error> {
        self.left
            .by_ref()
            .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            .find(|address| TcpListener::bind(address).is_ok())
            .ok_or(Error::NoPort { first: FIRST, last: LAST })
    }

    /// `wanted` itself when nobody listens there, a free port of this machine for port 0.
    pub(crate) fn claim(&mut self, wanted: SocketAddr, flag: &'static str) -> Result<SocketAddr, Error> {
        if wanted.port() == 0 {
            return self.free();
        }
        match TcpListener::bind(wanted) {
            Ok(_) => Ok(wanted),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Err(Error::Taken { addr: wanted, owner: owner(wanted.port()), flag })
            }
            Err(source) => Err(Error::Listen { addr: wanted, source, flag }),
        }
    }
}

fn owner(port: u16) -> String {
    match listeners::get_process_by_port(port, Protocol::TCP) {
        Ok(process) => format!("`{}` with pid {}", process.name, process.pid),
        Err(_) => "a process that this user may not look at".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once() {
        let mut ports = Ports::new();
        let first = ports.free().expect("one is free");
        assert_ne!(first, ports.free().expect("another is free"));
    }

    #[test]
    fn a_port_that_someone_listens_on_is_not_given_and_its_owner_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = taken.local_addr().expect("bound");
        let error = Ports::new().claim(address, "--addr").expect_err("taken").to_string();
        assert!(error.contains(&format!("pid {}", process::id())), "{error}");
        assert!(error.contains("--addr"), "{error}");
    }
}
