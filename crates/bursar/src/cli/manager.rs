//! Notifications to the service manager (systemd, `Type=notify`): ready, stopping, and a watchdog ping while the loops
//! run. Without a manager nothing is sent. Not here: when a loop counts as late (`pulse`).

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::pulse::Age;

/// The service manager that started this process, if it wants notifications.
#[derive(Clone, Default)]
pub(super) struct Manager {
    socket: Option<Arc<UnixDatagram>>,
    /// The watchdog interval it expects.
    within: Option<Duration>,
}

impl Manager {
    /// Reads the environment: `NOTIFY_SOCKET`, and `WATCHDOG_USEC` if it is for this process.
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

    /// Sends a notification; a failure must not stop payments.
    pub(super) fn notify(&self, what: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(what.as_bytes()) {
            tracing::warn!(%error, what, "the service manager did not take what it was told");
        }
    }

    /// Sends watchdog pings as long as any loop is alive. If all stall, the pings stop, and the manager restarts the
    /// process; its leases in the database lapse. A single stalled loop, for example behind an unresponsive mail server
    /// or vendor, does not stop the others; health, metrics and the log report it.
    pub(super) async fn watch(self, app: App) {
        let Some(within) = self.within.filter(|_| self.socket.is_some()) else { return };
        loop {
            if alive(&app.nudge.pulse.ages(app.clock.now())) {
                self.notify("WATCHDOG=1");
            }
            tokio::time::sleep(within / 3).await;
        }
    }
}

fn alive(ages: &[Age]) -> bool {
    ages.iter().any(|age| !age.late)
}

/// A non-blocking socket connected to a path, or to an abstract address that begins with `@`.
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

/// The watchdog interval in the environment, if it is meant for this process.
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
