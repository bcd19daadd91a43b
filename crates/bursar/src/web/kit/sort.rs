//! The heads of tables that can be sorted: a link to the list in the column's order, and from there to the opposite order.
//! Not here: which columns a list can be sorted by, and the order itself.

use std::fmt;

use askama::filters::HtmlSafe;

/// The order that a first press on a head asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum First {
    /// Where people look for a word, so that the list starts with A.
    Rising,
    /// For amounts and times, so that the largest and the newest come first.
    Falling,
}

/// A column's head. It is written as the table's cell.
#[derive(Clone, Debug)]
pub struct Head {
    words: &'static str,
    right: bool,
    /// `ascending` or `descending`, if the list is sorted by it.
    sorted: Option<&'static str>,
    /// The address that sorts by it.
    address: Option<String>,
}

impl Head {
    /// A column that a list cannot be sorted by.
    pub fn plain(words: &'static str) -> Self {
        Self { words, right: false, sorted: None, address: None }
    }

    /// A column that sorts by `name`. `order` is the list's current order, with `-` for descending; `to` makes the address of
    /// another one.
    pub fn sorting(
        words: &'static str,
        name: &str,
        first: First,
        order: &str,
        to: impl Fn(&str) -> String,
    ) -> Self {
        let (by, falls) = order.strip_prefix('-').map_or((order, false), |by| (by, true));
        let sorted = (by == name).then_some(if falls { "descending" } else { "ascending" });
        let wanted = match sorted {
            Some(_) if falls => name.to_owned(),
            None if first == First::Rising => name.to_owned(),
            Some(_) | None => format!("-{name}"),
        };
        Self { words, right: false, sorted, address: Some(to(&wanted)) }
    }

    /// Aligned like the amounts below it.
    pub fn right(self) -> Self {
        Self { right: true, ..self }
    }
}

impl HtmlSafe for Head {}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<th scope=\"col\"")?;
        if self.right {
            f.write_str(" class=\"right\"")?;
        }
        if let Some(sorted) = self.sorted {
            write!(f, " aria-sort=\"{sorted}\"")?;
        }
        f.write_str(">")?;
        let Some(address) = &self.address else { return write!(f, "{}</th>", self.words) };
        let Ok(address) = askama::filters::escape(address, askama::filters::Html);
        write!(f, "<a href=\"{address}\">{}", self.words)?;
        match self.sorted {
            Some("descending") => f.write_str(" <span aria-hidden=\"true\">↓</span>")?,
            Some(_) => f.write_str(" <span aria-hidden=\"true\">↑</span>")?,
            None => {}
        }
        f.write_str("</a></th>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_asks_for_its_order_and_then_for_the_opposite() {
        let head = |first, order: &str| {
            let head =
                Head::sorting("Amount", "amount", first, order, |sort| format!("/list?a=<&sort={sort}"));
            head.to_string()
        };
        let link = |sort: &str, arrow: &str| {
            format!("<a href=\"/list?a=&#60;&#38;sort={sort}\">Amount{arrow}</a></th>")
        };
        let arrow = |arrow: &str| format!(" <span aria-hidden=\"true\">{arrow}</span>");
        let plain = "<th scope=\"col\">".to_owned();
        assert_eq!(head(First::Falling, "-number"), plain.clone() + &link("-amount", ""));
        assert_eq!(head(First::Rising, "number"), plain + &link("amount", ""));
        let sorted = |way: &str| format!("<th scope=\"col\" aria-sort=\"{way}\">");
        assert_eq!(head(First::Rising, "-amount"), sorted("descending") + &link("amount", &arrow("↓")));
        assert_eq!(head(First::Falling, "amount"), sorted("ascending") + &link("-amount", &arrow("↑")));
        let right = Head::plain("Total").right().to_string();
        assert_eq!(right, "<th scope=\"col\" class=\"right\">Total</th>");
    }
}
