//! A column chart as an image: one column per month, grid lines with amounts, and the returned part as the hatched top of a
//! column, so that color never stands alone. It fills the width of its container, with text at normal size. Not here: the
//! table with the same figures.

use std::fmt;

use askama::filters::HtmlSafe;
use payout::money::{Currency, Sum};

use super::format::bare;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The label below it, in two lines; the second may be empty.
    pub label: (String, String),
    /// The tooltip of the whole column.
    pub told: String,
    /// The part that was kept; nothing is drawn for zero or less.
    pub kept: i128,
    /// The part that was not kept, drawn above it and hatched.
    pub back: i128,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// Distinguishes it from other charts on the page.
    pub id: String,
    pub title: String,
    /// A description for screen readers.
    pub told: String,
    pub currency: Currency,
    pub columns: Vec<Column>,
}

/// Heights in pixels: above the top grid line, of the grid, and below it for two lines of labels.
const ABOVE: i128 = 12;
const PLOT: i128 = 150;
const BELOW: i128 = 38;
/// The maximum number of steps on the scale.
const STEPS: i128 = 4;

impl HtmlSafe for Columns {}

impl fmt::Display for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let height = ABOVE + PLOT + BELOW;
        let most = self.columns.iter().map(|one| one.kept.max(0) + one.back.max(0)).max().unwrap_or(0);
        let (step, steps) = scale(most, self.currency.digits());
        let lines: Vec<(i128, String)> =
            (0..=steps).map(|line| (ABOVE + PLOT - line * PLOT / steps, self.amount(line * step))).collect();
        let widest = lines.iter().map(|(_, amount)| amount.chars().count()).max().unwrap_or(0) * 8 + 8;
        write!(
            f,
            "<div class=\"plot\"><svg class=\"chart\" width=\"{widest}\" height=\"{height}\" aria-hidden=\"true\">"
        )?;
        for (y, amount) in &lines {
            write!(f, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{amount}</text>", widest - 8, y + 4)?;
        }
        let id = escaped(&self.id);
        write!(
            f,
            "</svg><svg class=\"chart\" role=\"img\" width=\"100%\" height=\"{height}\" \
             aria-labelledby=\"{id}-title {id}-told\"><title id=\"{id}-title\">{}</title>\
             <desc id=\"{id}-told\">{}</desc><defs><pattern id=\"{id}-hatch\" width=\"6\" height=\"6\" \
             patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
             <rect class=\"second\" width=\"4\" height=\"6\"/></pattern></defs>",
            escaped(&self.title),
            escaped(&self.told)
        )?;
        for (y, _) in &lines {
            write!(f, "<rect class=\"rest\" y=\"{y}\" width=\"100%\" height=\"1\"/>")?;
        }
        for (place, column) in self.columns.iter().enumerate() {
            self.column(f, place, column, step * steps)?;
        }
        f.write_str("</svg></div>")
    }
}

impl Columns {
    fn column(&self, f: &mut fmt::Formatter<'_>, place: usize, one: &Column, top: i128) -> fmt::Result {
        let (place, many) = (place * 100_000, self.columns.len().max(1));
        let slot = 100_000 / many;
        let (left, middle) = (place / many + slot / 5, place / many + slot / 2);
        let (kept, back) = (height(one.kept, top), height(one.back, top));
        let floor = ABOVE + PLOT;
        write!(f, "<g><title>{}</title>", escaped(&one.told))?;
        for (class, y, height) in [("first", floor - kept, kept), ("against", floor - kept - back, back)] {
            if height > 0 {
                let fill = if class == "against" {
                    format!(" fill=\"url(#{}-hatch)\"", escaped(&self.id))
                } else {
                    String::new()
                };
                write!(
                    f,
                    "<rect class=\"{class}\" x=\"{}\" y=\"{y}\" width=\"{}\" height=\"{height}\"{fill}/>",
                    percent(left),
                    percent(slot * 3 / 5)
                )?;
            }
        }
        // Phones only show every other label.
        let every_other =
            if (self.columns.len() - place / 100_000).is_multiple_of(2) { " class=\"alt\"" } else { "" };
        for (y, words) in [(floor + 16, &one.label.0), (floor + 32, &one.label.1)] {
            if !words.is_empty() {
                let at = percent(middle);
                write!(
                    f,
                    "<text{every_other} x=\"{at}\" y=\"{y}\" text-anchor=\"middle\">{}</text>",
                    escaped(words)
                )?;
            }
        }
        f.write_str("</g>")
    }

    /// An amount on the scale, without its decimals, which are always zero.
    fn amount(&self, minor: i128) -> String {
        let amount = bare(Sum::new(minor, self.currency));
        amount.split_once('.').map_or(amount.clone(), |(whole, _)| whole.to_owned())
    }
}

/// The step of the scale and the number of steps. A step is 1, 2 or 5 times a power of ten, in whole units.
fn scale(most: i128, digits: u32) -> (i128, i128) {
    let unit = 10_i128.pow(digits);
    let most = most.max(1);
    let mut power = unit;
    loop {
        for step in [1, 2, 5].map(|first: i128| first.saturating_mul(power)) {
            if step.saturating_mul(STEPS) >= most {
                return (step, (most - 1) / step + 1);
            }
        }
        power = power.saturating_mul(10);
    }
}

/// The height of an amount in pixels; at least one if it is positive.
fn height(value: i128, top: i128) -> i128 {
    if value <= 0 || top <= 0 {
        return 0;
    }
    (value.min(top).saturating_mul(PLOT) / top).max(1)
}

fn percent(thousandths: usize) -> String {
    format!("{}.{:03}%", thousandths / 1000, thousandths % 1000)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&#38;").replace('<', "&#60;").replace('>', "&#62;").replace('"', "&#34;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_has_round_steps_of_whole_units() {
        for (most, digits, step, steps) in [
            (0, 2, 100, 1),
            (5, 2, 100, 1),
            (400, 2, 100, 4),
            (401, 2, 200, 3),
            (222_000, 2, 100_000, 3),
            (7_500, 0, 2_000, 4),
            (1_000_000, 3, 500_000, 2),
        ] {
            assert_eq!(scale(most, digits), (step, steps), "{most}");
        }
        let (step, steps) = scale(i128::MAX, 2);
        assert!(step > 0 && (1..=STEPS).contains(&steps));
    }

    #[test]
    fn a_column_is_as_high_as_its_part_of_the_scale() {
        for (value, top, high) in
            [(100, 100, PLOT), (50, 100, PLOT / 2), (1, 1_000_000, 1), (0, 5, 0), (-7, 5, 0), (0, 0, 0)]
        {
            assert_eq!(height(value, top), high, "{value} of {top}");
        }
    }

    #[test]
    fn it_says_in_words_what_it_draws() {
        let column = |kept, back| Column {
            label: ("A <b> & Co".to_owned(), String::new()),
            told: "7".to_owned(),
            kept,
            back,
        };
        let (id, title, message) = ("paid".to_owned(), "Paid".to_owned(), "By month.".to_owned());
        let columns = vec![column(700, 0), column(700, 300), column(0, 0)];
        let svg = Columns { id, title, told: message, currency: Currency::USD, columns }.to_string();
        assert!(svg.contains("role=\"img\"") && svg.contains("<title id=\"paid-title\">Paid</title>"));
        assert!(svg.contains("<desc id=\"paid-told\">By month.</desc>"));
        assert!(svg.contains("A &#60;b&#62; &#38; Co") && !svg.contains("<b>"));
        assert!(svg.contains(">10</text>") && svg.contains(">5</text>"), "the scale says its amounts: {svg}");
        assert_eq!(svg.matches("class=\"first\"").count(), 2, "a column of nothing is not drawn");
        assert_eq!(
            svg.matches("class=\"against\"").count(),
            1,
            "what came back is never in the colour of the rest"
        );
        assert!(!svg.contains("style="));
    }
}
