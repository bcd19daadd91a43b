//! How questions about payments were answered, and what a look that asked them is worth to whoever acts on it. What is
//! deliberately not here: asking, and what an answer does to a payment (`settle`).

/// How a question was answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    /// The vendor has nothing that it could be asked about yet.
    NotAsked,
    /// It told how its object stands.
    Told,
    /// It told that it has no such object, or none for us.
    Unseen,
    /// It told something that cannot be read, is about something else, or is a word that nobody here knows.
    Unusable,
    /// It did not answer.
    Silent,
}

/// How far a look at payments went: how the worst of its questions was answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Looked {
    /// Every question was answered, and what was told is recorded.
    Through,
    /// The vendor answered that it does not show something to us.
    NotShown,
    /// It does not tell everything yet, and will within hours.
    NotYet,
    /// It did not answer a question, or not so that it could be used.
    NotAnswered,
}

impl Answer {
    /// What it is worth; `hidden` is that the transfer was told of, and what has left the payee's balance was not shown.
    pub(super) fn looked(self, hidden: bool) -> Looked {
        match self {
            Self::NotAsked | Self::Told if !hidden => Looked::Through,
            Self::NotAsked | Self::Told | Self::Unseen => Looked::NotShown,
            Self::Unusable | Self::Silent => Looked::NotAnswered,
        }
    }
}
