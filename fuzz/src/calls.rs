//! What crosses the socket of a holder.

use busway::remote::fuzz;
use busway_core::Message;
use busway_embedded::fuzz as frame;

use crate::bounds::{block_on, bounded};

/// The largest document here.
const LARGEST: usize = 4_096;

/// A stream of documents, each after its length.
pub(crate) fn frames(input: &[u8]) {
    let mut rest = input;
    let documents = bounded(input.len(), || {
        block_on(async {
            let mut documents = Vec::new();
            while let Ok(Some(document)) = frame::read_frame(&mut rest, LARGEST).await {
                assert!(document.len() <= LARGEST);
                documents.push(document);
            }
            documents
        })
    });
    let mut written = Vec::new();
    for document in documents {
        block_on(frame::write_frame(&mut written, &document)).expect("what was read is written");
    }
    assert!(input.starts_with(&written), "what was read is what was sent");
}

/// A call.
pub(crate) fn calls(input: &[u8]) {
    if let Some(call) = bounded(input.len(), || fuzz::call(input)) {
        assert_eq!(fuzz::call(&call), Some(call), "what was written is read to the same");
    }
    let read = bounded(input.len(), || fuzz::published(input));
    let messages: Vec<Message> = read.into_iter().filter_map(Result::ok).collect();
    let call = fuzz::publish(messages.clone()).expect("what was read is written");
    let again: Vec<_> = fuzz::published(&call).into_iter().collect::<Result<_, _>>().expect("and read again");
    assert_eq!(again, messages);
}

/// A holder's answer.
pub(crate) fn answers(input: &[u8]) {
    match bounded(input.len(), || fuzz::answer(input)) {
        Some(Ok(text)) => assert!(text.len() <= input.len()),
        Some(Err(error)) => assert!(!error.to_string().is_empty()),
        None => {}
    }
}
