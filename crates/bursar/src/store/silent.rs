//! A server that has fallen silent: its machine is gone, or what lies between drops everything, and nobody says that the
//! connection is closed. Whoever waited for an answer would wait without end, and with every loop waiting no payment would go
//! on although another server has taken over. So each question to PostgreSQL has an end, and a connection that does not answer
//! is closed and not used again. What is deliberately not here: what the server itself limits (`POSTGRES_SESSION`).

use std::io;
use std::time::Duration;

use sqlx::AnyConnection;
use sqlx::any::AnyPoolOptions;

/// The server gives a statement up after 60 s. A commit may wait longer, for a standby; after this nobody knows whether it was
/// made, as when a connection is lost in it, and whoever asked is told so.
const ANSWERS_WITHIN: Duration = Duration::from_secs(70);

/// So long a connection that nobody uses may take to say that it leads somewhere.
const THERE_WITHIN: Duration = Duration::from_secs(5);

/// One that was given back so lately was asked then.
const JUST_NOW: Duration = Duration::from_millis(200);

/// How long an answer is waited for; without end on SQLite, which is no server.
pub(super) fn patience(connection: &AnyConnection) -> Option<Duration> {
    (connection.backend_name() == "PostgreSQL").then_some(ANSWERS_WITHIN)
}

/// Waits for an answer, at most so long.
pub(super) async fn within<T>(
    most: Option<Duration>,
    answer: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    let Some(most) = most else { return answer.await };
    tokio::time::timeout(most, answer).await.unwrap_or_else(|_| {
        let told = format!("the database was silent for {} s; its connection is closed", most.as_secs());
        Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, told)))
    })
}

/// The same for a transaction that is only beginning.
pub(super) async fn begun<T>(answer: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    within(Some(ANSWERS_WITHIN), answer).await
}

/// A pool that asks each connection, when it is given back and before it is used, whether it still leads to the server, and
/// does not wait without end for that either. One on which something was not answered is closed by this.
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
