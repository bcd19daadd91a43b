//! Timeouts for an unresponsive server: its host is down or the network drops packets, so nothing closes the
//! connection. A caller would wait forever, and with every loop waiting, payments would stop even after a failover. So
//! every request to PostgreSQL has a timeout, and a connection that misses it is closed and not reused. Not here: the
//! server's own timeouts (`POSTGRES_SESSION`).

use std::io;
use std::time::Duration;

use sqlx::AnyConnection;
use sqlx::any::AnyPoolOptions;

/// The server aborts a statement after 60 s. A commit may take longer, waiting for a standby. After this timeout its
/// outcome is unknown, as after a lost connection, and the caller is told so.
const ANSWERS_WITHIN: Duration = Duration::from_secs(70);

/// The timeout for checking an idle connection.
const THERE_WITHIN: Duration = Duration::from_secs(5);

/// A connection released less than this ago was checked on release.
const JUST_NOW: Duration = Duration::from_millis(200);

/// The response timeout; none on SQLite, which is not a server.
pub(super) fn patience(connection: &AnyConnection) -> Option<Duration> {
    (connection.backend_name() == "PostgreSQL").then_some(ANSWERS_WITHIN)
}

/// Waits for an answer up to the timeout.
pub(super) async fn within<T>(
    most: Option<Duration>,
    answer: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    let Some(most) = most else { return answer.await };
    tokio::time::timeout(most, answer).await.unwrap_or_else(|_| {
        let message = format!("the database was silent for {} s; its connection is closed", most.as_secs());
        Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, message)))
    })
}

/// The same for starting a transaction.
pub(super) async fn begun<T>(answer: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    within(Some(ANSWERS_WITHIN), answer).await
}

/// A pool that checks each connection on release and before use, with a timeout. A connection that fails the check is
/// closed.
pub(super) fn asks(options: AnyPoolOptions) -> AnyPoolOptions {
    options
        .test_before_acquire(false)
        .before_acquire(|connection, of| {
            Box::pin(async move {
                if of.idle_for >= JUST_NOW {
                    is_there(connection).await?;
                }
                super::has_no_transaction(connection).await
            })
        })
        .after_release(|connection, _| Box::pin(async move { is_there(connection).await.map(|()| true) }))
}

async fn is_there(connection: &mut AnyConnection) -> sqlx::Result<()> {
    within(Some(THERE_WITHIN), sqlx::Connection::ping(connection)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_that_does_not_come_is_an_error_of_the_connection() {
        let most = Some(Duration::from_millis(20));
        let never = std::future::pending::<sqlx::Result<()>>();
        let error = crate::store::StoreError::from(within(most, never).await.unwrap_err());
        assert!(error.away() && !error.try_again(), "{error}");
        assert!(error.to_string().contains("silent"), "{error}");
        assert_eq!(within(most, async { Ok(7) }).await.unwrap(), 7);
    }
}
