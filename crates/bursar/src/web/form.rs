//! Query strings, forms and the pages of a list. A form carries its session's word (`csrf`), without which nothing is
//! done, and may carry a one-time key (`once`), so that pressing twice acts once; both are taken out before a handler
//! sees the form.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;

use super::fault::{Fault, FieldError};
use super::strict::{Tree, read};
use crate::ops::idempotency::{Mark, Once, Reply};

/// Filters from a query string, read strictly: an unknown name is refused, because a filter that is silently dropped
/// widens what follows. An empty parameter counts as not given.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        query_of(parts).and_then(|tree| read(&tree)).map(Self).map_err(Fault::field)
    }
}

/// Filters together with the page of the list that is wanted.
pub struct ListQuery<T>(pub T, pub Paging);

/// Which page of a list is wanted: `limit` of 1 to 200, 50 when not named, `after` what the page before answered.
#[derive(Clone, Debug)]
pub struct Paging {
    /// How many rows at most.
    pub limit: i64,
    /// Where the page before ended: the sort key and id of its last row.
    pub after: Option<Vec<String>>,
    /// How to sort, for the lists that can be sorted.
    pub sort: Option<String>,
}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for ListQuery<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        Self::of(parts.uri.query().unwrap_or(""))
    }
}

impl<T: DeserializeOwned> ListQuery<T> {
    /// The filters and the page of a list that a query string names.
    ///
    /// # Errors
    /// What of it cannot be read.
    pub fn of(query: &str) -> Result<Self, Fault> {
        let mut tree = Tree::from_pairs(query.as_bytes()).map_err(Fault::field)?;
        let paging = Paging::take(&mut tree).map_err(Fault::field)?;
        read(&tree).map(|filter| Self(filter, paging)).map_err(Fault::field)
    }
}

impl Paging {
    fn take(tree: &mut Tree) -> Result<Self, FieldError> {
        let wrong = |name: &str, detail: &str| FieldError {
            pointer: format!("/{name}"),
            code: "invalid",
            detail: detail.to_owned(),
        };
        let limit = match tree.take_word("limit") {
            None => 50,
            Some(word) => word
                .parse()
                .ok()
                .filter(|limit| (1..=200).contains(limit))
                .ok_or_else(|| wrong("limit", "Write a whole number from 1 to 200."))?,
        };
        let after = match tree.take_word("after") {
            None => None,
            Some(word) => {
                let told = "This is not where a page of this list ended; use `next` of the page before.";
                Some(opened(&word).ok_or_else(|| wrong("after", told))?)
            }
        };
        Ok(Self { limit, after, sort: tree.take_word("sort") })
    }

    /// The parts of `after`, when there are as many as this list's sort has.
    ///
    /// # Errors
    /// When `after` comes from another list or sort.
    pub fn after_parts<const N: usize>(&self) -> Result<Option<[String; N]>, Fault> {
        let Some(parts) = self.after.clone() else { return Ok(None) };
        parts.try_into().map(Some).map_err(|_| self.elsewhere())
    }

    /// `after` is not of this list.
    #[must_use]
    pub fn elsewhere(&self) -> Fault {
        let detail = "This page belongs to another list or sort; begin again without `after`.".to_owned();
        Fault::field(FieldError { pointer: "/after".to_owned(), code: "invalid", detail })
    }
}

/// Where a page ends, written so that nobody is tempted to build it by hand.
#[must_use]
pub fn sealed(parts: &[&str]) -> String {
    URL_SAFE_NO_PAD.encode(parts.join("\u{1f}"))
}

fn opened(word: &str) -> Option<Vec<String>> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(word).ok()?).ok()?;
    Some(text.split('\u{1f}').map(str::to_owned).collect())
}

fn query_of(parts: &Parts) -> Result<Tree, FieldError> {
    Tree::from_pairs(parts.uri.query().unwrap_or("").as_bytes())
}

/// A form that was posted, its `csrf` checked and its `once` taken (both by the route's own layer).
pub struct Form<T>(pub T);

/// The fields of a posted form; an extension of its request.
#[derive(Clone, Debug)]
pub struct Posted(pub Tree);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Form<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        let empty = Posted(Tree::Object(Vec::new()));
        let posted = request.extensions().get::<Posted>().unwrap_or(&empty);
        read(&posted.0).map(Self).map_err(Fault::field)
    }
}

/// The key under which this request acts at most once, if it carries one.
#[derive(Clone, Debug)]
pub struct Key(Option<Mark>);

impl<S: Sync> FromRequestParts<S> for Key {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        Ok(Self(parts.extensions.get::<Mark>().cloned()))
    }
}

impl Key {
    /// What a verb is given, so that it keeps its answer together with its effect.
    #[must_use]
    pub fn once<T: 'static>(self, reply: fn(&T) -> Reply) -> Option<Once<T>> {
        self.0.map(|mark| Once::new(mark, reply))
    }

    /// The same, where the contract demands a key.
    ///
    /// # Errors
    /// 400 without one.
    pub fn required(self) -> Result<Self, Fault> {
        if self.0.is_some() {
            return Ok(self);
        }
        let told = "Send an `Idempotency-Key`: a word of your choice, new for each request and the same when you repeat it.";
        Err(Fault::new(StatusCode::BAD_REQUEST, "idempotency_key_required", told))
    }
}
