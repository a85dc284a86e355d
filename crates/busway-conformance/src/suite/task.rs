//! A task of a case that ends with the case.

use tokio::task::JoinHandle;

use super::{Failure, Outcomes};

/// A running task; dropping it ends it.
pub(crate) struct Task<T>(JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    pub(crate) fn start(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }

    /// Waits for its end; its panic is a failure.
    pub(crate) async fn end(mut self) -> Outcomes<T> {
        (&mut self.0).await.map_err(|error| match error.try_into_panic() {
            Ok(payload) => Failure::new(format!("panicked: {}", panic_text(&*payload))),
            Err(_) => Failure::new("the task was cancelled"),
        })
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}
