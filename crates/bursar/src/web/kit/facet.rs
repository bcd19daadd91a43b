//! Filters that are added one at a time: first the filter, then its value. A filter with few values offers links; typed or
//! ticked values are in one form, which also sends the other current parameters. Not here: what a filter means (each list
//! parses its own), and the form with all filters.

use jiff::ToSpan as _;
use jiff::civil::Date;

/// The filters of a list, and the other current parameters that their form sends along.
pub struct Facets {
    pub list: Vec<Facet>,
    pub kept: Vec<(String, String)>,
}

impl Facets {
    /// The form keeps every current parameter that it has no field for.
    pub fn of(list: Vec<Facet>, asked: Vec<(&'static str, &str)>) -> Self {
        let typed = |name: &str| list.iter().any(|facet| facet.asks(name));
        let kept = asked.into_iter().filter(|(name, _)| !typed(name));
        let kept = kept.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { list, kept }
    }
}

pub struct Facet {
    pub words: &'static str,
    /// The values to choose from, each with the address of the list filtered by it.
    pub choices: Vec<(String, String)>,
    /// Checkboxes: name, value, label, whether checked.
    pub ticks: Vec<(&'static str, String, String, bool)>,
    pub fields: Vec<Typed>,
}

/// A field for a typed or selected value.
pub struct Typed {
    pub name: &'static str,
    pub words: &'static str,
    /// `text`, `date` or `select`.
    pub kind: &'static str,
    pub value: String,
    pub hint: &'static str,
    /// Value, label and whether it is selected.
    pub options: Vec<(String, String, bool)>,
}

impl Typed {
    pub fn of(
        name: &'static str,
        words: &'static str,
        kind: &'static str,
        value: &Option<String>,
        hint: &'static str,
    ) -> Self {
        Self { name, words, kind, value: value.clone().unwrap_or_default(), hint, options: Vec::new() }
    }

    /// A select field with the given options.
    pub fn among(
        name: &'static str,
        words: &'static str,
        options: impl IntoIterator<Item = (String, String, bool)>,
    ) -> Self {
        Self { options: options.into_iter().collect(), ..Self::of(name, words, "select", &None, "") }
    }
}

impl Facet {
    /// A filter with few values, offered as links.
    pub fn links<W: Into<String>>(
        words: &'static str,
        choices: impl IntoIterator<Item = (W, String)>,
    ) -> Self {
        let choices = choices.into_iter().map(|(words, address)| (words.into(), address)).collect();
        Self { words, choices, ticks: Vec::new(), fields: Vec::new() }
    }

    /// A filter with form fields.
    pub fn typed(words: &'static str, fields: Vec<Typed>) -> Self {
        Self { words, choices: Vec::new(), ticks: Vec::new(), fields }
    }

    /// A filter with checkboxes, for several values at once.
    pub fn ticked(words: &'static str, ticks: Vec<(&'static str, String, String, bool)>) -> Self {
        Self { words, choices: Vec::new(), ticks, fields: Vec::new() }
    }

    /// Adds links next to the fields.
    pub fn with(mut self, choices: Vec<(String, String)>) -> Self {
        self.choices = choices;
        self
    }

    /// Whether it has anything that the form sends.
    pub fn is_sent(&self) -> bool {
        !self.fields.is_empty() || !self.ticks.is_empty()
    }

    fn asks(&self, name: &str) -> bool {
        let ticked = self.ticks.iter().any(|(of, ..)| *of == name);
        ticked || self.fields.iter().any(|field| field.name == name)
    }
}

/// Common date ranges ending at or before this day: label, first day, last day.
pub fn date_presets(today: &str) -> Vec<(&'static str, String, String)> {
    let Ok(today) = today.parse::<Date>() else { return Vec::new() };
    let back = |days: i64| today.checked_sub(days.days()).unwrap_or(today);
    let month = today.first_of_month();
    let last = month.yesterday().unwrap_or(month);
    [
        ("Today", today, today),
        ("Last 7 days", back(6), today),
        ("Last 30 days", back(29), today),
        ("This month", month, today),
        ("Last month", last.first_of_month(), last),
    ]
    .map(|(words, first, last)| (words, first.to_string(), last.to_string()))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_days_before_this_one_have_names() {
        let messages: Vec<String> = date_presets("2026-03-02")
            .into_iter()
            .map(|(words, first, last)| format!("{words}: {first} to {last}"))
            .collect();
        assert_eq!(
            messages,
            [
                "Today: 2026-03-02 to 2026-03-02",
                "Last 7 days: 2026-02-24 to 2026-03-02",
                "Last 30 days: 2026-02-01 to 2026-03-02",
                "This month: 2026-03-01 to 2026-03-02",
                "Last month: 2026-02-01 to 2026-02-28",
            ]
        );
        assert!(date_presets("soon").is_empty());
    }
}
