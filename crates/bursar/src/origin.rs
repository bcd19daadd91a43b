//! The address that the request being handled came from. The audit trail notes it with every row that the request causes, so
//! no verb has to pass it on. Not here: what more is known of a request's origin (`Actor::came_from`), and finding the
//! address out (`web::kit::client`).

use std::net::IpAddr;

use tokio::task::JoinHandle;
use tracing::Instrument as _;

tokio::task_local! {
    static ADDRESS: String;
}

/// Handles a request that came from this address.
pub async fn of_request<T>(address: String, answer: impl Future<Output = T>) -> T {
    ADDRESS.scope(address, answer).await
}

/// Spawns a task that handles the same request: it keeps the origin and the log's span.
pub fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(kept(task.in_current_span()))
}

/// The same future, with the origin of the request that makes it.
fn kept<T>(answer: impl Future<Output = T>) -> impl Future<Output = T> {
    let address = ADDRESS.try_with(Clone::clone).unwrap_or_default();
    ADDRESS.scope(address, answer)
}

/// The address of the request being handled; `None` outside of a request, and where it is unknown.
pub fn address() -> Option<String> {
    ADDRESS.try_with(Clone::clone).ok().filter(|address| !address.is_empty())
}

/// The address that an [`crate::app::Actor::came_from`] begins with; `None` if it is unknown. Whatever follows may be forged.
pub fn address_of(came_from: &str) -> Option<IpAddr> {
    came_from.split(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_real_address_is_repeated() {
        let of = |came_from: &str| address_of(came_from).map(|address| address.to_string());
        assert_eq!(of("203.0.113.9, for 10.0.0.1, Firefox").as_deref(), Some("203.0.113.9"));
        assert_eq!(of("2001:db8::7").as_deref(), Some("2001:db8::7"));
        for unknown in ["", "an unknown address, Firefox", "https://evil.example, 203.0.113.9"] {
            assert_eq!(of(unknown), None, "{unknown}");
        }
    }
}
