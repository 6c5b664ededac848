use std::io;

use socket2::SockRef;
use tokio::net::TcpStream;

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
