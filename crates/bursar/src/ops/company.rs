//! The operating company: its name, its support contact for partners, and its main currency. Not here: the rules of
//! paying (`settings`).

use payout::Refusal;
use payout::money::Currency;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::settings::{is_address, stale};
use super::{OpsError, Result};
use crate::app::{Actor, App};
use crate::store::{self, Db, Tx, audit};
use crate::transact;

const NAME: &str = "company";
/// The longest name and the longest line of an address, in characters.
const MOST_NAME: usize = 100;
const MOST_LINES: usize = 6;

/// The company as stored. An empty field was not given.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Company {
    pub name: String,
    /// Its postal address, up to six lines.
    pub address: String,
    pub support: String,
    /// Its main currency: three capital letters.
    pub currency: String,
    /// When someone hid the list of first steps on Home.
    pub steps_hidden_at: Option<i64>,
}

impl Company {
    /// Validates and normalizes the fields.
    ///
    /// # Errors
    /// The first invalid field.
    pub fn checked(&self) -> std::result::Result<Self, Refusal> {
        let refuse = |field, code, told: &str| Err(Refusal::new(code, told).at(field));
        let (name, support) = (self.name.trim(), self.support.trim());
        if name.chars().count() > MOST_NAME || name.chars().any(char::is_control) {
            return refuse(
                "company",
                "invalid_name",
                "A company name has at most 100 characters, on one line.",
            );
        }
        let address: Vec<&str> =
            self.address.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let fits = |line: &&str| line.chars().count() <= MOST_NAME && !line.chars().any(char::is_control);
        if address.len() > MOST_LINES || !address.iter().all(fits) {
            let message = "A postal address has at most six lines of at most 100 characters.";
            return refuse("address", "invalid_address", message);
        }
        if !support.is_empty() && !is_address(support) {
            let message = "Enter one e-mail address, like partners@example.com, or leave it empty.";
            return refuse("support", "invalid_email", message);
        }
        let currency = match self.currency.trim() {
            "" => String::new(),
            code => match Currency::parse(code) {
                Ok(currency) if currency.ended().is_none() => currency.code().to_owned(),
                Ok(_) | Err(_) => {
                    return refuse("currency", "unknown_currency", "Choose a currency from the list.");
                }
            },
        };
        let steps_hidden_at = self.steps_hidden_at;
        let (name, address) = (name.to_owned(), address.join("\n"));
        Ok(Self { name, address, support: support.to_owned(), currency, steps_hidden_at })
    }
}

pub async fn read(db: &mut Db) -> store::Result<Company> {
    Ok(versioned(db).await?.0)
}

/// The company's name for a page before signing in; empty if the database does not answer, which must not close the page.
pub async fn name(app: &App) -> String {
    let Ok(mut db) = app.store.read().await else { return String::new() };
    read(&mut db).await.map(|company| company.name).unwrap_or_default()
}

async fn versioned(db: &mut Db) -> store::Result<(Company, i64)> {
    let Some((text, version)) = store::settings::get(db, NAME).await? else {
        return Ok((Company::default(), 0));
    };
    // The company's name decides nothing, so an unreadable record must not break pages.
    let company = serde_json::from_str(&text).unwrap_or_else(|error| {
        tracing::error!(%error, "the stored company record cannot be read; save it again in the company's settings");
        Company::default()
    });
    Ok((company, version))
}

/// Changes the company: `change` maps the current record to the new one.
///
/// # Errors
/// A refusal that names the field; `precondition_failed` if somebody else changed it at the same moment.
pub async fn save(
    app: &App,
    actor: &Actor,
    change: impl Fn(Company) -> Company + Send + Sync,
) -> Result<Company> {
    transact!(app, |tx| { keep(tx, app.clock.now(), actor, &change).await })
}

/// The same, inside the caller's transaction.
pub(super) async fn keep(
    tx: &mut Tx,
    now: i64,
    actor: &Actor,
    change: &(impl Fn(Company) -> Company + Send + Sync),
) -> Result<Company> {
    let (before, version) = versioned(tx).await?;
    let after = change(before.clone()).checked().map_err(OpsError::Refused)?;
    let text = serde_json::to_string(&after).unwrap_or_default();
    if !store::settings::put(tx, NAME, &text, version, now).await? {
        return Err(stale());
    }
    tx.audit(audit::Entry {
        at: now,
        actor: actor.id.to_string(),
        action: "company_changed",
        subject: "settings:company".to_owned(),
        detail: json!({"before": before, "after": after}).to_string(),
    });
    Ok(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_names_its_field() {
        let of = |name: &str, support: &str, currency: &str| {
            let [name, support, currency] = [name, support, currency].map(str::to_owned);
            Company { name, support, currency, ..Company::default() }.checked()
        };
        let at = |address: &str| Company { address: address.to_owned(), ..Company::default() }.checked();
        assert_eq!(at(" Hafenstr. 4 \r\n\n20457 Hamburg\n").unwrap().address, "Hafenstr. 4\n20457 Hamburg");
        let kept = of(" Acme & Sons ", "help@acme.example", "usd").unwrap();
        assert_eq!((kept.name.as_str(), kept.currency.as_str()), ("Acme & Sons", "USD"));
        assert_eq!(of("", "", "").unwrap(), Company::default());
        let field = |told: std::result::Result<Company, Refusal>| told.unwrap_err().field;
        assert_eq!(field(of(&"a".repeat(101), "", "")), Some("company"));
        assert_eq!(field(of("", "nobody", "")), Some("support"));
        assert_eq!(field(of("", "", "BGN")), Some("currency"), "it has ended");
        assert_eq!(field(of("", "", "XXX")), Some("currency"));
        for long in ["1\n2\n3\n4\n5\n6\n7", &"a".repeat(101), "a\tb"] {
            assert_eq!(field(at(long)), Some("address"), "{long:?}");
        }
    }
}
