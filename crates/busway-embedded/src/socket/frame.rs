//! A JSON document after its length.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The largest document that a peer may send, in bytes.
pub(crate) const LARGEST: usize = 64 << 20;

/// Reads the length of the next document; `None` where the peer has ended the connection.
pub(crate) async fn read_length(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<[u8; 4]>> {
    let mut length = [0; 4];
    match from.read(&mut length[..1]).await? {
        0 => Ok(None),
        _ => {
            from.read_exact(&mut length[1..]).await?;
            Ok(Some(length))
        }
    }
}

/// Reads a document of this length, growing as it comes, so that a length alone costs nothing.
pub(crate) async fn read_body(
    from: &mut (impl AsyncRead + Unpin),
    length: [u8; 4],
    largest: usize,
) -> io::Result<Vec<u8>> {
    let length = u32::from_be_bytes(length) as usize;
    if length > largest {
        let text = format!("a document of {length} bytes is over the limit of {largest}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut body = Vec::with_capacity(length.min(1 << 16));
    from.take(length as u64).read_to_end(&mut body).await?;
    if body.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(body)
}

/// Writes a document with its length.
pub(crate) async fn write(to: &mut (impl AsyncWrite + Unpin), body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).ok().filter(|length| *length as usize <= LARGEST);
    let Some(length) = length else {
        let text = format!("a document of {} bytes is over the limit of {LARGEST}", body.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    };
    to.write_all(&length.to_be_bytes()).await?;
    to.write_all(body).await?;
    to.flush().await
}
