//! A gate before a server's replies.

use tokio::sync::watch;

/// Open at first. While it is shut, whoever passes waits until it is opened.
#[derive(Debug)]
pub struct Gate(watch::Sender<bool>);

impl Default for Gate {
    fn default() -> Self {
        Gate(watch::Sender::new(true))
    }
}

impl Gate {
    /// Holds all who pass from now on.
    pub fn shut(&self) {
        self.0.send_replace(false);
    }

    /// Lets all pass.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Returns at once if it is open.
    pub async fn pass(&self) {
        // The sender is `self`'s and outlives the wait.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}
