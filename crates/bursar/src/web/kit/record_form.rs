//! The form for creating or editing a partner, an account, a program or an activity. After an error the input is kept and
//! the error shown; if somebody else has changed the record, its current values are shown, and nothing is overwritten
//! unseen. Not here: the fields of each (`payees::edit`, `programs::pages`).

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use payout::Refusal;

use super::layout::{Flash, Frame, MenuItem, PageContext};
use super::problem::Problem;
use super::resolve::offer;
use crate::clock::Clock;
use crate::ops::OpsError;

/// An option of a field.
pub struct Choice {
    /// Its value in the form.
    pub value: String,
    pub words: String,
    pub chosen: bool,
}

/// A field of the form.
pub struct Field {
    /// Its name in the form and in refusals.
    pub name: &'static str,
    pub words: &'static str,
    /// `text`, `email`, `number`, `select`, `list` or `tick`.
    pub kind: &'static str,
    /// The input, or the current value.
    pub value: String,
    /// A hint shown with the field.
    pub hint: &'static str,
    pub choices: Vec<Choice>,
    pub required: bool,
}

impl Field {
    pub fn line(name: &'static str, words: &'static str, value: &Option<String>, hint: &'static str) -> Self {
        let value = value.clone().unwrap_or_default();
        Self { name, words, kind: "text", value, hint, choices: Vec::new(), required: false }
    }

    pub fn select(
        name: &'static str,
        words: &'static str,
        hint: &'static str,
        value: &Option<String>,
        choices: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let value = value.clone().unwrap_or_default();
        let choice = |(word, words): (String, String)| Choice { chosen: word == value, value: word, words };
        let choices = choices.into_iter().map(choice).collect();
        Self { name, words, kind: "select", value, hint, choices, required: false }
    }

    /// A text field with suggestions, given as ID and name.
    pub fn among(
        name: &'static str,
        words: &'static str,
        value: &Option<String>,
        hint: &'static str,
        some: &[(String, String)],
    ) -> Self {
        let typed = value.clone().unwrap_or_default();
        let choices: Vec<Choice> = some
            .iter()
            .map(|(id, name)| Choice { value: offer(name, id), words: String::new(), chosen: *id == typed })
            .collect();
        let value = choices.iter().find(|one| one.chosen).map_or(typed, |one| one.value.clone());
        Self { name, words, kind: "list", value, hint, choices, required: false }
    }

    /// A country, by its name.
    pub fn country(value: &Option<String>) -> Self {
        let mut all: Vec<(String, String)> = payout::country::by_name()
            .into_iter()
            .map(|(code, name)| (code.to_owned(), name.to_owned()))
            .collect();
        // The stored country stays selected, even if it is not in the list.
        if let Some(code) = given(value).filter(|code| all.iter().all(|(known, _)| known != code)) {
            all.push((code.clone(), code));
        }
        Self::select("country", "Country", "Not known", value, all)
    }

    /// The same field with another input type.
    pub fn of_kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    pub fn needed(mut self) -> Self {
        self.required = true;
        self
    }
}

/// A form and its context.
pub struct RecordForm {
    pub title: String,
    /// The page's place in the menu.
    pub place: MenuItem,
    /// The back link: address and label.
    pub back: (String, String),
    pub fields: Vec<Field>,
    /// The record's version when the form was shown; `None` for a new record.
    pub seen: Option<i64>,
}

#[derive(Template)]
#[template(path = "kit/record_form.html")]
struct CataloguePage {
    frame: Frame,
    sheet: RecordForm,
    wrong: Option<Refusal>,
    /// The current values that differ from the input.
    now: Vec<String>,
}

impl CataloguePage {
    /// The error of a field.
    fn at(&self, field: &Field) -> &str {
        let wrong = self.wrong.as_ref().filter(|wrong| wrong.field == Some(field.name));
        wrong.map_or("", |wrong| wrong.sentence.as_str())
    }

    /// The error of the form as a whole, or of something that is no field.
    fn whole(&self) -> Option<&str> {
        let named = |wrong: &&Refusal| self.sheet.fields.iter().any(|field| wrong.field == Some(field.name));
        self.wrong.as_ref().filter(|wrong| !named(wrong)).map(|wrong| wrong.sentence.as_str())
    }
}

/// The form as first shown.
pub fn show(context: &PageContext, sheet: RecordForm) -> Result<Response, Problem> {
    let frame = context.frame(sheet.title.clone(), sheet.place);
    context.show(&CataloguePage { frame, sheet, wrong: None, now: Vec::new() })
}

/// The form after a refusal. `current` has the fields of the current record.
///
/// # Errors
/// An error that is not a refusal.
pub fn again(
    context: &PageContext,
    sheet: RecordForm,
    current: &[Field],
    error: OpsError,
) -> Result<Response, Problem> {
    let (OpsError::Refused(wrong) | OpsError::Conflict(wrong)) = error else { return Err(error.into()) };
    let changed = wrong.code == CHANGED;
    let differs =
        |typed: &&Field| current.iter().find(|now| now.name == typed.name && now.value != typed.value);
    let describe =
        |now: &Field| format!("{}: {}", now.words, if now.value.is_empty() { "nothing" } else { &now.value });
    let now = sheet.fields.iter().filter_map(|typed| differs(&typed)).map(describe);
    let now = if changed { now.collect() } else { Vec::new() };
    let status = if changed { StatusCode::CONFLICT } else { StatusCode::UNPROCESSABLE_ENTITY };
    let frame = context.frame(sheet.title.clone(), sheet.place);
    let page = CataloguePage { frame, sheet, wrong: Some(wrong), now };
    Ok((status, context.show(&page)?).into_response())
}

/// Redirects to the record's page, with the message that it is saved.
pub fn saved(name: &str, new: bool, address: &str) -> Response {
    let message = if new { format!("{name} is entered.") } else { format!("{name} is saved.") };
    Flash::good(message).on(address)
}

const CHANGED: &str = "changed_meanwhile";

/// Refuses to create a record that already exists.
///
/// # Errors
/// If it exists.
pub fn must_be_new<T>(before: Option<&T>, what: &str) -> Result<(), Refusal> {
    if before.is_none() {
        return Ok(());
    }
    let message =
        format!("There is {what} with this external id already. Choose another, or change that one.");
    Err(Refusal::new("external_id_taken", message).at("external_id"))
}

/// Refuses to change a record that has changed since the form was shown.
///
/// # Errors
/// If somebody has changed it since, or it is gone.
pub fn must_be_as_seen<T>(
    before: Option<T>,
    updated_at: fn(&T) -> i64,
    seen: Option<i64>,
) -> Result<T, Refusal> {
    let message = "Somebody else changed this since you opened the form, so nothing was saved. What you typed is still here, \
                with the current values below. Save again to overwrite them.";
    before.filter(|before| seen == Some(updated_at(before))).ok_or_else(|| Refusal::new(CHANGED, message))
}

/// Generates an external id for a record entered by hand that has none elsewhere.
pub fn by_hand(clock: &Clock) -> Option<String> {
    let chance = payout::ids::encode(clock.random());
    Some(format!("hand-{}", chance.get(16..).unwrap_or(&chance)))
}

/// The input of an optional field.
pub fn given(typed: &Option<String>) -> Option<String> {
    typed.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A country code in capital letters, however it was typed.
pub fn country(typed: &Option<String>) -> Option<String> {
    given(typed).map(|code| code.to_uppercase())
}
