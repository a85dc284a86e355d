//! What the kernel knows of a TCP connection (`TCP_INFO`): no crate in use wraps it safely.
#![expect(
    unsafe_code,
    reason = "getsockopt(TCP_INFO) has no safe wrapper in std, tokio, rustix, socket2 or nix"
)]

use std::io;
use std::mem::{MaybeUninit, offset_of};
use std::os::fd::{AsFd, AsRawFd};

/// `TCP_CLOSE` of the kernel's `net/tcp_states.h`.
const CLOSED: u8 = 7;
/// `TCP_ESTABLISHED` of the same.
const ESTABLISHED: u8 = 1;

/// A connection at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct TcpInfo {
    /// Bytes that the peer has acknowledged since the connection began, the handshake's included.
    /// Only ever grows; a reset leaves it as it was.
    pub(super) acknowledged: u64,
    /// It was reset or has timed out; both sides' orderly end leads here too.
    pub(super) closed: bool,
    /// Neither side has ended it.
    pub(super) established: bool,
}

impl TcpInfo {
    /// # Errors
    /// `Unsupported` where the kernel does not count acknowledged bytes.
    pub(super) fn of(socket: &impl AsFd) -> io::Result<Self> {
        const NEEDED: usize = offset_of!(libc::tcp_info, tcpi_bytes_acked) + size_of::<u64>();
        let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
        let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).map_err(io::Error::other)?;
        // SAFETY: the descriptor is borrowed and thus open; `info` is `length` bytes that may be
        // written, and `length` is one socklen_t.
        let result = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                info.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        if (length as usize) < NEEDED {
            let text = "this kernel does not tell how much a peer has acknowledged";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        // SAFETY: the kernel wrote its first `length` bytes, the others are zero, and every field
        // is an integer.
        let info = unsafe { info.assume_init() };
        Ok(Self {
            acknowledged: info.tcpi_bytes_acked,
            closed: info.tcpi_state == CLOSED,
            established: info.tcpi_state == ESTABLISHED,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn acknowledged_bytes_outlive_a_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let before = TcpInfo::of(&client).unwrap();
        assert!(before.established && !before.closed);

        client.write_all(b"hello").unwrap();
        server.read_exact(&mut [0; 4]).unwrap();
        while TcpInfo::of(&client).unwrap().acknowledged < before.acknowledged + 5 {
            std::thread::yield_now();
        }
        // One byte is unread, so that closing is a reset.
        drop(server);
        assert!(client.read(&mut [0; 1]).is_err());
        let after = TcpInfo::of(&client).unwrap();
        assert_eq!(after.acknowledged, before.acknowledged + 5);
        assert!(after.closed && !after.established);
    }
}
