//! Rows and files of the state store.

use std::fs;
use std::time::Duration;

use busway_core::clock::now_ms;
use busway_core::{Error, State, state};
use busway_state::SqliteState;
use bytes::Bytes;

use crate::bounds::{block_on, bounded, brief, folder};

/// The longest that an endpoint is left alone, and a moment.
const LONGEST: Duration = Duration::from_secs(24 * 3_600 + 60);

/// What is remembered of an endpoint.
pub(crate) fn gate_row(input: &[u8]) {
    let Some(row) = bounded(input.len(), || busway_runtime::fuzz::gate_row(input)) else { return };
    for (name, until) in row.as_object().expect("an object") {
        let longest = now_ms() + u64::try_from(LONGEST.as_millis()).unwrap_or(u64::MAX);
        assert!(until.as_u64().is_none_or(|until| until <= longest), "{name} waits until {until}");
    }
    assert!(busway_runtime::fuzz::gate_row(row.to_string().as_bytes()).is_some());
}

/// The file of a store.
pub(crate) fn file(input: &[u8]) {
    let folder = folder();
    let path = folder.path().join("state.db");
    fs::write(&path, input).unwrap();
    block_on(async {
        match SqliteState::open(&path).await {
            Ok(state) => {
                if let Err(error) = use_it(&state).await {
                    brief(error);
                }
                state.close().await.ok();
            }
            Err(error) => {
                let text = brief(error);
                assert!(text.contains("state.db"), "the file is not named: {text}");
            }
        }
    });
}

/// Reads all, and changes a key; what was told to be done is there.
async fn use_it(store: &SqliteState) -> Result<(), Error> {
    store.list("").await?;
    state::put(store, "pause/endpoint/it", Some(Bytes::from_static(b"1"))).await?;
    let kept = store.get("pause/endpoint/it").await?;
    assert_eq!(kept.map(|kept| kept.value).as_deref(), Some(&b"1"[..]));
    Ok(())
}
