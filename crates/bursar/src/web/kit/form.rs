//! Query strings, forms and list pagination. A form carries its session's CSRF token (`csrf`), without which it is refused,
//! and may carry a one-time key (`once`), so that submitting it twice acts once; both are removed before a handler sees the
//! form.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;

use super::extract::{Tree, read};
use super::format;
use super::problem::{FieldError, Problem};
use crate::ops::idempotency::{HeldKey, Idempotency, Reply};
use axum::http::StatusCode;

/// Filters from a query string, parsed strictly: an unknown name is refused, because silently dropping a filter would widen
/// the result. An empty parameter counts as absent.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        query_of(parts).and_then(|tree| read(&tree)).map(Self).map_err(Problem::field)
    }
}

/// Filters together with the requested page of the list.
pub struct ListQuery<T>(pub T, pub Paging);

/// The requested page of a list: `limit` from 1 to 200, 50 by default, and `after` as returned with the page before. Lists
/// on pages also keep the way back.
#[derive(Clone, Debug)]
pub struct Paging {
    /// The most rows on the page.
    pub limit: i64,
    /// Where the previous page ended: the sort key and id of its last row.
    pub after: Option<Vec<String>>,
    /// The sort order, for lists that can be sorted.
    pub sort: Option<String>,
    /// `after` as it was sent.
    cursor: Option<String>,
    /// How many rows are on the pages before this one.
    at: usize,
    /// The pages before this one except the first: how many rows are before each, and its cursor.
    trail: Vec<(usize, String)>,
    /// Whether the first of those pages have been dropped.
    cut: bool,
    /// The list's address without the page.
    here: String,
}

/// The position of a page in its list, and the links to other pages.
#[derive(Clone, Debug, Default)]
pub struct Pager {
    /// `51–100 of 220`, as far as known.
    pub told: String,
    /// The first page, if it is not also the previous one.
    pub first: Option<String>,
    pub before: Option<String>,
    pub next: Option<String>,
}

impl Pager {
    pub fn is_needed(&self) -> bool {
        self.first.is_some() || self.before.is_some() || self.next.is_some()
    }
}

/// How many previous pages are remembered.
const MOST_BACK: usize = 20;
/// The most bytes of their cursors together: a proxy may refuse a URL longer than eight thousand bytes.
const MOST_TRAIL: usize = 2_000;
/// The highest row offset of a page.
const MOST_ROWS: usize = 1_000_000_000;
/// The separators between the pages of a trail, and within one.
const BETWEEN: char = '*';
const WITHIN: char = '.';

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for ListQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::of(parts.uri.path(), parts.uri.query().unwrap_or(""))
    }
}

impl<T: DeserializeOwned> ListQuery<T> {
    /// Parses the filters and the page of the list at this path from a query string.
    ///
    /// # Errors
    /// The first parameter that is invalid.
    pub fn of(path: &str, query: &str) -> Result<Self, Problem> {
        let mut tree = Tree::from_pairs(query.as_bytes()).map_err(Problem::field)?;
        let mut paging = Paging::take(&mut tree).map_err(Problem::field)?;
        // The API uses `after` only.
        if !path.starts_with("/api/") {
            paging.know_the_way(&mut tree, path, query);
        }
        read(&tree).map(|filter| Self(filter, paging)).map_err(Problem::field)
    }
}

impl Paging {
    fn take(tree: &mut Tree) -> Result<Self, FieldError> {
        let wrong = |name: &str, detail: &str| FieldError {
            pointer: format!("/{name}"),
            code: "invalid",
            detail: detail.to_owned(),
        };
        let limit = match tree.take_param("limit") {
            None => 50,
            Some(word) => word
                .parse()
                .ok()
                .filter(|limit| (1..=200).contains(limit))
                .ok_or_else(|| wrong("limit", "Write a whole number from 1 to 200."))?,
        };
        let mut cursor = None;
        let after = match tree.take_param("after") {
            None => None,
            Some(word) => {
                let message =
                    "This is not the end of a page of this list. Use `next` from the previous page.";
                let parts = decode_cursor(&word).ok_or_else(|| wrong("after", message))?;
                cursor = Some(word);
                Some(parts)
            }
        };
        let sort = tree.take_param("sort");
        Ok(Self { limit, after, sort, cursor, at: 0, trail: Vec::new(), cut: false, here: String::new() })
    }

    /// Parses the way back. Only links depend on it, so invalid parts are ignored.
    fn know_the_way(&mut self, tree: &mut Tree, path: &str, query: &str) {
        let at = tree.take_param("at").and_then(|word| word.parse().ok());
        // The first page starts at 0, and no list is longer than the limit.
        self.at = at.filter(|at| self.cursor.is_some() && *at <= MOST_ROWS).unwrap_or(0);
        let trail = tree.take_param("trail").unwrap_or_default();
        let page = |page: &str| {
            let (at, cursor) = page.split_once(WITHIN)?;
            decode_cursor(cursor)?;
            Some((at.parse().ok()?, cursor.to_owned()))
        };
        // A trail that lost its beginning starts with a separator.
        self.cut = trail.starts_with(BETWEEN);
        self.trail = trail.split(BETWEEN).filter_map(page).take(MOST_BACK).collect();
        let mut here = url::form_urlencoded::Serializer::new(String::new());
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        here.extend_pairs(pairs.filter(|(name, _)| !["after", "at", "trail"].contains(&name.as_ref())));
        self.here = format!("{path}?{}", here.finish());
    }

    /// The position of this page: `shown` rows, the cursor of the next page, and the total if it was counted.
    pub fn turn(&self, shown: usize, next: Option<&str>, of: Option<&str>) -> Pager {
        let knows = self.cursor.is_none() || self.at > 0;
        let (from, to) = (self.at + 1, self.at + shown);
        let of = match (next, of) {
            (None, _) => Some(count(to)),
            (Some(_), of) => of.map(str::to_owned),
        };
        let message = match (knows && shown > 0, of) {
            (false, _) => String::new(),
            (true, Some(of)) => format!("{}–{} of {of}", count(from), count(to)),
            (true, None) => format!("{}–{}", count(from), count(to)),
        };
        let mut gone = self.trail.clone();
        let first = self.cursor.as_ref().map(|_| self.here.trim_end_matches('?').to_owned());
        let before = match gone.pop() {
            Some((at, cursor)) => Some(self.page(&cursor, at, &gone, self.cut)),
            None => first.clone().filter(|_| self.at > 0 && !self.cut),
        };
        let next = next.map(|next| {
            let mut trail = self.trail.clone();
            trail.extend(self.cursor.clone().filter(|_| knows).map(|cursor| (self.at, cursor)));
            let mut lost = trail.len().saturating_sub(MOST_BACK);
            // Cursors contain the sort key, which may be a long name.
            let mut bytes: usize = trail[lost..].iter().map(|(_, cursor)| cursor.len()).sum();
            while bytes > MOST_TRAIL {
                bytes -= trail[lost].1.len();
                lost += 1;
            }
            trail.drain(..lost);
            self.page(next, if knows { to } else { 0 }, &trail, self.cut || lost > 0)
        });
        Pager { told: message, first: first.filter(|first| before.as_ref() != Some(first)), before, next }
    }

    fn page(&self, cursor: &str, at: usize, trail: &[(usize, String)], cut: bool) -> String {
        let mut page = url::form_urlencoded::Serializer::new(String::new());
        page.append_pair("after", cursor);
        if at > 0 {
            page.append_pair("at", &at.to_string());
        }
        if cut || !trail.is_empty() {
            let lost = cut.then(String::new).into_iter();
            let pages = lost.chain(trail.iter().map(|(at, cursor)| format!("{at}{WITHIN}{cursor}")));
            let pages: Vec<String> = pages.collect();
            // If everything was dropped, the trail is the separator alone.
            let message =
                if trail.is_empty() { BETWEEN.to_string() } else { pages.join(&BETWEEN.to_string()) };
            page.append_pair("trail", &message);
        }
        let and = if self.here.ends_with('?') { "" } else { "&" };
        format!("{}{and}{}", self.here, page.finish())
    }

    /// The parts of `after`, if their number fits this list's sort order.
    ///
    /// # Errors
    /// If `after` is from another list or sort order.
    pub fn after_parts<const N: usize>(&self) -> Result<Option<[String; N]>, Problem> {
        let Some(parts) = self.after.clone() else { return Ok(None) };
        parts.try_into().map(Some).map_err(|_| self.elsewhere())
    }

    /// The error for an `after` of another list.
    pub fn elsewhere(&self) -> Problem {
        let detail = "This page belongs to another list or sort. Start again without `after`.".to_owned();
        Problem::field(FieldError { pointer: "/after".to_owned(), code: "invalid", detail })
    }
}

/// Encodes a cursor, opaque so that nobody builds one by hand.
pub fn encode_cursor(parts: &[&str]) -> String {
    URL_SAFE_NO_PAD.encode(parts.join("\u{1f}"))
}

fn count(number: usize) -> String {
    format::count(i64::try_from(number).unwrap_or(i64::MAX))
}

fn decode_cursor(word: &str) -> Option<Vec<String>> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(word).ok()?).ok()?;
    Some(text.split('\u{1f}').map(str::to_owned).collect())
}

fn query_of(parts: &Parts) -> Result<Tree, FieldError> {
    Tree::from_pairs(parts.uri.query().unwrap_or("").as_bytes())
}

/// A posted form, its `csrf` checked and its `once` taken (both by the route's layer).
pub struct Form<T>(pub T);

/// The fields of a posted form; a request extension.
#[derive(Clone, Debug)]
pub struct PostedForm(pub Tree);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Form<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let empty = PostedForm(Tree::Object(Vec::new()));
        let posted = request.extensions().get::<PostedForm>().unwrap_or(&empty);
        read(&posted.0).map(Self).map_err(Problem::field)
    }
}

/// The key under which this request acts at most once, if it carries one.
#[derive(Clone, Debug)]
pub struct Key(Option<HeldKey>);

impl<S: Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(parts.extensions.get::<HeldKey>().cloned()))
    }
}

impl Key {
    /// What a verb needs to store its response together with its effect.
    pub fn once<T: 'static>(self, reply: fn(&T) -> Reply) -> Option<Idempotency<T>> {
        self.0.map(|mark| Idempotency::new(mark, reply))
    }

    /// The same, if the API requires a key.
    ///
    /// # Errors
    /// 400 without one.
    pub fn required(self) -> Result<Self, Problem> {
        if self.0.is_some() {
            return Ok(self);
        }
        let message = "Send an `Idempotency-Key`: a word of your choice, new for each request and the same when you repeat it.";
        Err(Problem::new(StatusCode::BAD_REQUEST, "idempotency_key_required", message))
    }
}

/// The response to a form without a valid CSRF token.
pub fn form_expired() -> Problem {
    let message = "This form is not from your session, so nothing was done. Go back, load the page again and repeat it.";
    Problem::new(StatusCode::FORBIDDEN, "form_expired", message)
}

/// Marks a response that must not be stored: it contains a secret, or is only a dry run.
#[derive(Clone, Copy, Debug)]
pub struct NotKept;

/// The error for a missing key, which is required if a second request could pay twice.
pub fn key_required() -> Problem {
    let message = "Send an Idempotency-Key with this request, so that repeating it after a lost answer cannot do it twice.";
    Problem::bad_request("idempotency_key_required", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Any {}

    fn at(address: &str) -> Paging {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let ListQuery(Any {}, paging) = ListQuery::of(path, query).map_err(|_| address).unwrap();
        paging
    }

    #[test]
    fn a_list_is_turned_on_and_back() {
        let cursor = |number: usize| encode_cursor(&[&number.to_string()]);
        let first = at("/outbox?limit=10").turn(10, Some(&cursor(10)), Some("35"));
        assert_eq!((first.told.as_str(), &first.first, &first.before), ("1–10 of 35", &None, &None));
        let second = at(first.next.as_deref().unwrap()).turn(10, Some(&cursor(20)), Some("35"));
        assert_eq!((second.told.as_str(), second.first), ("11–20 of 35", None));
        assert_eq!(second.before.as_deref(), Some("/outbox?limit=10"));
        let third = at(second.next.as_deref().unwrap()).turn(10, Some(&cursor(30)), None);
        assert_eq!((third.told.as_str(), third.first.as_deref()), ("21–30", Some("/outbox?limit=10")));
        let back = at(third.before.as_deref().unwrap()).turn(10, Some(&cursor(20)), Some("35"));
        assert_eq!((back.told.as_str(), back.before.as_deref()), ("11–20 of 35", Some("/outbox?limit=10")));
        let last = at(third.next.as_deref().unwrap()).turn(5, None, None);
        assert_eq!((last.told.as_str(), last.next), ("31–35 of 35", None));
        let before_last = at(last.before.as_deref().unwrap());
        assert_eq!(before_last.turn(10, Some(&cursor(30)), None).told, "21–30");
    }

    #[test]
    fn a_way_that_cannot_be_read_is_none() {
        let turn = at("/outbox?after=MTA&at=x&trail=1.%25*nothing").turn(10, None, None);
        assert_eq!((turn.told.as_str(), turn.before, turn.next), ("", None, None));
        assert_eq!(turn.first.as_deref(), Some("/outbox"));
        let mut address = "/outbox".to_owned();
        for page in 1..200 {
            let next = encode_cursor(&[&"x".repeat(40), &page.to_string()]);
            address = at(&address).turn(50, Some(&next), None).next.unwrap();
        }
        assert!(address.len() < 2_000, "{}", address.len());
        let mut back = 0;
        while let Some(before) = at(&address).turn(50, None, None).before {
            (address, back) = (before, back + 1);
        }
        assert_eq!(back, MOST_BACK, "so many pages are known, and the first is not taken for the one before");
        assert!(address.contains("after="), "{address}");
        for page in 1..200 {
            let next = encode_cursor(&[&"x".repeat(600), &page.to_string()]);
            address = at(&address).turn(50, Some(&next), None).next.unwrap();
        }
        assert!(
            address.len() < 4_000,
            "long names make the way back short, not the address long: {}",
            address.len()
        );
        assert!(at(&address).turn(50, None, None).before.is_some());
    }
}
