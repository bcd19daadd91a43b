//! Amounts as rows of a form. Each row names its list, and is removed by ticking it or emptying it. A list is stored as text
//! with one amount per line, which a form may also send directly. Not here: what an amount means (`ops::settings`).

use payout::Refusal;

use super::{FormInput, filled};

/// An amount as typed into the form.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Row {
    /// The vendor or the year, in lists that have one.
    pub lead: String,
    pub value: String,
    pub currency: String,
    /// Whether the row is ticked for removal.
    pub drop: bool,
}

impl Row {
    /// Whether this is the empty row for adding another amount.
    pub fn is_empty(&self) -> bool {
        self.value.is_empty() && self.currency.is_empty()
    }

    /// Whether nothing was typed. Every row has a vendor; a row has a year only if someone typed it.
    fn is_blank(&self, list: &str) -> bool {
        self.is_empty() && (list != "tax_thresholds" || self.lead.is_empty())
    }

    fn words(&self) -> [&str; 3] {
        [&self.lead, &self.value, &self.currency]
    }

    /// Why the row is not a valid line of its list. An incomplete or malformed row is refused, never dropped or repaired.
    pub fn wrong(&self, list: &str) -> Option<&'static str> {
        let apart = |text: &str| text.contains(char::is_whitespace);
        if self.drop || self.is_blank(list) {
            None
        } else if self.words().into_iter().any(apart) {
            Some("has a space within a cell. Write amounts without spaces, like 5000.00")
        } else if has_lead(list) && self.lead.is_empty() {
            Some("has no year. Write it, or tick Remove")
        } else if self.value.is_empty() {
            Some("has no amount. Write one, or tick Remove")
        } else if self.currency.is_empty() {
            Some("has no currency. Write one, like USD, or tick Remove")
        } else {
            None
        }
    }

    fn line(&self) -> String {
        let words = self.words().into_iter().filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(" ")
    }
}

/// Whether each row of the list starts with a vendor or year.
fn has_lead(list: &str) -> bool {
    matches!(list, "per_payment" | "tax_thresholds")
}

fn text_of<'a>(typed: &'a mut FormInput, list: &str) -> Option<&'a mut String> {
    Some(match list {
        "thresholds" => &mut typed.thresholds,
        "per_reward" => &mut typed.per_reward,
        "per_payment" => &mut typed.per_payment,
        "per_batch" => &mut typed.per_batch,
        "per_day" => &mut typed.per_day,
        "per_person_per_day" => &mut typed.per_person_per_day,
        "typed_total_above" => &mut typed.typed_total_above,
        "tax_thresholds" => &mut typed.tax_thresholds,
        _ => return None,
    })
}

/// The field name used in refusals for a list.
fn field_of(list: &str) -> &'static str {
    match list {
        "thresholds" => "earning_thresholds",
        "per_reward" => "limits.per_reward",
        "per_payment" => "limits.per_payment",
        "per_batch" => "limits.per_batch",
        "per_day" => "limits.per_day",
        "per_person_per_day" => "limits.per_person_per_day",
        "typed_total_above" => "typed_total_above",
        _ => "tax_thresholds",
    }
}

/// The submitted rows of a list, as typed.
fn sent(typed: &FormInput, list: &str) -> Vec<Row> {
    let places = typed.row_of.iter().enumerate().filter(|(_, name)| *name == list);
    let cell = |column: &[String], place: usize| {
        column.get(place).map_or_else(String::new, |text| text.trim().to_owned())
    };
    let row = |(number, (place, _)): (usize, (usize, &String))| Row {
        lead: cell(&typed.row_lead, place),
        value: cell(&typed.row_value, place),
        currency: cell(&typed.row_currency, place).to_uppercase(),
        drop: typed.row_drop.contains(&format!("{list}:{number}")),
    };
    places.enumerate().map(row).collect()
}

/// The input, with the submitted rows of each list joined into the list's text.
///
/// # Errors
/// The first row that is incomplete.
pub fn merge_rows(typed: &FormInput) -> Result<FormInput, Refusal> {
    let mut whole = typed.clone();
    for list in &typed.row_of {
        let Some(text) = text_of(&mut whole, list) else { continue };
        let mut lines = Vec::new();
        let rows = sent(typed, list).into_iter().filter(|row| !row.is_blank(list));
        for (place, row) in rows.enumerate() {
            if let Some(why) = row.wrong(list) {
                let message = format!("Row {} (“{}”) {why}.", place + 1, row.line());
                return Err(Refusal::new("invalid", message).at(field_of(list)));
            }
            if !row.drop {
                lines.push(row.line());
            }
        }
        *text = lines.join("\n");
    }
    Ok(whole)
}

/// The rows of a list, as submitted or else parsed from its text, followed by an empty row.
pub fn rows(typed: &FormInput, list: &str) -> Vec<Row> {
    let new = [Row::default()];
    if typed.row_of.iter().any(|name| name == list) {
        return sent(typed, list).into_iter().filter(|row| !row.is_blank(list)).chain(new).collect();
    }
    let mut typed = typed.clone();
    let text = text_of(&mut typed, list).map_or_else(String::new, |text| text.clone());
    let row = |line: &str| {
        let mut words = line.split_whitespace().map(str::to_owned);
        let lead = if has_lead(list) { words.next() } else { None };
        let (lead, value) = (lead.unwrap_or_default(), words.next().unwrap_or_default());
        Row { lead, value, currency: words.collect::<Vec<_>>().join(" "), drop: false }
    };
    filled(&text).map(row).chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(rows: &[(&str, &str, &str, &str)], drop: &[&str]) -> FormInput {
        let column = |of: fn(&(&str, &str, &str, &str)) -> String| rows.iter().map(of).collect();
        FormInput {
            row_of: column(|row| row.0.to_owned()),
            row_lead: column(|row| row.1.to_owned()),
            row_value: column(|row| row.2.to_owned()),
            row_currency: column(|row| row.3.to_owned()),
            row_drop: drop.iter().map(|place| (*place).to_owned()).collect(),
            thresholds: "7 USD".to_owned(),
            per_day: "1 USD".to_owned(),
            ..FormInput::default()
        }
    }

    fn row(lead: &str, value: &str, currency: &str) -> Row {
        Row { lead: lead.to_owned(), value: value.to_owned(), currency: currency.to_owned(), drop: false }
    }

    #[test]
    fn rows_are_put_together_and_taken_apart_again() {
        let sent = typed(
            &[
                ("thresholds", "", "50", "usd"),
                ("thresholds", "", "", "EUR"),
                ("thresholds", "", " 5000 ", "JPY"),
                ("thresholds", "", "", ""),
                ("per_payment", "paypal", "5000.00", "USD"),
                ("per_payment", "stripe", "", ""),
                ("unknown", "", "1", "USD"),
            ],
            &["thresholds:1"],
        );
        let whole = merge_rows(&sent).unwrap();
        assert_eq!(whole.thresholds, "50 USD\n5000 JPY");
        assert_eq!(whole.per_payment, "paypal 5000.00 USD");
        assert_eq!(whole.per_day, "1 USD", "a list that sent no rows is as its text says");
        assert_eq!(rows(&sent, "per_payment"), [row("paypal", "5000.00", "USD"), Row::default()]);
        let ticked = Row { drop: true, ..row("", "", "EUR") };
        assert_eq!(rows(&sent, "thresholds")[1..3], [ticked, row("", "5000", "JPY")], "as they were typed");
        let saved = FormInput { per_payment: whole.per_payment, ..FormInput::default() };
        assert_eq!(rows(&saved, "per_payment"), [row("paypal", "5000.00", "USD"), Row::default()]);
        assert!(rows(&sent, "per_batch")[0].is_empty());
    }

    #[test]
    fn a_row_that_is_not_whole_is_refused_and_stays_in_its_cells() {
        for (of, why) in [
            (("per_day", "", "", "USD"), "Row 1 (“USD”) has no amount. Write one, or tick Remove."),
            (("per_payment", "paypal", "", "USD"), "Row 1 (“paypal USD”) has no amount."),
            (("per_day", "", "50", ""), "Row 1 (“50”) has no currency."),
            (("per_day", "", "100 00", "USD"), "Row 1 (“100 00 USD”) has a space within a cell."),
            (("tax_thresholds", "", "2000.00", "USD"), "Row 1 (“2000.00 USD”) has no year."),
            (("tax_thresholds", "2027", "", ""), "Row 1 (“2027”) has no amount."),
            (("tax_thresholds", "", "2027 1", "USD"), "Row 1 (“2027 1 USD”) has a space within a cell."),
        ] {
            let sent = typed(&[of], &[]);
            let refusal = merge_rows(&sent).map(|_| ()).unwrap_err();
            assert!(refusal.sentence.starts_with(why), "{}", refusal.sentence);
            assert_eq!(refusal.field, Some(field_of(of.0)));
            assert_eq!(rows(&sent, of.0), [row(of.1, of.2, of.3), Row::default()]);
            let ticked = typed(&[of], &[&format!("{}:0", of.0)]);
            assert!(merge_rows(&ticked).is_ok(), "a tick takes it away");
        }
    }
}
