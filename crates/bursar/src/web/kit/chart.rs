//! Horizontal bar charts as SVG. Each bar has a label and a value as text above it, so that color and length are never the
//! only information. Charts scale to their container, with normal text size. What is deliberately not here: the table
//! beside every chart with the same figures.

use std::fmt;

use askama::filters::HtmlSafe;

/// A bar, with an optional second one below it for comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    pub label: String,
    pub value: String,
    /// The bar's value; nothing is drawn unless it is positive.
    pub first: i128,
    /// The value to compare with: drawn below, thinner and hatched.
    pub second: i128,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// The chart's id, unique on its page.
    pub id: String,
    pub title: String,
    /// A description for screen readers.
    pub told: String,
    pub bars: Vec<Bar>,
}

/// The height of a bar with its text, in pixels.
const ROW: usize = 36;

impl HtmlSafe for Chart {}

impl fmt::Display for Chart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, height) = (escaped(&self.id), self.bars.len() * ROW);
        let most = self.bars.iter().map(|bar| bar.first.max(bar.second)).max().unwrap_or(0);
        write!(
            f,
            "<svg class=\"chart\" role=\"img\" width=\"100%\" height=\"{height}\" \
             aria-labelledby=\"{id}-title {id}-told\"><title id=\"{id}-title\">{}</title>\
             <desc id=\"{id}-told\">{}</desc><defs><pattern id=\"{id}-hatch\" width=\"6\" height=\"6\" \
             patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
             <rect class=\"second\" width=\"3\" height=\"6\"/></pattern></defs>",
            escaped(&self.title),
            escaped(&self.told)
        )?;
        for (place, bar) in self.bars.iter().enumerate() {
            let top = place * ROW;
            write!(
                f,
                "<svg width=\"62%\" height=\"{ROW}\" y=\"{top}\"><text y=\"13\">{}</text></svg>\
                 <text class=\"value\" x=\"100%\" y=\"{}\">{}</text>",
                escaped(&bar.label),
                top + 13,
                escaped(&bar.value)
            )?;
            write!(f, "<rect class=\"rest\" y=\"{}\" width=\"100%\" height=\"7\"/>", top + 18)?;
            if let Some(width) = share(bar.first, most) {
                write!(f, "<rect class=\"first\" y=\"{}\" width=\"{width}\" height=\"7\"/>", top + 18)?;
            }
            if let Some(width) = share(bar.second, most) {
                write!(
                    f,
                    "<rect class=\"against\" y=\"{}\" width=\"{width}\" height=\"4\" fill=\"url(#{id}-hatch)\"/>",
                    top + 26
                )?;
            }
        }
        f.write_str("</svg>")
    }
}

/// A share as `12.3%`, rounded down; at least 0.4%, so that a small value stays visible.
fn share(value: i128, most: i128) -> Option<String> {
    if value <= 0 || most <= 0 {
        return None;
    }
    let thousandths = (value * 1000 / most).max(4);
    Some(format!("{}.{}%", thousandths / 10, thousandths % 10))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&#38;").replace('<', "&#60;").replace('>', "&#62;").replace('"', "&#34;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_part_of_the_longest() {
        for (value, most, width) in [
            (100, 100, Some("100.0%")),
            (1, 3, Some("33.3%")),
            (1, i128::from(i64::MAX), Some("0.4%")),
            (i128::from(i64::MAX) * 9, i128::from(i64::MAX) * 9, Some("100.0%")),
            (0, 5, None),
            (-7, 5, None),
            (0, 0, None),
        ] {
            assert_eq!(share(value, most).as_deref(), width, "{value} of {most}");
        }
    }

    #[test]
    fn it_says_in_words_what_it_draws() {
        let bar =
            |first, second| Bar { label: "A <b> & Co".to_owned(), value: "7".to_owned(), first, second };
        let (id, title) = ("paid".to_owned(), "Paid".to_owned());
        let chart = Chart { id, title, told: "By month.".to_owned(), bars: vec![bar(7, 0), bar(7, 3)] };
        let svg = chart.to_string();
        assert!(svg.contains("role=\"img\"") && svg.contains("<title id=\"paid-title\">Paid</title>"));
        assert!(svg.contains("<desc id=\"paid-told\">By month.</desc>"));
        assert!(svg.contains("A &#60;b&#62; &#38; Co") && !svg.contains("<b>"));
        assert_eq!(svg.matches("class=\"against\"").count(), 1, "a bar of nothing is not drawn");
        assert!(!svg.contains("style="));
    }
}
