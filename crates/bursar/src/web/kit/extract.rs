//! Strict parsing of requests: an unknown field, a duplicate key or a wrong type is refused with a pointer to its place,
//! never guessed at. JSON bodies, query strings and forms all become a [`Tree`] and are read from it by the same code, so
//! that a filter means the same everywhere.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use futures::stream::unfold;
use futures::{Stream, StreamExt as _};
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Expected, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::{Deserialize, Deserializer};

use super::problem::{FieldError, Problem};
use axum::body::{Body, Bytes};

/// The largest body in bytes, unless a route says otherwise.
pub const BODY_LIMIT: usize = 1 << 20;
/// The largest form, in bytes.
pub const FORM_LIMIT: usize = 64 << 10;
/// The largest form open to anybody, in bytes: an address, a password, where to go next.
pub const OPEN_FORM_LIMIT: usize = 16 << 10;
/// The most fields of a query or form, and the most keys of one JSON object. Each costs work, and no real request has that
/// many.
pub const MOST_FIELDS: usize = 2_000;
/// The longest name of a field, in bytes.
const MOST_NAME_BYTES: usize = 255;
/// The longest value of a field, in bytes.
const MOST_VALUE_BYTES: usize = 64 << 10;
/// The deepest nesting of JSON.
const MOST_DEPTH: usize = 32;

/// The route's body limit in bytes; a request extension.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimit(pub usize);

/// A JSON body, parsed strictly. An empty body is an empty object.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let json = content_type(request.headers()) == "application/json";
        let bytes = body(request).await?;
        if bytes.is_empty() {
            return read(&Tree::Object(Vec::new())).map(Self).map_err(Problem::field);
        }
        if !json {
            let message = "Send this as application/json.";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
        }
        let tree: Tree = serde_json::from_slice(&bytes)
            .map_err(|error| Problem::bad_request("malformed_json", format!("This is not JSON: {error}.")))?;
        if let Some(unsound) = unsound(&tree, 0) {
            return Err(Problem::field(unsound));
        }
        read(&tree).map(Self).map_err(Problem::field)
    }
}

/// The media type of a body, in lower case and without parameters.
pub fn content_type(headers: &HeaderMap) -> String {
    let whole = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    whole.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

/// The whole body, within the route's limit.
///
/// # Errors
/// 413 over the limit, 400 if the client disconnected.
pub async fn body(request: Request) -> Result<Bytes, Problem> {
    let limit = request.extensions().get::<BodyLimit>().map_or(BODY_LIMIT, |limit| limit.0);
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let mut too_large =
        announced.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > limit);
    let mut bytes = Vec::new();
    let mut chunks = std::pin::pin!(in_time(request.into_body(), limit));
    while !too_large && let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|broken| broken.to_problem())?;
        too_large = bytes.len() + chunk.len() > limit;
        bytes.extend_from_slice(&chunk);
    }
    if too_large {
        drop(bytes);
        pass_over(chunks, limit.saturating_mul(PASSED_OVER)).await;
        let message = format!("The body is larger than the {limit} bytes this address takes.");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message));
    }
    Ok(bytes.into())
}

/// How many times the limit is read and discarded before an oversized body is refused.
const PASSED_OVER: usize = 4;

/// Reads and discards the rest of a body, up to a bound. A proxy that is still sending when the response arrives would
/// report a broken connection to its client instead of the response.
pub async fn pass_over(chunks: impl Stream<Item = Result<Bytes, BrokenBody>>, most: usize) {
    let mut chunks = std::pin::pin!(chunks);
    let mut passed = 0;
    while passed < most
        && let Some(Ok(chunk)) = chunks.next().await
    {
        passed += chunk.len();
    }
}

/// How long a body may pause.
const IDLE: Duration = Duration::from_secs(20);
/// How long a body may take in addition to what its length allows.
const PATIENCE: Duration = Duration::from_secs(60);
/// The minimum average speed of a body, in bytes a second.
const SLOWEST: u64 = 32 << 10;

/// Why a body was not read completely.
#[derive(Debug)]
pub enum BrokenBody {
    /// The client disconnected.
    Broken(axum::Error),
    /// It was too slow.
    Slow,
}

impl BrokenBody {
    /// The error response.
    pub fn to_problem(&self) -> Problem {
        match self {
            Self::Broken(_) => Problem::bad_request("body_incomplete", "The body ended early."),
            Self::Slow => {
                let message = "The body came too slowly, so nothing was done. Send it again.";
                Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", message)
            }
        }
    }
}

impl fmt::Display for BrokenBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(error) => write!(f, "it broke off: {error}"),
            Self::Slow => f.write_str("it came too slowly"),
        }
    }
}

impl std::error::Error for BrokenBody {}

/// The time limits of a body: between two pieces, and in total.
#[derive(Clone, Copy)]
struct ReadTimeouts {
    idle: Duration,
    whole: Duration,
}

/// A body in pieces, within its time limits, so that a client sending a byte now and then cannot hold resources.
pub fn in_time(body: Body, limit: usize) -> impl Stream<Item = Result<Bytes, BrokenBody>> + Send {
    pieces(body, ReadTimeouts { idle: IDLE, whole: PATIENCE + Duration::from_secs(limit as u64 / SLOWEST) })
}

fn pieces(body: Body, pace: ReadTimeouts) -> impl Stream<Item = Result<Bytes, BrokenBody>> + Send {
    let end = tokio::time::Instant::now() + pace.whole;
    unfold(Some(body.into_data_stream()), move |stream| async move {
        let mut stream = stream?;
        let next = end.min(tokio::time::Instant::now() + pace.idle);
        match tokio::time::timeout_at(next, stream.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(stream))),
            Ok(Some(Err(error))) => Some((Err(BrokenBody::Broken(error)), None)),
            Err(_) => Some((Err(BrokenBody::Slow), None)),
        }
    })
}

/// The request data, before it is interpreted.
#[derive(Clone, PartialEq, Debug)]
pub enum Tree {
    /// JSON's null.
    Null,
    /// true or false.
    Bool(bool),
    /// A JSON number.
    Number(serde_json::Number),
    /// A JSON string.
    Text(String),
    /// A value of a query or form, which may also stand for a number or a boolean.
    Word(String),
    /// A JSON array, or a repeated query parameter.
    List(Vec<Tree>),
    /// A JSON object with its keys in order, including duplicates.
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// The tree of a query string or form. Empty parameters are left out, repeated ones become a list. A name ending in
    /// `[]` is a column of a table of inputs: always a list, and empty cells keep their places, so that rows stay aligned.
    ///
    /// # Errors
    /// If there are too many fields, or one is too long.
    pub fn from_pairs(encoded: &[u8]) -> Result<Self, FieldError> {
        Self::gathered(url::form_urlencoded::parse(encoded))
    }

    /// The same for decoded pairs. Fields are looked up by hash, and parsing stops at the first one over the limit, so the
    /// work is linear in the input's length.
    fn gathered<'a>(pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>) -> Result<Self, FieldError> {
        let mut fields: Vec<(String, Self)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for (count, (name, value)) in pairs.enumerate() {
            if count >= MOST_FIELDS {
                return Err(too_many_fields());
            }
            if name.len() > MOST_NAME_BYTES {
                return Err(name_too_long());
            }
            if value.len() > MOST_VALUE_BYTES {
                return Err(value_too_long().under(&name));
            }
            let column = name.ends_with("[]");
            if value.is_empty() && !column {
                continue;
            }
            let value = Self::Word(value.into_owned());
            let known = places.get(name.as_ref()).and_then(|at| fields.get_mut(*at));
            let Some((_, known)) = known else {
                places.insert(name.clone().into_owned(), fields.len());
                fields.push((name.into_owned(), if column { Self::List(vec![value]) } else { value }));
                continue;
            };
            if let Self::List(list) = known {
                list.push(value);
            } else {
                let first = std::mem::replace(known, Self::Null);
                *known = Self::List(vec![first, value]);
            }
        }
        Ok(Self::Object(fields))
    }

    /// Removes a single value.
    pub fn take_param(&mut self, name: &str) -> Option<String> {
        let Self::Object(fields) = self else { return None };
        let at = fields.iter().position(|(known, value)| known == name && matches!(value, Self::Word(_)))?;
        match fields.remove(at).1 {
            Self::Word(word) => Some(word),
            Self::Null
            | Self::Bool(_)
            | Self::Number(_)
            | Self::Text(_)
            | Self::List(_)
            | Self::Object(_) => None,
        }
    }
}

/// The first place where JSON exceeds what a request may contain: a duplicate key, too many fields, a value too long,
/// nesting too deep. Each key is checked once.
fn unsound(tree: &Tree, depth: usize) -> Option<FieldError> {
    match tree {
        Tree::Object(_) | Tree::List(_) if depth >= MOST_DEPTH => {
            let message = format!("This is nested more than {MOST_DEPTH} deep.");
            Some(FieldError::here("too_deep", message))
        }
        Tree::Object(fields) if fields.len() > MOST_FIELDS => Some(too_many_fields()),
        Tree::Object(fields) => {
            let mut seen = HashSet::with_capacity(fields.len());
            fields.iter().find_map(|(name, value)| {
                if name.len() > MOST_NAME_BYTES {
                    return Some(name_too_long());
                }
                if !seen.insert(name.as_str()) {
                    let message = "This key is in the same object twice.".to_owned();
                    return Some(FieldError::here("duplicate_key", message).under(name));
                }
                unsound(value, depth + 1).map(|error| error.under(name))
            })
        }
        Tree::List(items) => items
            .iter()
            .enumerate()
            .find_map(|(at, item)| unsound(item, depth + 1).map(|error| error.under(&at.to_string()))),
        Tree::Text(text) | Tree::Word(text) if text.len() > MOST_VALUE_BYTES => Some(value_too_long()),
        Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) | Tree::Word(_) => None,
    }
}

fn too_many_fields() -> FieldError {
    let message = format!("There are more than {MOST_FIELDS} fields here, so none was read.");
    FieldError::here("too_many_fields", message)
}

fn name_too_long() -> FieldError {
    let message = format!("The name of a field is longer than {MOST_NAME_BYTES} bytes.");
    FieldError::here("name_too_long", message)
}

fn value_too_long() -> FieldError {
    FieldError::here("value_too_long", format!("This is longer than {MOST_VALUE_BYTES} bytes."))
}

impl FieldError {
    /// An error at the current place; [`FieldError::under`] adds the path.
    fn here(code: &'static str, detail: String) -> Self {
        Self { pointer: String::new(), code, detail }
    }

    fn under(mut self, name: &str) -> Self {
        self.pointer = format!("/{}{}", escaped(name), self.pointer);
        self
    }
}

/// The first text with a NUL character, which PostgreSQL cannot store.
fn nul(tree: &Tree) -> Option<String> {
    match tree {
        Tree::Object(fields) => fields.iter().find_map(|(name, value)| {
            let under = |rest: String| format!("/{}{rest}", escaped(name));
            nul(value).map(under)
        }),
        Tree::List(items) => {
            items.iter().enumerate().find_map(|(at, item)| nul(item).map(|rest| format!("/{at}{rest}")))
        }
        Tree::Text(text) | Tree::Word(text) => text.contains('\0').then(String::new),
        Tree::Null | Tree::Bool(_) | Tree::Number(_) => None,
    }
}

/// A name escaped for a JSON pointer (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Deserializes a tree.
///
/// # Errors
/// The first field that is unknown, missing or of a wrong type.
pub fn read<T: DeserializeOwned>(tree: &Tree) -> Result<T, FieldError> {
    if let Some(pointer) = nul(tree) {
        let detail = "This holds the character NUL, which no text does. Write it without.".to_owned();
        return Err(FieldError { pointer, code: "invalid_character", detail });
    }
    T::deserialize(Node(tree)).map_err(|error| error.0)
}

/// A field of a PUT or PATCH: an absent one is kept, null clears.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Change<T> {
    /// Absent.
    #[default]
    Keep,
    /// Null.
    Clear,
    /// A value.
    Set(T),
}

impl<T> Change<T> {
    /// The resulting value of an optional field.
    pub fn over(self, existing: Option<T>) -> Option<T> {
        match self {
            Self::Keep => existing,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }

    /// The resulting value of a required field.
    ///
    /// # Errors
    /// If it was cleared, or was never set.
    pub fn required(self, pointer: &str, existing: Option<T>) -> Result<T, FieldError> {
        self.over(existing).ok_or_else(|| FieldError {
            pointer: pointer.to_owned(),
            code: "missing",
            detail: "This is required.".to_owned(),
        })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<T>::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

/// A deserialization error, with the path to its place.
#[derive(Debug)]
struct Wrong(FieldError);

impl Wrong {
    fn new(pointer: String, code: &'static str, detail: String) -> Self {
        Self(FieldError { pointer, code, detail })
    }

    fn under(self, name: &str) -> Self {
        Self(self.0.under(name))
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.pointer, self.0.detail)
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(told: T) -> Self {
        Self::new(String::new(), "invalid", told.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(String::new(), "wrong_type", format!("This must be {expected}, not {found}."))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(String::new(), "invalid", format!("This must be {expected}, not {found}."))
    }

    fn unknown_variant(found: &str, expected: &'static [&'static str]) -> Self {
        let message = format!("{found:?} is not one of: {}.", expected.join(", "));
        Self::new(String::new(), "unknown_value", message)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let message = format!("There is no such field here; known are: {}.", expected.join(", "));
        Self::new(format!("/{}", escaped(field)), "unknown_field", message)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("/{field}"), "missing", "This is required.".to_owned())
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("/{field}"), "duplicate_key", "This is given twice.".to_owned())
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct GrowthLimit;

        impl<'de> Visitor<'de> for GrowthLimit {
            type Value = Tree;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
                Ok(Tree::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
                Ok(Tree::Number(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
                Ok(Tree::Number(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
                Ok(serde_json::Number::from_f64(value).map_or(Tree::Null, Tree::Number))
            }

            fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
                Ok(Tree::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Tree::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Tree, A::Error> {
                let mut object = Vec::new();
                while let Some(field) = fields.next_entry()? {
                    object.push(field);
                }
                Ok(Tree::Object(object))
            }
        }

        deserializer.deserialize_any(GrowthLimit)
    }
}

/// A position in the tree to deserialize from.
struct Node<'a>(&'a Tree);

macro_rules! words_as_numbers {
    ($($method:ident => $visit:ident as $number:ty, $what:literal;)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            let Tree::Word(word) = self.0 else { return self.deserialize_any(visitor) };
            let wrong = || Wrong::new(String::new(), "wrong_type", format!("This must be {}.", $what));
            visitor.$visit(word.parse::<$number>().map_err(|_| wrong())?)
        }
    )+};
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.0 {
            Tree::Null => visitor.visit_unit(),
            Tree::Bool(value) => visitor.visit_bool(*value),
            Tree::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (None, Some(number), _) => visitor.visit_i64(number),
                (None, None, number) => visitor.visit_f64(number.unwrap_or(0.0)),
            },
            Tree::Text(text) | Tree::Word(text) => visitor.visit_borrowed_str(text),
            Tree::List(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            Tree::Object(fields) => visitor.visit_map(Fields { rest: fields.iter(), value: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.0 {
            Tree::Null => visitor.visit_none(),
            Tree::Bool(_)
            | Tree::Number(_)
            | Tree::Text(_)
            | Tree::Word(_)
            | Tree::List(_)
            | Tree::Object(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.0 {
            // A form's list with one entry looks like a single value.
            Tree::Word(_) => visitor.visit_seq(Items(std::slice::from_ref(self.0).iter().enumerate())),
            Tree::Null
            | Tree::Bool(_)
            | Tree::Number(_)
            | Tree::Text(_)
            | Tree::List(_)
            | Tree::Object(_) => self.deserialize_any(visitor),
        }
    }

    /// Do not accept an array whose entries fit the struct's fields by order.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self.0 {
            Tree::List(_) => Err(de::Error::invalid_type(Unexpected::Seq, &"an object")),
            Tree::Null
            | Tree::Bool(_)
            | Tree::Number(_)
            | Tree::Text(_)
            | Tree::Word(_)
            | Tree::Object(_) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self.0 {
            Tree::Text(text) | Tree::Word(text) => {
                StrDeserializer::<Wrong>::new(text).deserialize_enum(name, variants, visitor)
            }
            Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::List(_) | Tree::Object(_) => {
                let message = format!("This must be one of: {}.", variants.join(", "));
                Err(Wrong::new(String::new(), "wrong_type", message))
            }
        }
    }

    words_as_numbers! {
        deserialize_i64 => visit_i64 as i64, "a whole number";
        deserialize_u64 => visit_u64 as u64, "a whole number";
        deserialize_u32 => visit_u32 as u32, "a whole number";
        deserialize_bool => visit_bool as bool, "true or false";
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple tuple_struct map
        identifier ignored_any
    }
}

struct Items<'a>(std::iter::Enumerate<std::slice::Iter<'a, Tree>>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Wrong> {
        let Some((at, item)) = self.0.next() else { return Ok(None) };
        seed.deserialize(Node(item)).map(Some).map_err(|error| error.under(&at.to_string()))
    }
}

struct Fields<'a> {
    rest: std::slice::Iter<'a, (String, Tree)>,
    value: Option<(&'a str, &'a Tree)>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        let Some((name, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some((name, value));
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let (name, value) = self.value.take().ok_or_else(|| de::Error::custom("a value before its key"))?;
        seed.deserialize(Node(value)).map_err(|error| error.under(name))
    }
}

/// A request whose body has been read, with its bytes.
pub async fn buffered(request: Request) -> Result<(Request, Bytes), Problem> {
    let (parts, body) = request.into_parts();
    let bytes = self::body(Request::from_parts(parts.clone(), body)).await?;
    Ok((Request::from_parts(parts, Body::from(bytes.clone())), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, PartialEq, Debug)]
    #[serde(deny_unknown_fields)]
    struct Sent {
        name: String,
        #[serde(default)]
        note: Change<String>,
        value: Option<Inner>,
        #[serde(default)]
        ids: Vec<String>,
        limit: Option<u32>,
        kind: Option<Kind>,
    }

    #[derive(Deserialize, PartialEq, Debug)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        value: String,
    }

    #[derive(Deserialize, PartialEq, Debug)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        One,
    }

    fn json(text: &str) -> Result<Sent, (String, &'static str)> {
        let tree: Tree = serde_json::from_str(text).unwrap();
        if let Some(error) = unsound(&tree, 0) {
            return Err((error.pointer, error.code));
        }
        read(&tree).map_err(|error| (error.pointer, error.code))
    }

    fn form(text: &str) -> Result<Sent, FieldError> {
        read(&Tree::from_pairs(text.as_bytes())?)
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        let rows = [
            (r#"{"name":"a","nme":1}"#, "/nme", "unknown_field"),
            (r#"{"name":"a","name":"b"}"#, "/name", "duplicate_key"),
            (r#"{"name":"a","value":{"value":"1","value":"2"}}"#, "/value/value", "duplicate_key"),
            (r#"{"name":1}"#, "/name", "wrong_type"),
            (r#"{}"#, "/name", "missing"),
            (r#"{"name":"a","value":{"value":1.5}}"#, "/value/value", "wrong_type"),
            (r#"{"name":"a","value":{"other":"1"}}"#, "/value/other", "unknown_field"),
            (r#"{"name":"a","ids":["x",2]}"#, "/ids/1", "wrong_type"),
            (r#"{"name":"a","limit":-1}"#, "/limit", "invalid"),
            (r#"{"name":"a","limit":"5"}"#, "/limit", "wrong_type"),
            (r#"{"name":"a","kind":"two"}"#, "/kind", "unknown_value"),
            (r#"{"name":"a","kind":2}"#, "/kind", "wrong_type"),
            (r#"[]"#, "", "wrong_type"),
        ];
        for (text, pointer, code) in rows {
            assert_eq!(json(text), Err((pointer.to_owned(), code)), "{text}");
        }
    }

    #[test]
    fn what_is_not_named_is_kept_and_null_clears() {
        assert_eq!(json(r#"{"name":"a"}"#).unwrap().note, Change::Keep);
        assert_eq!(json(r#"{"name":"a","note":null}"#).unwrap().note, Change::Clear);
        assert_eq!(json(r#"{"name":"a","note":"x"}"#).unwrap().note, Change::Set("x".into()));
    }

    #[test]
    fn a_form_says_the_same_in_words() {
        let sent = form("name=a&ids=x&limit=5&kind=one&note=").unwrap();
        assert_eq!((sent.limit, sent.kind, sent.note), (Some(5), Some(Kind::One), Change::Keep));
        assert_eq!(sent.ids, ["x"]);
        let sent = form("name=a&ids=x&ids=y").unwrap();
        assert_eq!(sent.ids, ["x", "y"]);
        let wrong = form("name=a&limit=five").unwrap_err();
        assert_eq!((wrong.pointer.as_str(), wrong.code), ("/limit", "wrong_type"));
    }

    #[test]
    fn a_form_is_read_no_further_than_its_first_field_too_many() {
        let sent: String = (0..150_000).map(|number| format!("{number:x}=1&")).collect();
        let mut looked_at = 0;
        let pairs = url::form_urlencoded::parse(sent.as_bytes()).inspect(|_| looked_at += 1);
        assert_eq!(Tree::gathered(pairs).unwrap_err().code, "too_many_fields");
        assert_eq!(looked_at, MOST_FIELDS + 1);

        let empty = "a=&".repeat(MOST_FIELDS + 1);
        assert_eq!(Tree::from_pairs(empty.as_bytes()).unwrap_err().code, "too_many_fields");
        let again = "ids=x&".repeat(MOST_FIELDS);
        assert_eq!(form(&format!("name=a&{}", &again[6..])).unwrap().ids.len(), MOST_FIELDS - 1);
        let name = format!("{}=1", "n".repeat(MOST_NAME_BYTES + 1));
        assert_eq!(Tree::from_pairs(name.as_bytes()).unwrap_err().code, "name_too_long");
        let value = form(&format!("name={}", "v".repeat(MOST_VALUE_BYTES + 1))).unwrap_err();
        assert_eq!((value.pointer.as_str(), value.code), ("/name", "value_too_long"));
    }

    #[test]
    fn json_of_many_keys_is_refused_and_deep_json_too() {
        let many: String = (0..100_000).map(|number| format!("\"{number:x}\":1,")).collect();
        let wrong = |text: &str| json(text).unwrap_err();
        assert_eq!(wrong(&format!("{{{many}\"a\":1}}")), (String::new(), "too_many_fields"));
        let inner = format!("{{\"name\":\"a\",\"value\":{{{many}\"a\":1}}}}");
        assert_eq!(wrong(&inner), ("/value".to_owned(), "too_many_fields"));
        let deep = format!("{}{}", "[".repeat(MOST_DEPTH + 1), "]".repeat(MOST_DEPTH + 1));
        assert_eq!(wrong(&deep).1, "too_deep");
        let text = format!("{{\"name\":\"{}\"}}", "v".repeat(MOST_VALUE_BYTES + 1));
        assert_eq!(wrong(&text), ("/name".to_owned(), "value_too_long"));
        let most: String = (1..MOST_FIELDS).map(|number| format!(",\"{number}\":1")).collect();
        assert_eq!(wrong(&format!("{{\"name\":\"a\"{most}}}")), ("/1".to_owned(), "unknown_field"));
    }

    #[tokio::test]
    async fn a_body_that_trickles_is_not_waited_for() {
        let read = async |pause_ms: u64, count: usize| {
            let every = futures::stream::iter(0..count).then(move |_| async move {
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                Ok::<_, std::convert::Infallible>(Bytes::from_static(b"x"))
            });
            let pace = ReadTimeouts { idle: Duration::from_millis(500), whole: Duration::from_secs(2) };
            let all: Vec<_> = pieces(Body::from_stream(every), pace).collect().await;
            (
                all.iter().filter(|one| one.is_ok()).count(),
                all.iter().any(|one| matches!(one, Err(BrokenBody::Slow))),
            )
        };
        assert_eq!(read(1, 3).await, (3, false));
        assert_eq!(read(5_000, 1).await, (0, true), "nothing for too long");
        let (came, slow) = read(50, 1_000).await;
        assert!(came < 100 && slow, "{came}: a little now and then");
    }
}
