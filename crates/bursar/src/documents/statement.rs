//! A payee's yearly statement on paper: who was paid, every payment, the totals, and what the paper is not. Not here:
//! choosing the payments (`ops::statements`).

use std::collections::BTreeMap;

use payout::money::{Currency, Money, Sum};

use super::pdf::{self, HEIGHT, Length, Mark, Page, Role, WIDTH, drawable, width};

#[derive(Clone, Debug)]
pub struct Statement {
    /// The name of the payee.
    pub payee: String,
    /// Their company, unless it is the payee itself.
    pub company: Option<String>,
    pub year: i32,
    /// The date the data is as of, `YYYY-MM-DD`.
    pub as_of: String,
    pub payments: Vec<Payment>,
}

#[derive(Clone, Debug)]
pub struct Payment {
    /// `PT-000977`.
    pub number: String,
    /// The day the money left, `YYYY-MM-DD`.
    pub day: String,
    /// The vendor and the masked destination.
    pub to: String,
    pub amount: Money,
    /// The part of the fee that the payee bore.
    pub fee: Money,
    /// The net amount that was paid.
    pub net: Money,
    pub status: String,
    /// Not returned, and therefore part of the totals.
    pub counts: bool,
}

const LEFT: Length = 4_800;
const RIGHT: Length = WIDTH - LEFT;
const TOP: Length = 6_000;
/// The bottom edge of the table; the footer is below it.
const BOTTOM: Length = HEIGHT - 6_500;
const SMALL: Length = 750;
const TEXT: Length = 950;
const STEP: Length = 1_050;

/// The columns: header, left edge, right edge, and whether text is right-aligned.
const COLUMNS: [(&str, Length, Length, bool); 7] = [
    ("Payment", LEFT, 9_900, false),
    ("Date", 9_900, 14_900, false),
    ("Paid to", 14_900, 27_500, false),
    ("Amount", 27_500, 35_000, true),
    ("Fee", 35_400, 39_800, true),
    ("Net", 40_200, 47_700, true),
    ("Status", 48_300, RIGHT, false),
];

/// Renders the statement as a PDF. The same statement produces the same bytes.
///
/// # Errors
/// The PDF cannot be made, which would be a bug.
pub fn pdf(of: &Statement) -> Result<Vec<u8>, String> {
    let title = format!("Statement of payments {}: {}", of.year, of.payee);
    pdf::written(&title, &laid_out(of))
}

/// The current position across pages.
struct Paper {
    pages: Vec<Page>,
    y: Length,
}

impl Paper {
    fn page(&mut self) -> &mut Page {
        if self.pages.is_empty() {
            self.pages.push(Page::default());
        }
        let last = self.pages.len() - 1;
        &mut self.pages[last]
    }

    fn words(&mut self, x: Length, size: Length, text: &str, pale: bool, role: Role) {
        let mark = Mark { x, y: self.y, size, text: drawable(text), pale, role };
        self.page().marks.push(mark);
    }

    /// A full-width paragraph followed by some space.
    fn paragraph(&mut self, size: Length, text: &str, pale: bool, role: Role) {
        for line in pdf::lines(&drawable(text), size, RIGHT - LEFT) {
            if self.y > BOTTOM + 1_500 {
                self.turn();
            }
            self.words(LEFT, size, &line, pale, role);
            self.y += size + size / 2;
        }
    }

    fn turn(&mut self) {
        self.pages.push(Page::default());
        self.y = TOP;
    }

    fn rule(&mut self) {
        let y = self.y;
        self.page().rules.push((LEFT, RIGHT, y));
    }

    /// The column headers; after the first page they only repeat.
    fn heads(&mut self, first: bool) {
        for (place, (head, left, right, at_right)) in COLUMNS.into_iter().enumerate() {
            let x = if at_right { right - width(head, SMALL) } else { left };
            let role = if first { Role::Head(place) } else { Role::Repeated };
            self.words(x, SMALL, head, true, role);
        }
        self.y += 500;
        self.rule();
        self.y += STEP + 200;
    }
}

fn laid_out(of: &Statement) -> Vec<Page> {
    let mut paper = Paper { pages: Vec::new(), y: TOP };
    paper.paragraph(1_700, &format!("Statement of payments {}", of.year), false, Role::Title);
    paper.y += 600;
    let mut intro = vec![(of.payee.clone(), false)];
    intro.extend(of.company.iter().map(|company| (company.clone(), false)));
    let span = format!("1 January to 31 December {} (UTC), as known on {}.", of.year, of.as_of);
    intro.push((span, true));
    for (place, (text, pale)) in intro.iter().enumerate() {
        paper.paragraph(if place == 0 { 1_200 } else { TEXT }, text, *pale, Role::Before(place));
    }
    paper.y += 1_400;
    if of.payments.is_empty() {
        paper.paragraph(TEXT, "Nothing was paid in this year.", false, Role::After(0));
    } else {
        table(&mut paper, of);
        sums(&mut paper, of);
    }
    paper.y += 800;
    paper.paragraph(SMALL, NOT_A_CERTIFICATE, true, Role::After(2_000));
    feet(&mut paper, of);
    paper.pages
}

const NOT_A_CERTIFICATE: &str = "This statement lists payments as the payer's records have them. It is no certificate \
    for an authority, no invoice and no tax form; a tax form, where one is due, is sent separately. Amounts are in the \
    currency they were paid in, and nothing is converted.";

fn table(paper: &mut Paper, of: &Statement) {
    paper.heads(true);
    for (row, payment) in of.payments.iter().enumerate() {
        let cells = [
            payment.number.clone(),
            payment.day.clone(),
            payment.to.clone(),
            cash(payment.amount),
            if payment.fee.minor == 0 { "–".to_owned() } else { payment.fee.decimal() },
            cash(payment.net),
            payment.status.clone(),
        ];
        let fitted = cells
            .iter()
            .zip(COLUMNS)
            .map(|(text, (_, left, right, _))| pdf::lines(&drawable(text), SMALL, right - left - 200));
        let fitted: Vec<Vec<String>> = fitted.collect();
        let tall = fitted.iter().map(Vec::len).max().unwrap_or(1);
        let tall = Length::try_from(tall).unwrap_or(1).saturating_mul(STEP);
        if paper.y.saturating_add(tall) > BOTTOM {
            paper.turn();
            paper.heads(false);
        }
        let top = paper.y;
        for (place, (lines, (_, left, right, at_right))) in fitted.iter().zip(COLUMNS).enumerate() {
            for line in lines {
                let x = if at_right { right - width(line, SMALL) } else { left };
                paper.words(x, SMALL, line, false, Role::Cell(row, place));
                paper.y += STEP;
            }
            paper.y = top;
        }
        paper.y = top + tall + 350;
    }
    paper.y -= 700;
    paper.rule();
    paper.y += STEP + 500;
}

fn sums(paper: &mut Paper, of: &Statement) {
    let mut sums = BTreeMap::<Currency, (usize, [i128; 3])>::new();
    for payment in of.payments.iter().filter(|payment| payment.counts) {
        let (count, of_currency) = sums.entry(payment.net.currency).or_default();
        *count += 1;
        let minor = [payment.amount.minor, payment.fee.minor, payment.net.minor];
        for (sum, minor) in of_currency.iter_mut().zip(minor) {
            *sum += i128::from(minor);
        }
    }
    let left_out = of.payments.iter().filter(|payment| !payment.counts).count();
    for (place, (currency, (count, [amount, fee, net]))) in sums.iter().enumerate() {
        let payments = if *count == 1 { "payment" } else { "payments" };
        let money = |minor: i128| Sum::new(minor, *currency).decimal();
        let mut told = format!("Total {currency}: {} in {count} {payments}", money(*net));
        if *fee != 0 {
            told = format!("{told} (amount {}, fees {})", money(*amount), money(*fee));
        }
        paper.paragraph(TEXT, &format!("{told}."), false, Role::After(place));
    }
    if sums.is_empty() {
        paper.paragraph(TEXT, "No payment of this year is complete.", false, Role::After(0));
    }
    if left_out > 0 {
        let told = "The totals count payments that succeeded or were made outside; the others are listed with how they stand.";
        paper.paragraph(SMALL, told, true, Role::After(1_000));
    }
}

/// The footer of every page: whose statement, and the page number of how many.
fn feet(paper: &mut Paper, of: &Statement) {
    let count = paper.pages.len();
    let whose = pdf::lines(&drawable(&format!("{} · {}", of.payee, of.year)), SMALL, RIGHT - LEFT - 8_000);
    for (place, page) in paper.pages.iter_mut().enumerate() {
        let told = format!("Page {} of {count}", place + 1);
        let mark = |x, text: &str| Mark {
            x,
            y: HEIGHT - 3_600,
            size: SMALL,
            text: text.to_owned(),
            pale: true,
            role: Role::Repeated,
        };
        page.marks.push(mark(LEFT, whose.first().map_or("", String::as_str)));
        page.marks.push(mark(RIGHT - width(&told, SMALL), &told));
    }
}

fn cash(money: Money) -> String {
    format!("{} {}", money.decimal(), money.currency)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(payments: usize) -> Statement {
        let payment = |number: usize| Payment {
            number: format!("PT-{number:06}"),
            day: "2026-03-02".to_owned(),
            to: "PayPal a***@example.com".to_owned(),
            amount: Money::new(42_000, Currency::USD),
            fee: Money::new(0, Currency::USD),
            net: Money::new(42_000, Currency::USD),
            status: "Success".to_owned(),
            counts: true,
        };
        Statement {
            payee: "Ana Lima ".repeat(30),
            company: Some("Acme & Sons".to_owned()),
            year: 2026,
            as_of: "2026-03-02".to_owned(),
            payments: (1..=payments).map(payment).collect(),
        }
    }

    #[test]
    fn a_thousand_payments_take_pages_and_nothing_leaves_the_paper() {
        let pages = laid_out(&statement(1_000));
        assert!(pages.len() > 15, "{}", pages.len());
        for mark in pages.iter().flat_map(|page| &page.marks) {
            assert!(mark.y < HEIGHT && mark.x >= LEFT, "{mark:?}");
            assert!(mark.x + width(&mark.text, mark.size) <= RIGHT + 100, "{mark:?}");
        }
        let cells = pages.iter().flat_map(|page| &page.marks);
        let numbers = cells.filter(|mark| matches!(mark.role, Role::Cell(_, 0))).count();
        assert_eq!(numbers, 1_000);
    }

    #[test]
    fn the_same_statement_makes_the_same_bytes() {
        let (one, other) = (pdf(&statement(60)).unwrap(), pdf(&statement(60)).unwrap());
        assert!(one.starts_with(b"%PDF-") && one == other);
        assert!(pdf(&statement(0)).unwrap().len() < one.len());
    }
}
