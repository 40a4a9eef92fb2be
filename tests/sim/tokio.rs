//! What the world's scheduler relies on tokio for.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

/// More than tokio's usual event interval, many times over.
const TASKS: u32 = 10_000;

#[test]
#[expect(clippy::disallowed_methods, reason = "it is tokio's own spawn that is looked at")]
fn the_root_future_is_polled_only_when_no_task_can_run() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .event_interval(u32::MAX)
        .build()
        .expect("a runtime can be built");
    let ended = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&ended);
    runtime.block_on(async {
        tokio::spawn(async move {
            for _ in 0..TASKS {
                let counted = Arc::clone(&counted);
                tokio::spawn(async move { counted.fetch_add(1, Ordering::Relaxed) });
            }
        });
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            if polls == 1 { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    });
    assert_eq!(ended.load(Ordering::Relaxed), TASKS);
}
