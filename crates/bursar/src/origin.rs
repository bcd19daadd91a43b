//! The address that the request being handled came from. The audit trail notes it with every row that the request causes, so
//! no verb has to pass it on. Not here: what more is known of a request's origin (`Actor::came_from`), and finding the
//! address out (`web::kit::client`).

tokio::task_local! {
    static ADDRESS: String;
}

/// Handles a request that came from this address.
pub async fn of_request<T>(address: String, answer: impl Future<Output = T>) -> T {
    ADDRESS.scope(address, answer).await
}

/// Keeps the origin for a task that handles the same request.
pub fn kept<T>(answer: impl Future<Output = T>) -> impl Future<Output = T> {
    let address = ADDRESS.try_with(Clone::clone).unwrap_or_default();
    ADDRESS.scope(address, answer)
}

/// The address of the request being handled; `None` outside of a request, and where it is unknown.
pub fn address() -> Option<String> {
    ADDRESS.try_with(Clone::clone).ok().filter(|address| !address.is_empty())
}
