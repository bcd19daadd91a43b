//! How reads about payments were answered, and how much the caller can conclude from them. Not here: making the reads,
//! and what an answer does to a payment (`settle`).

/// How a read was answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    /// There is nothing to ask the vendor about yet.
    NotAsked,
    /// The vendor returned the object's state.
    Told,
    /// The vendor says that the object does not exist, or that we may not see it.
    Unseen,
    /// The response cannot be parsed, is about another object, or has a status we do not know.
    Unusable,
    Silent,
}

/// The overall result of reading payments: that of the worst answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum LookupOutcome {
    /// Every read was answered, and the results are recorded.
    Through,
    /// The vendor does not show us something.
    NotShown,
    /// The vendor does not report everything yet, and will within hours.
    NotYet,
    /// A read got no response, or an unusable one.
    NotAnswered,
}

impl Answer {
    /// What the answer allows us to conclude. `hidden`: the transfer was reported, but not what has left the payee's
    /// balance.
    pub(super) fn looked(self, hidden: bool) -> LookupOutcome {
        match self {
            Self::NotAsked | Self::Told if !hidden => LookupOutcome::Through,
            Self::NotAsked | Self::Told | Self::Unseen => LookupOutcome::NotShown,
            Self::Unusable | Self::Silent => LookupOutcome::NotAnswered,
        }
    }
}
