//! Payment outcomes scripted by a destination's name (the crate documentation has the table).
//!
//! Not here: how each vendor implements them (`stripe::transfer`, `stripe::payout`, `paypal::settle`).

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scene {
    Closed,
    NoAccount,
    Restricted,
    PaidThenFailed,
    Slow,
    Unclaimed,
    UnclaimedThenReturned,
    Held,
    Blocked,
    Refunded,
    Denied,
    Limit,
    Minimum,
    Refused,
}

/// Longer names first: `unclaimed` begins `unclaimed_then_returned`.
const NAMES: [(&str, Scene); 14] = [
    ("unclaimed_then_returned", Scene::UnclaimedThenReturned),
    ("paid_then_failed", Scene::PaidThenFailed),
    ("no_account", Scene::NoAccount),
    ("restricted", Scene::Restricted),
    ("unclaimed", Scene::Unclaimed),
    ("refunded", Scene::Refunded),
    ("blocked", Scene::Blocked),
    ("refused", Scene::Refused),
    ("closed", Scene::Closed),
    ("denied", Scene::Denied),
    ("minimum", Scene::Minimum),
    ("limit", Scene::Limit),
    ("slow", Scene::Slow),
    ("held", Scene::Held),
];

impl Scene {
    /// `acct_sim_<scene>` with anything after an underscore.
    pub(crate) fn of_account(id: &str) -> Option<Scene> {
        id.strip_prefix("acct_sim_").and_then(|rest| Scene::leading(rest, &['_']))
    }

    /// `sim-<scene>` with anything after a hyphen, or nothing before the `@`.
    pub(crate) fn of_receiver(address: &str) -> Option<Scene> {
        address.strip_prefix("sim-").and_then(|rest| Scene::leading(rest, &['-', '_', '@', '+']))
    }

    fn leading(rest: &str, ends: &[char]) -> Option<Scene> {
        let named = |(name, _): &&(&str, Scene)| {
            rest.strip_prefix(name).is_some_and(|after| after.is_empty() || after.starts_with(ends))
        };
        NAMES.iter().find(named).map(|(_, scene)| *scene)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_whole() {
        assert_eq!(Scene::of_account("acct_sim_closed_ana"), Some(Scene::Closed));
        assert_eq!(
            Scene::of_account("acct_sim_unclaimed_then_returned_1"),
            Some(Scene::UnclaimedThenReturned)
        );
        assert_eq!(Scene::of_account("acct_sim_unclaimed"), Some(Scene::Unclaimed));
        assert_eq!(Scene::of_account("acct_sim_slowly_1"), None);
        assert_eq!(Scene::of_account("acct_closed"), None);
        assert_eq!(Scene::of_receiver("sim-paid_then_failed-1@example.com"), Some(Scene::PaidThenFailed));
        assert_eq!(Scene::of_receiver("sim-held@example.com"), Some(Scene::Held));
        assert_eq!(Scene::of_receiver("ana@example.com"), None);
    }
}
