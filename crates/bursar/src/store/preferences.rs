//! Display preferences of a signed-in person, read together with the session (`people::in_session`). Not here: the
//! language of mails and of the portal, which belongs to a partner.

use payout::ids::PersonId;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Result, Tx, word};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Theme {
    /// Follow the reader's system setting.
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

/// A person's preferences, or the defaults.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Preferences {
    pub theme: Theme,
    /// The time zone name for displayed times; UTC if unset.
    pub zone: Option<String>,
    /// When they turned single-key shortcuts off.
    pub shortcuts_off_at: Option<i64>,
}

/// From a left join: all columns are NULL if the person has no preferences.
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
