//! The way to a syslog receiver: a local socket, UDP (RFC 5426), or TCP with each message behind its length (RFC 6587
//! section 3.4.1), so that nothing in a message can begin another.

use std::fmt;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// A receiver that takes nothing must not hold the judgement up for long.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where a receiver listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// A datagram socket of this machine, such as `/dev/log`.
    Unix(PathBuf),
    /// UDP.
    Udp(SocketAddr),
    /// TCP.
    Tcp(SocketAddr),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hint = "write unix:/dev/log, udp:127.0.0.1:514 or tcp:127.0.0.1:514";
        let socket = |at: &str| {
            at.parse().map_err(|_| format!("{at} is no address with a port, and names are not looked up: {hint}"))
        };
        match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(("udp", at)) => socket(at).map(Self::Udp),
            Some(("tcp", at)) => socket(at).map(Self::Tcp),
            _ => Err(hint.to_owned()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", crate::wire::shown(path)),
            Self::Udp(at) => write!(f, "udp:{at}"),
            Self::Tcp(at) => write!(f, "tcp:{at}"),
        }
    }
}

/// An open way.
#[derive(Debug)]
pub struct Channel {
    to: Address,
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    Unix(UnixDatagram),
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Channel {
    /// Opens the way.
    pub fn open(to: &Address) -> io::Result<Self> {
        Ok(Self { to: to.clone(), socket: Socket::open(to)? })
    }

    /// Sends one message. Where the receiver was started anew, the way is opened once more.
    pub fn send(&mut self, message: &str) -> io::Result<()> {
        if self.socket.send(message).is_ok() {
            return Ok(());
        }
        self.socket = Socket::open(&self.to)?;
        self.socket.send(message)
    }
}

impl Socket {
    fn open(to: &Address) -> io::Result<Self> {
        match to {
            Address::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_write_timeout(Some(PATIENCE))?;
                Ok(Self::Unix(socket))
            }
            Address::Udp(at) => {
                let any: SocketAddr = match at {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(any)?;
                socket.connect(at)?;
                Ok(Self::Udp(socket))
            }
            Address::Tcp(at) => {
                let stream = TcpStream::connect_timeout(at, PATIENCE)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(Self::Tcp(stream))
            }
        }
    }

    fn send(&mut self, message: &str) -> io::Result<()> {
        match self {
            Self::Unix(socket) => socket.send(message.as_bytes()).map(drop),
            Self::Udp(socket) => socket.send(message.as_bytes()).map(drop),
            Self::Tcp(stream) => stream.write_all(format!("{} {message}", message.len()).as_bytes()),
        }
    }
}
