//! Work of the transports that a caller's task carries: what it waits for wakes the caller itself, and
//! no thread between.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// Work that goes on where its caller leaves it: dropped, it is finished on the transports' runtime.
pub(crate) struct Carried<T: Send + 'static> {
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    io: Handle,
}

impl<T: Send + 'static> Carried<T> {
    pub(crate) fn new(io: &Handle, work: impl Future<Output = T> + Send + 'static) -> Self {
        Self { work: Some(Box::pin(work)), io: io.clone() }
    }
}

impl<T: Send + 'static> Future for Carried<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Self { work, io } = &mut *self;
        let Some(carried) = work else { return Poll::Pending };
        // What the work spawns, and its timers, must outlive the caller's runtime.
        let _inside = io.enter();
        let done = carried.as_mut().poll(cx);
        if done.is_ready() {
            *work = None;
        }
        done
    }
}

impl<T: Send + 'static> Drop for Carried<T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.io.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::time::Duration;

    use futures_util::poll;
    use tokio::runtime::{Builder, Runtime};
    use tokio::sync::oneshot;

    use super::*;

    fn io() -> Runtime {
        Builder::new_multi_thread().worker_threads(1).thread_name("the-io").enable_all().build().unwrap()
    }

    fn caller() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn what_its_caller_leaves_is_finished() {
        let io = io();
        let (go, gone) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let mut carried = Carried::new(io.handle(), async move {
            gone.await.unwrap();
            tell.send(std::thread::current().name().map(str::to_owned)).unwrap();
        });
        caller().block_on(async { assert!(poll!(&mut carried).is_pending()) });
        drop(carried);
        go.send(()).unwrap();
        let thread = told.recv_timeout(Duration::from_secs(30)).unwrap();
        assert_eq!(thread.as_deref(), Some("the-io"));
    }

    #[test]
    fn its_timers_and_tasks_are_those_of_the_transports() {
        let io = io();
        let carried = Carried::new(io.handle(), async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let spawned = tokio::spawn(async { std::thread::current().name().map(str::to_owned) });
            spawned.await.unwrap()
        });
        // The caller's runtime has no timers.
        assert_eq!(caller().block_on(carried).as_deref(), Some("the-io"));
    }
}
