//! The tables and their version.

use std::path::Path;
use std::time::{Duration, Instant};

use busway_core::{Error, ErrorKind, Result};
use sqlx::sqlite::SqliteJournalMode;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};

use super::{Limits, file};
use crate::error::{damaged, from_io, from_sqlx, is_busy};

/// What leads from each version of the file to the next. The version is SQLite's `user_version`;
/// an entry that has been released is never changed.
///
/// `counter` holds the last version given to any key, so that none comes twice, not even after a
/// key was removed.
const MIGRATIONS: [&str; 1] = ["
CREATE TABLE entry (
    key     TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    value   BLOB NOT NULL
) STRICT;
CREATE TABLE counter (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    last INTEGER NOT NULL
) STRICT;
INSERT INTO counter (id, last) VALUES (1, 0);
"];

/// `bway`, by which a file is known as ours.
const APPLICATION_ID: i64 = 0x6277_6179;

/// Files up to this size are checked whole when they are opened.
const CHECKED_BYTES: i64 = 32 << 20;

/// Opens the file in WAL mode, with its tables as this version knows them.
pub(super) async fn open(path: &Path, limits: Limits) -> Result<SqliteConnection> {
    file::prepare(path).map_err(|e| from_io("open state", path, e))?;
    let failed = |e| from_sqlx("open state", path, e);
    let mut connection = connect(path, limits).await.map_err(failed)?;
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut connection).await.map_err(failed)?;
    if mode != "wal" {
        return Err(Error::new("open state", ErrorKind::Unsupported, "the file system has no shared memory")
            .at(path.display())
            .advise("put the state file on a local disk"));
    }
    migrate(&mut connection, path).await?;
    check(&mut connection, path).await?;
    Ok(connection)
}

/// Connects and turns WAL on. SQLite does not wait by itself for the lock that this takes while
/// the file is new.
async fn connect(path: &Path, limits: Limits) -> sqlx::Result<SqliteConnection> {
    let options = file::options(path, limits).journal_mode(SqliteJournalMode::Wal);
    let deadline = Instant::now() + limits.lock;
    loop {
        match options.connect().await {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            result => return result,
        }
    }
}

async fn migrate(connection: &mut SqliteConnection, path: &Path) -> Result<()> {
    let failed = |e| from_sqlx("open state", path, e);
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let known = MIGRATIONS.len();
    let (version, application, tables): (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT user_version FROM pragma_user_version),
                (SELECT application_id FROM pragma_application_id),
                (SELECT count(*) FROM sqlite_schema)",
    )
    .fetch_one(&mut *transaction)
    .await
    .map_err(failed)?;
    let is_new = version == 0 && application == 0 && tables == 0;
    if !is_new && application != APPLICATION_ID {
        return Err(foreign(path));
    }
    let version = usize::try_from(version).map_err(|_| foreign(path))?;
    if version > known {
        let detail =
            format!("the state file is of a newer version, {version}; this program knows up to {known}");
        return Err(Error::new("open state", ErrorKind::Version, detail)
            .at(path.display())
            .advise("upgrade this program"));
    }
    for (migration, reached) in MIGRATIONS.iter().zip(1..).skip(version) {
        let marks = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {reached}");
        sqlx::raw_sql(*migration).execute(&mut *transaction).await.map_err(failed)?;
        sqlx::raw_sql(AssertSqlSafe(marks)).execute(&mut *transaction).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

/// Looks for damage where that is quick; elsewhere it is found when it is met.
async fn check(connection: &mut SqliteConnection, path: &Path) -> Result<()> {
    let failed = |e| from_sqlx("open state", path, e);
    let size: i64 =
        sqlx::query_scalar("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
    if size > CHECKED_BYTES {
        return Ok(());
    }
    let finding: String =
        sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(connection).await.map_err(failed)?;
    if finding == "ok" { Ok(()) } else { Err(damaged(path, &finding)) }
}

fn foreign(path: &Path) -> Error {
    Error::new("open state", ErrorKind::Conflict, "the file is another program's database")
        .at(path.display())
        .class_of(busway_core::ErrorClass::Fatal)
        .advise("name a file that is not there yet, or busway's own")
}
