use std::io;
use std::pin::Pin;

use futures_util::FutureExt;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::server::TlsStream;

/// What tells of its other end without being read.
pub(super) trait Socket {
    /// Whether the client sends nothing any more, were there still something to be read of what it has sent.
    fn is_read_closed(&self) -> bool;
}

impl Socket for Pin<Box<TimeoutStream<TcpStream>>> {
    fn is_read_closed(&self) -> bool {
        let ready = self.get_ref().ready(Interest::READABLE).now_or_never();
        ready.and_then(Result::ok).is_some_and(|ready| ready.is_read_closed())
    }
}

impl<S: Socket> Socket for TlsStream<S> {
    fn is_read_closed(&self) -> bool {
        self.get_ref().0.is_read_closed()
    }
}

/// Bytes that may wait in the system to be sent, beside those that the client's window lets under way. Answers go on being
/// written as they are read; one that nobody reads stays here, in its connection, where nothing more is begun for it.
#[cfg(any(target_os = "android", target_os = "linux"))]
const MOST_UNSENT_BYTES: u32 = 16 << 10;
/// The same where the system can bound only both together.
#[cfg(not(any(target_os = "android", target_os = "linux")))]
const MOST_UNSENT_BYTES: usize = 256 << 10;

/// Small answers leave at once, and the system does not take megabytes of answers for a client that reads none: left to
/// itself it lets a send buffer grow to `tcp_wmem`'s 4 MiB.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    #[cfg(any(target_os = "android", target_os = "linux"))]
    return socket.set_tcp_notsent_lowat(MOST_UNSENT_BYTES);
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    return socket.set_send_buffer_size(MOST_UNSENT_BYTES);
}
