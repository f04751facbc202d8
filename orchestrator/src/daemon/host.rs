//! What is done about this host, and what is told of the others.

use crate::lab::HostNews;

use super::Daemon;

impl Daemon {
    /// Goes by what is known of the lab's hosts from now on. A host that is drained begins nothing: runs under way end,
    /// their sweeps wait, and what becomes due waits, too.
    pub fn go_by_hosts(&mut self, news: &HostNews) {
        let about = news.troubles.keys().cloned().collect();
        for over in std::mem::replace(&mut self.troubles_of_hosts, about) {
            if !news.troubles.contains_key(&over) {
                self.note(&over, None);
            }
        }
        for (about, trouble) in &news.troubles {
            self.note(about, Some(trouble.clone()));
        }
        self.drained_by.clone_from(&news.drained_by);
        if self.drained_by.is_some() {
            let tasks = self.tasks.values().chain(self.submitted.values());
            tasks.filter(|task| !task.is_end).for_each(|task| task.stop.raise(1));
        }
    }
}
