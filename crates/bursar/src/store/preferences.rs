//! How pages look to whoever is signed in. They are read with their session (`people::in_session`). What is deliberately
//! not here: the language of mails and of the portal, which belongs to a partner.

use payout::ids::PersonId;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Result, Tx, word};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Theme {
    /// As the reader's system has it.
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    pub const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.as_str() == text)
    }
}

/// What somebody prefers; without a choice of theirs, what is usual.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Preferences {
    pub theme: Theme,
    /// The name of the zone that times are told in; UTC without one.
    pub zone: Option<String>,
    /// When they switched single keys off.
    pub shortcuts_off_at: Option<i64>,
}

/// What was joined from the left: all of it is empty for whoever has not chosen yet.
pub(super) fn read(row: &AnyRow) -> Result<Preferences> {
    let theme: Option<String> = row.try_get("theme")?;
    let theme = theme.map(|text| word(Theme::parse(&text), &text)).transpose()?;
    Ok(Preferences {
        theme: theme.unwrap_or_default(),
        zone: row.try_get("zone")?,
        shortcuts_off_at: row.try_get("shortcuts_off_at")?,
    })
}

pub async fn save(tx: &mut Tx, person: PersonId, preferences: &Preferences) -> Result<u64> {
    let sql = "INSERT INTO preference (person_id, theme, zone, shortcuts_off_at) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (person_id) DO UPDATE SET theme = excluded.theme, zone = excluded.zone, \
               shortcuts_off_at = excluded.shortcuts_off_at";
    let query = sqlx::query(sql)
        .bind(person.to_string())
        .bind(preferences.theme.as_str())
        .bind(preferences.zone.clone())
        .bind(preferences.shortcuts_off_at);
    tx.run(query).await
}
