//! Named points before and after every commit and every vendor call. A test harness that started the process can kill
//! it there, pause it, or change its clock, to prove that a crash at any of these moments is safe. Points exist only in
//! builds with debug assertions, like [`payout::planted`], and do nothing unless `BURSAR_POINTS_SOCKET` names the
//! harness's socket. Not here: which points matter and what happens there (`bursar-sim crash`).

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PointSide {
    /// About to happen.
    Before,
    /// Done, but nothing that follows from it is.
    After,
}

/// The enclosing function's name with its module, used to name a commit.
#[macro_export]
macro_rules! this_function {
    () => {{
        fn here() {}
        $crate::points::function_of(std::any::type_name_of_val(&here))
    }};
}

/// The function that contains a path: `bursar::ops::pay::press::{{closure}}::here` is `ops::pay::press`.
pub fn function_of(path: &'static str) -> &'static str {
    let path = path.strip_prefix("bursar::").unwrap_or(path);
    let inside = path.find("::{{closure}}").or_else(|| path.rfind("::here"));
    inside.and_then(|end| path.get(..end)).unwrap_or(path)
}

/// A call's method and path with object ids replaced: `POST /v1/transfers/{id}/reversals`.
pub fn call_of(method: &str, path: &str) -> String {
    let one_object = |part: &str| {
        let a_word = ["v1", "v2", "oauth2"].contains(&part);
        let written_by_a_machine =
            part.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
        part.starts_with("acct_") || (written_by_a_machine && !a_word)
    };
    let parts = path.split('/').map(|part| if one_object(part) { "{id}" } else { part });
    format!("{method} {}", parts.collect::<Vec<_>>().join("/"))
}

#[cfg(debug_assertions)]
pub use led::{pass, pass_call};

#[cfg(debug_assertions)]
mod led {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::net::UnixStream;
    use std::sync::{Mutex, OnceLock, PoisonError};

    use super::{PointSide, call_of};
    use crate::clock;

    static LEADER: OnceLock<Option<Mutex<BufReader<UnixStream>>>> = OnceLock::new();

    fn leader() -> Option<&'static Mutex<BufReader<UnixStream>>> {
        let connected = || {
            let socket = std::env::var_os("BURSAR_POINTS_SOCKET")?;
            match UnixStream::connect(&socket) {
                Ok(stream) => Some(Mutex::new(BufReader::new(stream))),
                Err(error) => {
                    tracing::error!(?socket, %error, "nobody leads at this socket; no point is passed on");
                    None
                }
            }
        };
        LEADER.get_or_init(connected).as_ref()
    }

    /// Waits at a point until the harness replies. The reply carries how far to run this process's clock ahead of the
    /// machine's, in microseconds, and which planted fault to enable, if any.
    pub fn pass(side: PointSide, what: &str) {
        let Some(leader) = leader() else { return };
        let mut leader = leader.lock().unwrap_or_else(PoisonError::into_inner);
        let side = match side {
            PointSide::Before => "before",
            PointSide::After => "after",
        };
        let mut answer = String::new();
        let asked = leader.get_mut().write_all(format!("{side} {what}\n").as_bytes());
        if asked.is_err() || leader.read_line(&mut answer).is_err() {
            return;
        }
        let mut words = answer.split_whitespace();
        if let Some(ahead_us) = words.next().and_then(|word| word.parse().ok()) {
            clock::set_ahead(ahead_us);
        }
        if let Some(wrong) = words.next() {
            payout::planted::choose(wrong);
        }
    }

    /// A point around a vendor call.
    pub fn pass_call(side: PointSide, method: &str, path: &str) {
        if leader().is_some() {
            pass(side, &call_of(method, path));
        }
    }
}

/// Without debug assertions this does nothing.
#[cfg(not(debug_assertions))]
pub const fn pass(_side: PointSide, _what: &str) {}

/// Without debug assertions this does nothing.
#[cfg(not(debug_assertions))]
pub const fn pass_call(_side: PointSide, _method: &str, _path: &str) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_called_after_its_function() {
        let inside = || this_function!();
        assert_eq!(inside(), "points::tests::a_commit_is_called_after_its_function");
        assert_eq!(function_of("bursar::ops::pay::press::{{closure}}::{{closure}}::here"), "ops::pay::press");
        assert_eq!(function_of("bursar::work::Work::note::here"), "work::Work::note");
    }

    #[test]
    fn a_call_is_named_without_its_object() {
        let named = [
            ("POST", "/v1/transfers", "POST /v1/transfers"),
            ("POST", "/v1/transfers/tr_1Sim0004/reversals", "POST /v1/transfers/{id}/reversals"),
            ("GET", "/v1/accounts/acct_sim_closed_bo", "GET /v1/accounts/{id}"),
            (
                "POST",
                "/v1/payments/payouts-item/8AELMXH8UB2P8/cancel",
                "POST /v1/payments/payouts-item/{id}/cancel",
            ),
            ("POST", "/v1/oauth2/token", "POST /v1/oauth2/token"),
        ];
        for (method, path, name) in named {
            assert_eq!(call_of(method, path), name);
        }
    }
}
