//! What an endpoint answers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use busway_core::{Delivery, Endpoint, Message};
use busway_endpoints::{HttpConfig, HttpEndpoint, Mode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::bounds::{block_on, bounded_with, brief};

/// The most that a connection and its buffers may take.
const CONNECTION: usize = 4 << 20;
/// Within this a delivery has an outcome; it may take half of it.
const LIMIT: Duration = Duration::from_secs(20);
const MOST_RETRY_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// Bytes that a peer answers with before it closes; the first one chooses the mode.
pub(crate) fn answer(input: &[u8]) {
    let Some((how, bytes)) = input.split_first() else { return };
    let mode = if how % 2 == 0 { Mode::Wait } else { Mode::Forget };
    let delivered = bounded_with(CONNECTION, input.len(), || block_on(deliver(mode, bytes.to_vec())));
    match (mode, delivered) {
        (Mode::Wait, Ok(())) => {
            let status = status_of(bytes);
            assert!(matches!(status, Some(200..=299)), "success, and the status is {status:?}");
        }
        // Received is enough, whatever the answer.
        (Mode::Forget, Ok(())) => {}
        (_, Err(error)) => {
            assert!(error.retry_after.is_none_or(|wait| wait <= MOST_RETRY_AFTER));
            assert!(error.class.len() <= 64);
            brief(error);
        }
    }
}

/// A `retry-after` header.
pub(crate) fn retry_after(input: &[u8]) {
    let wait = busway_endpoints::fuzz::retry_after(input, SystemTime::now());
    assert!(wait.is_none_or(|wait| wait <= MOST_RETRY_AFTER));
}

async fn deliver(mode: Mode, answer: Vec<u8>) -> Result<(), busway_core::DeliveryError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/in", listener.local_addr().expect("an address"));
    let peer = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let (mut read, mut request) = (0, [0; 4_096]);
        while !request[..read].ends_with(b"\r\n\r\nbody") && read < request.len() {
            match stream.read(&mut request[read..]).await? {
                0 => break,
                more => read += more,
            }
        }
        stream.write_all(&answer).await?;
        stream.shutdown().await
    });
    let mut config = HttpConfig::new("it", url);
    (config.mode, config.timeout, config.max_response_bytes) = (mode, LIMIT / 2, 4_096);
    let endpoint = HttpEndpoint::new(config).expect("an endpoint");
    let message = Arc::new(Message::new("t", "body"));
    let delivery = Delivery { message, destination: "it".into(), attempt: 1 };
    let outcome = tokio::time::timeout(LIMIT, endpoint.deliver(vec![delivery])).await;
    let outcome = outcome.expect("an outcome in time").remove(0);
    tokio::time::timeout(LIMIT, endpoint.close()).await.expect("closed in time");
    peer.abort();
    outcome
}

/// The status of the first answer that is not an interim one.
fn status_of(answer: &[u8]) -> Option<u16> {
    let text = String::from_utf8_lossy(answer);
    let mut rest = text.trim_start_matches(['\r', '\n']);
    loop {
        let status = rest.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
        if !(100..200).contains(&status) {
            return Some(status);
        }
        let end = ["\r\n\r\n", "\n\n", "\n\r\n"]
            .iter()
            .filter_map(|end| Some(rest.find(end)? + end.len()))
            .min()?;
        rest = rest[end..].trim_start_matches(['\r', '\n']);
    }
}
