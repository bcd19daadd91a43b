//! What the service manager is told (systemd, `Type=notify`): that Bursar works, that it is stopping, and, while its loops go
//! round, that it lives. Without a manager nothing is told. What is deliberately not here: what a loop is late by (`pulse`).

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::pulse::Age;

/// The one that started this process, where it wants to be told.
#[derive(Clone, Default)]
pub(super) struct Manager {
    socket: Option<Arc<UnixDatagram>>,
    /// Within what time it wants to hear that this process lives.
    within: Option<Duration>,
}

impl Manager {
    /// As the environment names it: `NOTIFY_SOCKET`, and `WATCHDOG_USEC` for this process.
    pub(super) fn from_environment() -> Self {
        let var = |name| std::env::var(name).ok();
        let socket = std::env::var_os("NOTIFY_SOCKET").filter(|place| !place.is_empty());
        let socket = socket.and_then(|place| match connected(&place) {
            Ok(socket) => Some(Arc::new(socket)),
            Err(error) => {
                tracing::warn!(%error, ?place, "the service manager cannot be told how this process is");
                None
            }
        });
        Self { socket, within: within(var("WATCHDOG_USEC"), var("WATCHDOG_PID"), std::process::id()) }
    }

    /// Tells it; what it does not take is not worth a payment.
    pub(super) fn tell(&self, what: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(what.as_bytes()) {
            tracing::warn!(%error, what, "the service manager did not take what it was told");
        }
    }

    /// Tells it that this process lives, for as long as any of its loops does. Where all stand still nothing is told, and the
    /// manager ends this process and starts another: what it held in the database lapses. One loop that stands still, behind a
    /// mail server or a vendor that does not answer, is no reason to end the others; health, metrics and the log tell of it.
    pub(super) async fn watch(self, app: App) {
        let Some(within) = self.within.filter(|_| self.socket.is_some()) else { return };
        loop {
            if alive(&app.nudge.pulse.ages(app.clock.now())) {
                self.tell("WATCHDOG=1");
            }
            tokio::time::sleep(within / 3).await;
        }
    }
}

fn alive(ages: &[Age]) -> bool {
    ages.iter().any(|age| !age.late)
}

/// A socket to a place in the file system, or to an abstract one, which begins with `@`. It never waits.
fn connected(place: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    let address = match place.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        Some(_) | None => SocketAddr::from_pathname(place)?,
    };
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// What the environment says of the watchdog, where it is said to this process.
fn within(usec: Option<String>, of: Option<String>, process: u32) -> Option<Duration> {
    let ours = of.is_none_or(|of| of.parse() == Ok(process));
    let usec: u64 = usec.filter(|_| ours)?.parse().ok()?;
    (usec > 0).then(|| Duration::from_micros(usec))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_lives_while_any_of_its_loops_does() {
        let age = |name, late| Age { name, age_us: 7, late };
        assert!(alive(&[age("sweep", false), age("notify", false)]));
        assert!(alive(&[age("sweep", false), age("notify", true)]), "one stands still behind a mail server");
        assert!(!alive(&[age("sweep", true), age("notify", true)]), "all stand still");
        assert!(!alive(&[]), "none goes round");
    }

    #[test]
    fn the_watchdog_is_told_of_to_one_process() {
        let told = |usec: &str, of: Option<&str>| within(Some(usec.to_owned()), of.map(str::to_owned), 7);
        assert_eq!(told("3000000", None), Some(Duration::from_secs(3)));
        assert_eq!(told("3000000", Some("7")), Some(Duration::from_secs(3)));
        for (usec, of) in [("3000000", Some("8")), ("3000000", Some("")), ("0", None), ("soon", None)] {
            assert_eq!(told(usec, of), None, "{usec} {of:?}");
        }
        assert_eq!(within(None, None, 7), None);
    }
}
