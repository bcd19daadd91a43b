//! Amounts as rows of a form: each row names its list, and may be taken away by its tick or by emptying its amount. Behind
//! the rows a list is a text with an amount on each line, which a form may send as it is. What is deliberately not here:
//! what an amount means (`ops::settings`).

use super::{Typed, filled};

/// An amount as it is typed.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Row {
    /// The vendor, or the year, of the lists that have one.
    pub lead: String,
    pub value: String,
    pub currency: String,
}

impl Row {
    /// It is the one for more.
    pub fn is_empty(&self) -> bool {
        self.value.is_empty() && self.currency.is_empty()
    }
}

/// The lists whose amounts have a word before them.
fn has_lead(list: &str) -> bool {
    matches!(list, "per_payment" | "tax_thresholds")
}

fn text_of<'a>(typed: &'a mut Typed, list: &str) -> Option<&'a mut String> {
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

/// What was typed, the rows put together as the text of their list.
pub fn gathered(mut typed: Typed) -> Typed {
    let (of, drop) = (std::mem::take(&mut typed.row_of), std::mem::take(&mut typed.row_drop));
    let columns = [&mut typed.row_lead, &mut typed.row_value, &mut typed.row_currency].map(std::mem::take);
    let cell = |column: &[String], place: usize| {
        column.get(place).map_or_else(String::new, |text| text.trim().replace(char::is_whitespace, ""))
    };
    for list in &of {
        let places = of.iter().enumerate().filter(|(_, name)| *name == list).map(|(place, _)| place);
        let mut lines = Vec::new();
        for (number, place) in places.enumerate() {
            let [lead, value, currency] = columns.each_ref().map(|column| cell(column, place));
            // A year without its amount is said to be wrong; a vendor stands in every row.
            let left_out = value.is_empty() && (list != "tax_thresholds" || lead.is_empty());
            if !left_out && !drop.contains(&format!("{list}:{number}")) {
                let words = [lead, value, currency.to_uppercase()];
                lines.push(words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "));
            }
        }
        if let Some(text) = text_of(&mut typed, list) {
            *text = lines.join("\n");
        }
    }
    typed
}

/// The rows of a list: those that are filled, and one for another.
pub fn rows(typed: &Typed, list: &str) -> Vec<Row> {
    let mut typed = typed.clone();
    let text = text_of(&mut typed, list).map_or_else(String::new, |text| text.clone());
    let row = |line: &str| {
        let mut words = line.split_whitespace().map(str::to_owned);
        let lead = if has_lead(list) { words.next() } else { None };
        let (lead, value) = (lead.unwrap_or_default(), words.next().unwrap_or_default());
        Row { lead, value, currency: words.collect::<Vec<_>>().join(" ") }
    };
    filled(&text).map(row).chain([Row::default()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(rows: &[(&str, &str, &str, &str)], drop: &[&str]) -> Typed {
        let column = |of: fn(&(&str, &str, &str, &str)) -> String| rows.iter().map(of).collect();
        Typed {
            row_of: column(|row| row.0.to_owned()),
            row_lead: column(|row| row.1.to_owned()),
            row_value: column(|row| row.2.to_owned()),
            row_currency: column(|row| row.3.to_owned()),
            row_drop: drop.iter().map(|place| (*place).to_owned()).collect(),
            thresholds: "7 USD".to_owned(),
            per_day: "1 USD".to_owned(),
            ..Typed::default()
        }
    }

    #[test]
    fn rows_are_put_together_and_taken_apart_again() {
        let sent = gathered(typed(
            &[
                ("thresholds", "", "50", "usd"),
                ("thresholds", "", "60", "EUR"),
                ("thresholds", "", " 5 000 ", "JPY"),
                ("thresholds", "", "", "USD"),
                ("per_payment", "paypal", "5000.00", "USD"),
                ("per_payment", "stripe", "", ""),
                ("tax_thresholds", "2027", "", "USD"),
                ("unknown", "", "1", "USD"),
            ],
            &["thresholds:1"],
        ));
        assert_eq!(sent.thresholds, "50 USD\n5000 JPY");
        assert_eq!(sent.per_payment, "paypal 5000.00 USD");
        assert_eq!(sent.tax_thresholds, "2027 USD", "a year without an amount is not lost without a word");
        assert_eq!(sent.per_day, "1 USD", "a list that sent no rows is as its text says");
        let row = |lead: &str, value: &str, currency: &str| Row {
            lead: lead.to_owned(),
            value: value.to_owned(),
            currency: currency.to_owned(),
        };
        assert_eq!(rows(&sent, "per_payment"), [row("paypal", "5000.00", "USD"), Row::default()]);
        assert_eq!(rows(&sent, "thresholds")[1], row("", "5000", "JPY"));
        assert!(rows(&sent, "per_batch")[0].is_empty());
    }
}
