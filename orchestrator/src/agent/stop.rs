use tokio::sync::watch;

/// How urgently the work is to stop: 0 not at all; 1 no more runs are started; 2 those under way are ended; 3 whoever
/// waits leaves. It never goes back.
#[derive(Debug, Default)]
pub struct Stop(watch::Sender<u32>);

impl Stop {
    /// How urgent it is.
    pub fn times(&self) -> u32 {
        *self.0.borrow()
    }

    /// Makes it at least so urgent.
    pub fn raise(&self, times: u32) {
        self.0.send_if_modified(|now| {
            let is_more = times > *now;
            *now = times.max(*now);
            is_more
        });
    }

    /// Waits until it is at least so urgent.
    pub async fn reached(&self, times: u32) {
        // The sender lives as long as this value.
        let _ = self.0.subscribe().wait_for(|now| *now >= times).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_only_grows() {
        let stop = Stop::default();
        stop.raise(2);
        stop.raise(1);
        assert_eq!(stop.times(), 2);
        stop.reached(1).await;
    }
}
