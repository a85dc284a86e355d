//! What is published comes out as it went in, or is refused with a reason.

use busway_core::capability::HeaderRule;
use busway_core::error::{ErrorClass, ErrorKind};
use busway_core::{AttributeValue, Message, Publication, Queue};
use bytes::Bytes;

use super::sample::{message, numbered, rich, same};
use super::table;
use crate::suite::{Bed, Bus, Outcomes, Reader, ensure, fail};

table! { "content":
    "attributes-survive" attributes_survive [] "100 messages come with every attribute as it was sent";
    "bodies-survive" bodies_survive [] "every byte, an empty body and a large one come as they were sent";
    "limit-is-exact" limit_is_exact [] "a body at the size limit arrives whole, one byte more is refused as TooLarge with its whole batch";
    "too-large-refuses-the-batch" too_large_refuses_the_batch [] "a batch with an entry over the limit is refused whole, before anything is sent";
    "header-values" header_values [] "attribute values come as they were sent, or are refused as InvalidHeader where the header rule says so";
    "header-names" header_names [] "an attribute with a strange name comes as it was sent, or is refused with a reason";
    "expired-is-kept" expired_is_kept [] "a message past its expiry is still handed out: the broker removes nothing by itself";
    "same-id-again" same_id_again [] "an id published again for an unknown outcome is taken, and comes at least once";
}

async fn attributes_survive(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let sent: Vec<Message> = (0..100).map(rich).collect();
    bus.publish(&Queue::Priority, sent.clone()).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    let mut got = reader.take(sent.len()).await?;
    got.sort_by_key(|leased| leased.message.sequence);
    for (sent, got) in sent.iter().zip(&got) {
        same(sent, &got.message)?;
    }
    reader.ack_all(got).await
}

async fn bodies_survive(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let all_bytes: Vec<u8> = (0..=255).collect();
    let large = bed.capabilities().max_message_bytes.min(200 << 10).saturating_sub(4 << 10);
    let bodies = [
        Bytes::new(),
        Bytes::from_static(b"-"),
        Bytes::from_static(b"\0"),
        Bytes::from_static(b" \n{\"a\":  1.00}\r\n"),
        Bytes::from_static("ä\u{feff}漢字\u{fffe}🚀".as_bytes()),
        Bytes::from_static(b"\xff\xfe\x00\xc3\x28"),
        Bytes::from(all_bytes.repeat(3)),
        Bytes::from(all_bytes.into_iter().cycle().take(large).collect::<Vec<u8>>()),
    ];
    let reader = bus.reader(&Queue::Priority).await?;
    for content_type in [None, Some("application/octet-stream"), Some("text/plain")] {
        for (index, body) in bodies.iter().enumerate() {
            let mut sent = message(&format!("{index}"));
            sent.data = body.clone();
            sent.datacontenttype = content_type.map(str::to_owned);
            round_trip(&bus, &reader, &sent).await?;
        }
    }
    Ok(())
}

async fn limit_is_exact(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    let limit = bed.capabilities().max_message_bytes;
    if limit > bed.features().largest_body {
        return round_trip(&bus, &reader, &sized(bed.features().largest_body)).await;
    }
    let (mut fits, mut too_large) = (limit.saturating_sub(8 << 10), limit + 1);
    ensure!(accepted(&bus, &reader, fits).await?, "{fits} bytes are refused, the limit is {limit}");
    ensure!(!accepted(&bus, &reader, too_large).await?, "{too_large} bytes are taken, the limit is {limit}");
    while too_large - fits > 1 {
        let middle = fits.midpoint(too_large);
        if accepted(&bus, &reader, middle).await? {
            fits = middle;
        } else {
            too_large = middle;
        }
    }
    let batch = [message("before"), sized(too_large), message("after")];
    refused_whole(&bus, &reader, batch.to_vec()).await
}

async fn too_large_refuses_the_batch(bed: Bed) -> Outcomes {
    let limit = bed.capabilities().max_message_bytes;
    if limit > bed.features().largest_body {
        return Ok(());
    }
    let bus = bed.open(&[Queue::Priority]).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    let mut batch = numbered(40);
    batch.insert(20, sized(limit + 1));
    refused_whole(&bus, &reader, batch).await
}

async fn header_values(bed: Bed) -> Outcomes {
    const PRINTABLE: [&str; 15] = [
        "plain",
        "",
        "  spaces  at both ends  ",
        "quotes \" ' ` and \\ backslash",
        "/slashes//and?query=1&b=%20%zz",
        "comma, semicolon; equals=a:b",
        "ÄÖÜ ß é 漢字 עברית",
        "emoji 🚀 👩‍👩‍👧 🇩🇪",
        "null",
        "42",
        "{\"json\": [1, 2]}",
        "<xml attribute=\"a\">&amp;</xml>",
        "=?utf-8?q?encoded?=",
        "\u{feff}mark\u{200b}",
        "a tab\tis text",
    ];
    const CONTROL: [&str; 5] = ["line\nfeed", "carriage\r\nreturn", "nul\0", "bell\u{7}", "delete\u{7f}"];
    let bus = bed.open(&[Queue::Priority]).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    for value in PRINTABLE {
        round_trip_attributes(&bus, &reader, value).await?;
    }
    round_trip_attributes(&bus, &reader, &"long ".repeat(200)).await?;
    for value in CONTROL {
        if bed.capabilities().headers == HeaderRule::Any {
            round_trip_attributes(&bus, &reader, value).await?;
            continue;
        }
        for message in with_value(value) {
            let Err(error) = bus.try_publish_one(&Queue::Priority, message).await? else {
                fail!("{value:?} is taken as an attribute's value, the header rule refuses it");
            };
            ensure!(error.kind() == ErrorKind::InvalidHeader, "{value:?} is refused as {:?}", error.kind());
        }
    }
    reader.none("everything else was refused").await
}

async fn header_names(bed: Bed) -> Outcomes {
    const NAMES: [&str; 16] = [
        "plain",
        "UPPER",
        "dash-ed",
        "under_score",
        "dot.ted",
        "with space",
        "sla/sh",
        "quo\"te",
        "co:lon",
        "ünïcödé",
        "🚀",
        "",
        "line\nfeed",
        "ce-id",
        "content-type",
        "123",
    ];
    let bus = bed.open(&[Queue::Priority]).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    for name in NAMES {
        let mut sent = message("named");
        sent.extensions.insert(name.to_owned(), AttributeValue::String("value".to_owned()));
        match bus.try_publish_one(&Queue::Priority, sent.clone()).await? {
            Ok(()) => {
                let got = reader.one().await?;
                same(&sent, &got.message)?;
                reader.ack(got).await?;
            }
            Err(error) => {
                ensure!(error.class() == ErrorClass::Reject, "the name {name:?} is answered with {error}");
            }
        }
    }
    reader.none("everything else was refused").await
}

async fn expired_is_kept(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let now = busway_core::clock::now_ms();
    let quiet = u64::try_from(bed.features().quiet.as_millis()).unwrap_or(0);
    let expiries = [1, now - 60_000, now + 1, now + quiet / 2];
    let messages = expiries.map(|at| message(&format!("expires-{at}")).expires_at(at));
    bus.publish(&Queue::Priority, messages.to_vec()).await?;
    tokio::time::sleep(bed.features().quiet).await;
    bus.reader(&Queue::Priority).await?.drain(expiries.len()).await?;
    bus.reader(&Queue::Dead).await?.none("nothing is dead").await
}

async fn same_id_again(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let sent = rich(7);
    for _ in 0..3 {
        bus.publish(&Queue::Priority, vec![sent.clone()]).await?;
    }
    let reader = bus.reader(&Queue::Priority).await?;
    let mut got = reader.some(3).await?;
    while !got.is_empty() {
        got.iter().try_for_each(|leased| same(&sent, &leased.message))?;
        reader.ack_all(got).await?;
        got = reader.try_receive(3, bed.features().quiet).await??;
    }
    Ok(())
}

async fn round_trip_attributes(bus: &Bus, reader: &Reader, value: &str) -> Outcomes {
    for sent in with_value(value) {
        round_trip(bus, reader, &sent).await.map_err(|failure| failure.during(format!("{value:?}")))?;
    }
    Ok(())
}

async fn round_trip(bus: &Bus, reader: &Reader, sent: &Message) -> Outcomes {
    bus.publish(&Queue::Priority, vec![sent.clone()]).await?;
    let got = reader.one().await?;
    same(sent, &got.message)?;
    reader.ack(got).await
}

/// Messages that have the value in an extension, and in attributes that a broker may map.
fn with_value(value: &str) -> [Message; 2] {
    let mut extended = message("extended");
    extended.extensions.insert("custom".to_owned(), AttributeValue::String(value.to_owned()));
    let mut mapped = message("mapped");
    mapped.subject = Some(value.to_owned());
    mapped.producer = Some(value.to_owned());
    [extended, mapped]
}

fn sized(bytes: usize) -> Message {
    let mut message = message("sized");
    message.data = vec![b'x'; bytes].into();
    message
}

async fn accepted(bus: &Bus, reader: &Reader, bytes: usize) -> Outcomes<bool> {
    let sent = sized(bytes);
    match bus.try_publish_one(&Queue::Priority, sent.clone()).await? {
        Ok(()) => {
            let got = reader.one().await?;
            same(&sent, &got.message)?;
            reader.ack(got).await?;
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::TooLarge => Ok(false),
        Err(error) => fail!("a body of {bytes} bytes is answered with {error}"),
    }
}

async fn refused_whole(bus: &Bus, reader: &Reader, batch: Vec<Message>) -> Outcomes {
    let batch = batch.into_iter().map(|message| Publication::new(Queue::Priority, message)).collect();
    let results = bus.try_publish(batch).await?;
    let taken = results.iter().filter(|result| result.is_ok()).count();
    ensure!(taken == 0, "{taken} entries of a batch over the limit were told as a success");
    let told =
        results.iter().flat_map(|result| result.as_ref().err()).any(|e| e.kind() == ErrorKind::TooLarge);
    ensure!(told, "no entry of a batch over the limit was told as TooLarge");
    reader.none("the batch was refused").await
}
