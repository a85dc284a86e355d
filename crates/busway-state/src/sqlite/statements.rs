//! What is asked of SQLite.

use busway_core::state::{Swap, Versioned};
use bytes::Bytes;
use sqlx::{Connection as _, SqliteConnection, SqliteExecutor};

use crate::bounds::{MAX_KEY, MAX_LIST};

/// A failure, and whether it leaves open what became of a change.
pub(super) struct Failed {
    pub(super) error: sqlx::Error,
    pub(super) at_commit: bool,
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self { error, at_commit: false }
    }
}

/// The value of a key.
pub(super) async fn get(connection: &mut SqliteConnection, key: &str) -> Result<Option<Versioned>, Failed> {
    Ok(select(connection, key).await?)
}

/// The keys that begin with `prefix`, as of one moment; `None` where they are more than a
/// list may have, or their values more than `max_bytes`.
pub(super) async fn list(
    connection: &mut SqliteConnection,
    prefix: &str,
    max_bytes: i64,
) -> Result<Option<Vec<(String, Versioned)>>, Failed> {
    let end = end_of(prefix);
    let mut snapshot = connection.begin().await?;
    let (count, bytes): (i64, i64) = sqlx::query_as(
        "SELECT count(*), coalesce(sum(length(value)), 0) FROM entry WHERE key >= ?1 AND key < ?2",
    )
    .bind(prefix)
    .bind(&end)
    .fetch_one(&mut *snapshot)
    .await?;
    if usize::try_from(count).is_ok_and(|count| count > MAX_LIST) || bytes > max_bytes {
        snapshot.rollback().await?;
        return Ok(None);
    }
    let rows: Vec<(String, i64, Vec<u8>)> =
        sqlx::query_as("SELECT key, version, value FROM entry WHERE key >= ?1 AND key < ?2 ORDER BY key")
            .bind(prefix)
            .bind(&end)
            .fetch_all(&mut *snapshot)
            .await?;
    snapshot.rollback().await?;
    Ok(Some(rows.into_iter().map(|(key, version, value)| (key, versioned(version, value))).collect()))
}

/// Changes a key if it still has the version `expected`.
pub(super) async fn swap(
    connection: &mut SqliteConnection,
    key: &str,
    expected: Option<u64>,
    value: Option<Bytes>,
) -> Result<Swap, Failed> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let current = select(&mut *transaction, key).await?;
    if current.as_ref().map(|current| current.version) != expected {
        transaction.rollback().await?;
        return Ok(Swap::Conflict(current));
    }
    let version: i64 = sqlx::query_scalar("UPDATE counter SET last = last + 1 WHERE id = 1 RETURNING last")
        .fetch_one(&mut *transaction)
        .await?;
    let change = match value {
        Some(value) => sqlx::query(
            "INSERT INTO entry (key, version, value) VALUES (?1, ?2, ?3)
             ON CONFLICT (key) DO UPDATE SET version = excluded.version, value = excluded.value",
        )
        .bind(key)
        .bind(version)
        .bind(Vec::from(value)),
        None => sqlx::query("DELETE FROM entry WHERE key = ?1").bind(key),
    };
    change.execute(&mut *transaction).await?;
    transaction.commit().await.map_err(|error| Failed { error, at_commit: true })?;
    Ok(Swap::Done(version.cast_unsigned()))
}

async fn select(connection: impl SqliteExecutor<'_>, key: &str) -> sqlx::Result<Option<Versioned>> {
    let row: Option<(i64, Vec<u8>)> = sqlx::query_as("SELECT version, value FROM entry WHERE key = ?1")
        .bind(key)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|(version, value)| versioned(version, value)))
}

fn versioned(version: i64, value: Vec<u8>) -> Versioned {
    Versioned { value: value.into(), version: version.cast_unsigned() }
}

/// The first text after all those that begin with `prefix`. SQLite orders text by its UTF-8 bytes,
/// which is the order of the characters.
fn end_of(prefix: &str) -> String {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return end;
        }
    }
    char::MAX.to_string().repeat(MAX_KEY / char::MAX.len_utf8() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_behind_all_that_begin_with_it() {
        assert_eq!(end_of("pause/"), "pause0");
        assert_eq!(end_of("a\u{d7ff}"), "a\u{e000}");
        assert_eq!(end_of("a\u{10ffff}"), "b");
        let longest = "\u{10ffff}".repeat(MAX_KEY / 4);
        assert!(end_of("") > longest);
        assert!(end_of(&longest) > longest);
    }
}
