//! The layout of a file, and which of our columns each of its headers maps to: guessed by name, remembered from the last
//! import, or chosen by a person. Not here: the rows (`table`).

use std::collections::HashMap;

use payout::Refusal;
use serde::{Deserialize, Serialize};

use super::records::{Lines, Records};
use super::source::{Source, delimiter};
use super::workbook::Sheet;
use super::{COLUMNS, Columns, REQUIRED};
use crate::store::imports::ImportKind;

pub(super) const ACCOUNTS: Columns =
    &["external_id", "name", "country", "owner_email", "vendor", "destination"];
pub(super) const ACCOUNTS_REQUIRED: Columns = &["external_id", "name"];
pub(super) const PARTNERS: Columns =
    &["external_id", "account", "name", "email", "country", "language", "vendor", "destination"];
pub(super) const PARTNERS_REQUIRED: Columns = &["external_id", "account", "name", "email"];
pub(super) const ACTIVITIES: Columns =
    &["external_id", "program", "program_type", "name", "default_value", "default_currency"];
pub(super) const ACTIVITIES_REQUIRED: Columns = &["external_id", "program", "name"];

/// The first column of a file that we wrote: why each row was rejected.
pub(super) const REASON: &str = "reason";

/// The layout of a file: delimiter, headers and line counts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Layout {
    delimiter: char,
    pub headers: Vec<String>,
    /// The line counts; `None` for a file stored before lines were counted.
    #[serde(default)]
    pub lines: Option<Lines>,
    /// The sheet of a workbook; `None` for a text file.
    #[serde(default)]
    pub sheet: Option<Sheet>,
}

impl Layout {
    /// Reads the layout of a file, and counts its rows.
    ///
    /// # Errors
    /// If there is no header, or no row below it.
    pub(super) fn of_source(source: &Source) -> Result<(Self, i64), Refusal> {
        let (layout, rows) = Self::with(&source.text, source.delimiter)?;
        Ok((Self { sheet: source.sheet.clone(), ..layout }, rows))
    }

    /// Reads the layout of a text file, and counts its rows.
    ///
    /// # Errors
    /// If there is no header, or no row below it.
    pub(super) fn of(text: &str) -> Result<(Self, i64), Refusal> {
        Self::with(text, delimiter(text))
    }

    fn with(text: &str, delimiter: char) -> Result<(Self, i64), Refusal> {
        let mut records = Records::of(text, u8::try_from(delimiter).unwrap_or(b','))?;
        let headers: Vec<String> = records.header.iter().map(|name| name.trim().to_owned()).collect();
        if headers.iter().all(String::is_empty) {
            let message =
                "The file has no header. Its first line must name the columns. Nothing was imported.";
            return Err(Refusal::new("missing_header", message).at("file"));
        }
        let mut rows = 0;
        while records.next().is_some() {
            rows += 1;
        }
        if rows == 0 {
            let message = "The file has a header but no rows, so there is nothing to import.";
            return Err(Refusal::new("no_rows", message).at("file"));
        }
        Ok((Self { delimiter, headers, lines: Some(records.lines), sheet: None }, rows))
    }

    pub(super) fn delimiter(&self) -> u8 {
        u8::try_from(self.delimiter).unwrap_or(b',')
    }

    /// Whether we wrote the file: it is a file of rejected rows, fixed or not.
    pub(super) fn is_ours(&self) -> bool {
        self.headers.first().is_some_and(|name| name == REASON)
    }

    /// The delimiter's name, in the plural.
    pub fn delimiter_words(&self) -> &'static str {
        match self.delimiter() {
            b';' => "semicolons",
            b'\t' => "tabs",
            b'|' => "vertical bars",
            _ => "commas",
        }
    }

    /// The display name of a header, which may be empty.
    pub fn name(&self, place: usize) -> String {
        match self.headers.get(place).map(String::as_str) {
            None | Some("") => format!("column {} (no name)", place + 1),
            Some(name) => name.to_owned(),
        }
    }
}

impl Layout {
    /// Another column with the same normalized header.
    fn duplicate_header(&self, place: usize) -> Option<usize> {
        let name = plain(self.headers.get(place)?);
        let same = |(at, header): &(usize, &String)| *at != place && plain(header) == name;
        self.headers.iter().enumerate().find(same).map(|(at, _)| at).filter(|_| !name.is_empty())
    }
}

/// The columns of a kind of file.
pub fn columns(what: ImportKind) -> Columns {
    match what {
        ImportKind::Rewards => COLUMNS,
        ImportKind::Partners => PARTNERS,
        ImportKind::Accounts => ACCOUNTS,
        ImportKind::Activities => ACTIVITIES,
    }
}

/// The required columns of a kind of file.
pub fn required(what: ImportKind) -> Columns {
    match what {
        ImportKind::Rewards => REQUIRED,
        ImportKind::Partners => PARTNERS_REQUIRED,
        ImportKind::Accounts => ACCOUNTS_REQUIRED,
        ImportKind::Activities => ACTIVITIES_REQUIRED,
    }
}

/// The position of each of our columns in a file.
pub(super) struct Places {
    pub(super) columns: Columns,
    pub(super) at: Vec<Option<usize>>,
}

/// The positions of our columns, if each header maps to what is `chosen` for it.
///
/// # Errors
/// If two headers map to one column, a chosen header occurs twice in the file, or a required column is not mapped.
pub(super) fn places(
    what: ImportKind,
    layout: &Layout,
    chosen: &[Option<String>],
) -> Result<Places, Refusal> {
    if chosen.len() != layout.headers.len() {
        let message = "This form is for another file. Load the page again.";
        return Err(Refusal::new("changed_meanwhile", message).at("columns"));
    }
    let columns = columns(what);
    if let Some(name) = chosen.iter().flatten().find(|name| !columns.contains(&name.as_str())) {
        let message = format!("There is no column {name:?}; the columns are: {}.", columns.join(", "));
        return Err(Refusal::new("unknown_column", message).at("columns"));
    }
    let mut at = Vec::with_capacity(columns.len());
    for column in columns {
        let mut standing =
            chosen.iter().enumerate().filter(|(_, it)| it.as_deref() == Some(*column)).map(|(at, _)| at);
        let (first, second) = (standing.next(), standing.next());
        if let (Some(first), Some(second)) = (first, second) {
            let (one, other) = (layout.name(first), layout.name(second));
            let message =
                format!("Both “{one}” and “{other}” are mapped to {column}. Leave one of them out.");
            return Err(Refusal::new("duplicate_column", message).at("columns"));
        }
        if let Some((first, other)) = first.and_then(|first| Some((first, layout.duplicate_header(first)?))) {
            let message = format!(
                "The file has two columns “{}”, its column {} and its column {}, so it is unclear which one is {column}. Give them different names in the file, or delete one, and upload it again. Nothing was imported.",
                layout.name(first),
                first.min(other) + 1,
                first.max(other) + 1
            );
            return Err(Refusal::new("duplicate_column", message).at("columns"));
        }
        at.push(first);
    }
    let absent = |name: &&'static str| !chosen.iter().flatten().any(|it| it == *name);
    let missing: Vec<&str> = required(what).iter().copied().filter(absent).collect();
    if !missing.is_empty() {
        let message = format!(
            "An import of {} needs {}, but no column of the file is mapped to {}. Choose the column for each, or add it to the file.",
            what.as_str(),
            missing.join(", "),
            if missing.len() == 1 { "it" } else { "them" }
        );
        return Err(Refusal::new("missing_column", message).at("columns"));
    }
    Ok(Places { columns, at })
}

/// A header normalized for comparison: without case, spaces and punctuation.
pub(super) fn plain(header: &str) -> String {
    header.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// What each header probably maps to: what it mapped to last time, or else its name, or else a common alias. No column is
/// guessed twice.
pub(super) fn guess(
    what: ImportKind,
    layout: &Layout,
    remembered: &[(String, Option<String>)],
) -> Vec<Option<String>> {
    let columns = columns(what);
    let headers: Vec<String> = layout.headers.iter().map(|header| plain(header)).collect();
    let remembered: HashMap<&str, Option<&str>> =
        remembered.iter().map(|(header, field)| (header.as_str(), field.as_deref())).collect();
    let mut guessed: Vec<Option<&str>> = vec![None; headers.len()];
    let mut take = |of: &dyn Fn(&str) -> Option<&'static str>, leave: bool| {
        for (at, header) in headers.iter().enumerate() {
            let known = leave && remembered.contains_key(header.as_str());
            if guessed[at].is_some() || header.is_empty() || known {
                continue;
            }
            guessed[at] = of(header).filter(|column| !guessed.contains(&Some(column)));
        }
    };
    let column = |name: &str| columns.iter().copied().find(|column| *column == name);
    take(&|header| remembered.get(header).copied().flatten().and_then(column), false);
    take(&|header| columns.iter().copied().find(|column| plain(column) == header), true);
    take(&|header| columns.iter().copied().find(|column| other_names(what, column).contains(&header)), true);
    guessed.into_iter().map(|column| column.map(str::to_owned)).collect()
}

/// Common aliases of a column, normalized by [`plain`].
fn other_names(what: ImportKind, column: &str) -> &'static [&'static str] {
    match (what, column) {
        (ImportKind::Rewards, "external_id") => {
            &["id", "rewardid", "externalreference", "recordid", "dealid", "crmid"]
        }
        (ImportKind::Rewards, "activity") => &["rewardactivity", "activityid", "activityname"],
        (ImportKind::Rewards, "owner") => {
            &["partner", "partnerid", "partneruser", "ownerid", "user", "userid", "payee"]
        }
        (ImportKind::Rewards, "value") => &["amount", "reward", "rewardvalue", "rewardamount", "sum"],
        (ImportKind::Rewards, "currency") => &["currencycode", "ccy", "isocurrency"],
        (ImportKind::Rewards, "payment_type") => &["paidto", "payto"],
        (ImportKind::Rewards, "form_reference") => {
            &["form", "formdata", "reference", "opportunity", "opportunityid"]
        }
        (ImportKind::Rewards, "earned_on") => &["earned", "earneddate", "dateearned", "date", "rewarddate"],
        (ImportKind::Rewards, "expires_on") => &["expires", "expiry", "expirydate", "expirationdate"],
        (ImportKind::Rewards, "note") => &["notes", "comment", "comments", "remark", "description", "memo"],
        (ImportKind::Accounts, "external_id") => &["id", "accountid", "companyid"],
        (ImportKind::Accounts, "name") => &["company", "account", "accountname", "companyname"],
        (ImportKind::Accounts, "owner_email") => &["owner", "accountowner", "accountowneremail", "email"],
        (ImportKind::Partners, "external_id") => &["id", "partnerid", "userid"],
        (ImportKind::Partners, "account") => &["accountid", "company", "companyid"],
        (ImportKind::Partners, "name") => &["fullname", "partnername", "partner"],
        (ImportKind::Partners, "email") => &["mail", "emailaddress", "address"],
        (ImportKind::Partners, "language") => &["lang", "locale"],
        (ImportKind::Accounts | ImportKind::Partners, "country") => &["countrycode"],
        (ImportKind::Accounts | ImportKind::Partners, "vendor") => &["payoutmethod", "paidthrough", "method"],
        (ImportKind::Accounts | ImportKind::Partners, "destination") => {
            &["payoutdestination", "paypal", "paypaladdress", "stripeaccount"]
        }
        (ImportKind::Activities, "external_id") => &["id", "activityid"],
        (ImportKind::Activities, "program") => &["programme", "programname"],
        (ImportKind::Activities, "program_type") => &["type", "rewardtype", "programmetype"],
        (ImportKind::Activities, "name") => &["activity", "activityname", "rewardactivity"],
        (ImportKind::Activities, "default_value") => &["value", "amount", "defaultamount"],
        (ImportKind::Activities, "default_currency") => &["currency", "currencycode"],
        (ImportKind::Rewards | ImportKind::Partners | ImportKind::Accounts | ImportKind::Activities, _) => {
            &[]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(header: &str) -> Layout {
        Layout::of(&format!("{header}\n1\n")).unwrap().0
    }

    #[test]
    fn what_parts_the_fields_is_recognised() {
        for (header, words, count) in [
            ("a,b,c", "commas", 3),
            ("a;b;c,d", "semicolons", 3),
            ("a\tb", "tabs", 2),
            ("\"a;b;c\",d", "commas", 2),
            ("alone", "commas", 1),
        ] {
            let layout = layout(header);
            assert_eq!((layout.delimiter_words(), layout.headers.len()), (words, count), "{header}");
        }
        assert_eq!(Layout::of("").unwrap_err().code, "missing_header");
        assert_eq!(Layout::of("a,b\n").unwrap_err().code, "no_rows");
    }

    #[test]
    fn headers_are_guessed_and_remembered() {
        let file = layout("Deal ID;Reward Activity;Partner;Amount;Currency;value;Region");
        let guessed = |remembered: &[(String, Option<String>)]| {
            let guessed = guess(ImportKind::Rewards, &file, remembered);
            guessed.into_iter().map(|column| column.unwrap_or_default()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(guessed(&[]), "external_id activity owner  currency value ");
        let remembered = [("amount".to_owned(), Some("value".to_owned())), ("value".to_owned(), None)];
        assert_eq!(guessed(&remembered), "external_id activity owner value currency  ");
    }

    #[test]
    fn a_mapping_that_cannot_be_meant_is_refused_by_name() {
        let file = layout("a,b");
        let told = |chosen: [Option<&str>; 2]| {
            let chosen = chosen.map(|column| column.map(str::to_owned));
            places(ImportKind::Accounts, &file, &chosen).map(|places| places.at).map_err(|it| it.sentence)
        };
        assert!(
            told([Some("name"), Some("name")]).unwrap_err().contains("Both “a” and “b” are mapped to name")
        );
        assert!(told([None, Some("name")]).unwrap_err().contains("needs external_id"));
        let doubled = layout("id,Name,name ");
        let chosen = [Some("external_id"), Some("name"), None].map(|column| column.map(str::to_owned));
        let refused = places(ImportKind::Accounts, &doubled, &chosen).map(|places| places.at).unwrap_err();
        assert!(
            refused.code == "duplicate_column" && refused.sentence.contains("column 2 and its column 3"),
            "{}",
            refused.sentence
        );
        let places = told([Some("name"), Some("external_id")]).unwrap();
        assert_eq!(places[..2], [Some(1), Some(0)]);
    }
}
