//! How the suite gets at the transport under test.

use std::sync::Arc;

use async_trait::async_trait;
use busway_core::Transport;
use busway_core::error::Result;

/// Opens the transport under test. Each case works in a namespace of its own, so that cases run
/// beside each other and see nothing of one another.
#[async_trait]
pub trait Factory: Send + Sync + 'static {
    /// Opens the storage of this namespace, made where it does not exist: one opened again finds
    /// what was in it. A namespace has the form of a bus's name and at most 20 characters.
    ///
    /// An error of class retry (the last owner has not let go yet) is tried again for a while.
    ///
    /// # Errors
    /// Whatever the transport's connect says.
    async fn open(&self, namespace: &str) -> Result<Arc<dyn Transport>>;

    /// Ends a transport the hard way, without [`Transport::close`]. The senders, receivers and
    /// receipts of it have been dropped or are dropped right after.
    ///
    /// Dropping it is what this does unless something harder can be done.
    ///
    /// # Errors
    /// Where it could not be ended.
    async fn crash(&self, namespace: &str, transport: Arc<dyn Transport>) -> Result<()> {
        let _ = namespace;
        drop(transport);
        Ok(())
    }

    /// Removes all that a case has left in its namespace; nothing unless implemented.
    ///
    /// # Errors
    /// Where something could not be removed; the report tells it, the case's own verdict stands.
    async fn remove(&self, namespace: &str) -> Result<()> {
        let _ = namespace;
        Ok(())
    }
}
