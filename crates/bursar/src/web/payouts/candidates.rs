//! The filters and page of the rewards that can be added on Review Claims, in the query string, with the names used by
//! the rewards list. Not here: what can be added, and why not.

use serde::Deserialize;

use payout::money::Currency;
use payout::reward::PaymentType;

use crate::store::batches::{self, PoolFilter};
use crate::store::programs::{self, Filter as Catalogue};
use crate::store::{Db, Result};

/// The query parameters of the pool.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoolParams {
    /// The page of the batch's claims.
    pub page: Option<u32>,
    /// The page of the pool.
    pub pool: Option<u32>,
    /// The owner: an id, or a name.
    pub owner: Option<String>,
    /// Their company: an id, or a name.
    pub account: Option<String>,
    /// The program's id.
    pub program: Option<String>,
    /// The activity's id.
    pub activity: Option<String>,
    /// `individual` or `organization`.
    pub payment_type: Option<String>,
    pub currency: Option<String>,
}

impl PoolParams {
    /// The active filters, by name.
    pub fn fields(&self) -> Vec<(&'static str, &str)> {
        let fields = [
            ("owner", &self.owner),
            ("account", &self.account),
            ("program", &self.program),
            ("activity", &self.activity),
            ("payment_type", &self.payment_type),
            ("currency", &self.currency),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
    }

    /// The active filters in words, each with the address that removes it.
    pub fn on(&self, path: &str) -> Vec<(String, String)> {
        let words = |name: &str| match name {
            "owner" => "Owner",
            "account" => "Account",
            "program" => "Program",
            "activity" => "Reward Activity",
            "payment_type" => "Payment Type",
            _ => "Currency",
        };
        let on = self.fields().into_iter();
        on.map(|(name, value)| {
            (format!("{}: {value}", words(name)), self.address(path, &[(name, ""), ("pool", "")]))
        })
        .collect()
    }

    /// The address with some parameters replaced; an empty value removes a parameter.
    pub fn address(&self, path: &str, otherwise: &[(&str, &str)]) -> String {
        let pages = [("page", self.page), ("pool", self.pool)];
        let pages: Vec<(&str, String)> =
            pages.into_iter().filter_map(|(name, page)| Some((name, page?.to_string()))).collect();
        let asked = self.fields().into_iter().chain(pages.iter().map(|(name, page)| (*name, page.as_str())));
        let kept = asked.filter(|(name, _)| !otherwise.iter().any(|(other, _)| other == name));
        let said = otherwise.iter().copied().filter(|(_, value)| !value.is_empty());
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept.chain(said));
        match query.finish() {
            query if query.is_empty() => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }

    /// The filter for the database, and the invalid parts. An invalid filter is not guessed at.
    pub async fn read(&self, db: &mut Db) -> Result<(PoolFilter, Vec<String>)> {
        let mut problems = Vec::new();
        let known = |kind: Option<PaymentType>| kind.map(|kind| kind.as_str().to_owned());
        let mut filter = PoolFilter::default();
        if let Some(code) = &self.currency {
            // An unknown currency matches nothing.
            let known = Currency::parse(code).map(|known| known.code().to_owned());
            if known.is_err() {
                problems.push(format!("There is no currency “{code}”."));
            }
            filter.currency = Some(known.unwrap_or_else(|_| code.clone()));
        }
        if let Some(kind) = &self.payment_type {
            filter.payment_type = known(PaymentType::parse(kind));
            if filter.payment_type.is_none() {
                problems.push(format!("There is no payment type “{kind}”."));
            }
        }
        let named = [
            ("partner", &self.owner, &mut filter.owner),
            ("account", &self.account, &mut filter.account),
            ("program", &self.program, &mut filter.program),
            ("activity", &self.activity, &mut filter.activity),
        ];
        for (kind, asked, into) in named {
            let Some(asked) = asked else { continue };
            *into = resolve(db, kind, asked).await?;
            if into.is_none() {
                problems.push(format!("No single {kind} has the id or the name “{asked}”."));
            }
        }
        Ok((filter, problems))
    }
}

/// Our id for an id or a unique name.
async fn resolve(db: &mut Db, kind: &str, asked: &str) -> Result<Option<String>> {
    if let Some(id) = batches::our_id(db, kind, asked).await? {
        return Ok(Some(id));
    }
    let named = Catalogue { q: Some(asked.to_owned()), limit: 2, ..Catalogue::default() };
    let found: Vec<String> = match kind {
        "partner" => programs::partners(db, &named).await?.iter().map(|one| one.id.to_string()).collect(),
        "account" => programs::accounts(db, &named).await?.iter().map(|one| one.id.to_string()).collect(),
        "program" => programs::programs(db, &named).await?.iter().map(|one| one.id.to_string()).collect(),
        _ => programs::activities(db, &named).await?.iter().map(|one| one.id.to_string()).collect(),
    };
    match found.as_slice() {
        [only] => Ok(Some(only.clone())),
        [] | [..] => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_what_was_asked() {
        let wanted = PoolParams {
            page: Some(2),
            owner: Some("Ana & Bo".to_owned()),
            currency: Some("USD".to_owned()),
            ..PoolParams::default()
        };
        assert_eq!(wanted.address("/claims", &[]), "/claims?owner=Ana+%26+Bo&currency=USD&page=2");
        assert_eq!(
            wanted.address("/claims", &[("owner", ""), ("pool", "3")]),
            "/claims?currency=USD&page=2&pool=3"
        );
        assert_eq!(PoolParams::default().address("/claims", &[]), "/claims");
        assert_eq!(
            wanted.on("/claims")[1],
            ("Currency: USD".to_owned(), "/claims?owner=Ana+%26+Bo&page=2".to_owned())
        );
    }
}
