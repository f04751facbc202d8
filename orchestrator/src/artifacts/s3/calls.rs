//! Calls that block, carried out by a runtime of the store's own.

use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use super::heard::Heard;
use super::{Call, Trouble};

/// Requests that are under way at the same time, over all calls.
const MAX_REQUESTS: usize = 16;
/// Words that wait to be told.
const MAX_WORDS: usize = 64;
/// How often it is looked whether there is room for the last word.
const ROOM_POLL: Duration = Duration::from_millis(10);
/// How much later than its deadline a call may end: an upload that is given up is taken back by one more request.
const GRACE: Duration = Duration::from_secs(20);

/// The runtime. Requests themselves block threads of its own.
pub(super) struct Worker {
    runtime: Option<Runtime>,
}

/// What a call says on its way.
enum Word<T> {
    Bytes(u64),
    End(Result<T, Trouble>),
}

/// How a call tells of its way, and until when it may take.
#[derive(Clone)]
pub(super) struct Way {
    tell: Arc<dyn Fn(u64) + Send + Sync>,
    /// Until when.
    pub(super) deadline: tokio::time::Instant,
}

impl Way {
    /// So many bytes of the file are done.
    pub(super) fn tell(&self, bytes: u64) {
        (self.tell)(bytes);
    }
}

impl Worker {
    pub(super) fn start() -> std::io::Result<Worker> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).max_blocking_threads(MAX_REQUESTS).thread_name("artifacts").enable_time();
        Ok(Worker { runtime: Some(builder.build()?) })
    }

    /// Carries work out until it is done or its deadline has passed; what went wrong is told by what the server said.
    pub(super) fn call<T, F>(
        &self,
        call: &mut Call<'_>,
        bucket: &str,
        work: impl FnOnce(Way) -> F + Send + 'static,
    ) -> Result<T, Trouble>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Trouble>> + Send + 'static,
    {
        let Some(runtime) = &self.runtime else { return Err(Trouble::Other("the store was closed".to_owned())) };
        let (sender, receiver) = sync_channel(MAX_WORDS);
        let (deadline, bucket) = (call.deadline, bucket.to_owned());
        let on_way = sender.clone();
        // Whoever waits may be slow: what can't be told now is told with the next bytes.
        let tell = move |bytes| drop(on_way.try_send(Word::Bytes(bytes)));
        let way = Way { tell: Arc::new(tell), deadline: tokio::time::Instant::from_std(deadline) };
        let task = runtime.spawn(async move {
            let heard = Heard::default();
            // The work takes back what it began: it looks at the deadline itself, and this is for what hangs.
            let bounded = tokio::time::timeout_at(way.deadline + GRACE / 2, heard.listen(work(way.clone()))).await;
            let done = bounded.unwrap_or_else(|_| Err(Trouble::Deadline(String::new())));
            end(&sender, done.map_err(|trouble| heard.trouble(trouble, &bucket))).await;
        });
        let ended = wait(&receiver, deadline + GRACE, call.progress);
        task.abort();
        ended
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may be dropped where nobody may wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Tells the end, once there is room: words before it are still taken.
async fn end<T>(sender: &SyncSender<Word<T>>, done: Result<T, Trouble>) {
    let mut word = Word::End(done);
    // Whoever waited may have left: then nobody wants to know.
    while let Err(TrySendError::Full(back)) = sender.try_send(word) {
        word = back;
        tokio::time::sleep(ROOM_POLL).await;
    }
}

fn wait<T>(receiver: &Receiver<Word<T>>, until: Instant, progress: &mut dyn FnMut(u64)) -> Result<T, Trouble> {
    loop {
        match receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Word::Bytes(bytes)) => progress(bytes),
            Ok(Word::End(done)) => return done,
            Err(RecvTimeoutError::Timeout) => return Err(Trouble::Deadline(String::new())),
            Err(RecvTimeoutError::Disconnected) => return Err(Trouble::Other("its thread has ended".to_owned())),
        }
    }
}
