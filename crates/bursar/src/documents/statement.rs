//! A payee's yearly statement as a PDF: payer and payee, every payment with the rewards it covers, the totals, and what the
//! statement is not. Not here: selecting the payments (`ops::statements`).

use std::collections::BTreeMap;

use payout::money::{Currency, Money, Sum};

use super::paper::{self, Cells, Column, LEFT, Payer, PdfLayout, RIGHT, SMALL, STEP, TEXT, fitted};
use super::pdf::{self, Length, Page, Role};
use super::words::Words;
use crate::mail::Language;

#[derive(Clone, Debug)]
pub struct Statement {
    pub language: Language,
    pub payer: Payer,
    /// Who was paid.
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
    pub rewards: Vec<Reward>,
}

/// A reward covered by a payment.
#[derive(Clone, Debug)]
pub struct Reward {
    /// `RW-000231`.
    pub number: String,
    pub activity: String,
    /// Who earned it, if not the payee.
    pub owner: Option<String>,
    /// The amount; negative for a clawback.
    pub amount: Money,
}

const COLUMNS: [Column; 7] = [
    (LEFT, 10_500, false),
    (10_500, 15_400, false),
    (15_400, 27_500, false),
    (27_500, 34_600, true),
    (34_800, 39_200, true),
    (39_400, 46_900, true),
    (47_500, RIGHT, false),
];

/// The rewards' descriptions, below the date and the destination.
const FOR_WHAT: Column = (10_500, 27_500, false);

/// The statement as a PDF. The same statement produces the same bytes.
///
/// # Errors
/// The PDF cannot be made, which would be a bug.
pub fn pdf(of: &Statement) -> Result<Vec<u8>, String> {
    let words = Words::of(of.language);
    let title = format!("{}: {}", titled(of, words), of.payee);
    pdf::written(&title, words.code, &laid_out(of))
}

fn titled(of: &Statement, words: &Words) -> String {
    words.title.replace("{year}", &of.year.to_string())
}

fn laid_out(of: &Statement) -> Vec<Page> {
    let words = Words::of(of.language);
    let t = words;
    let heads = vec![t.payment, t.date, t.to, t.amount, t.fee, t.net, t.status];
    let mut paper = PdfLayout::new(of.language, &COLUMNS, heads);
    paper::letterhead(&mut paper, &of.payer);
    paper.paragraph(1_700, &titled(of, words), false, Role::Title);
    paper.y += 500;
    let to: Vec<&str> = std::iter::once(of.payee.as_str()).chain(of.company.as_deref()).collect();
    paper.fact(words.paid_to, &to, 0);
    paper.fact(words.period, &[&words.span.replace("{year}", &of.year.to_string())], 1);
    paper.fact(words.made_on, &[&of.as_of], 2);
    let sums = sums_of(of);
    let first: Vec<String> = sums.values().map(|sum| paper.cash(sum.net)).collect();
    if !first.is_empty() {
        paper.y += 700;
        paper.paragraph(1_400, &first.join("   ·   "), false, Role::Before(3));
    }
    paper.y += 900;
    if of.payments.is_empty() {
        paper.paragraph(TEXT, words.none, false, Role::After(0));
    } else {
        table(&mut paper, of);
        totals(&mut paper, of, &sums);
    }
    paper.y += 800;
    paper.paragraph(SMALL, words.note, true, Role::After(2_000));
    if !of.payer.support.is_empty() {
        let message = words.questions.replace("{address}", &of.payer.support);
        paper.paragraph(SMALL, &message, true, Role::After(2_001));
    }
    paper::page_footers(&mut paper, &format!("{} · {}", of.payee, of.year));
    paper.pages
}

fn table(paper: &mut PdfLayout, of: &Statement) {
    paper.heads(true);
    let mut row = 0;
    for payment in &of.payments {
        let cells = payment_cells(paper, payment);
        let rewards: Vec<(Cells, Length)> =
            payment.rewards.iter().map(|reward| reward_cells(paper, reward)).collect();
        // Keep a payment on the same page as its first reward.
        let first = rewards.first().map_or(0, |(_, tall)| *tall);
        paper.room(cells.1.saturating_add(first));
        for (cells, pale) in std::iter::once((&cells, false)).chain(rewards.iter().map(|one| (one, true))) {
            paper.room(cells.1);
            paper.row(row, cells, pale);
            row += 1;
        }
        paper.y += 450;
    }
    paper.y -= 700;
    paper.rule();
    paper.y += STEP + 500;
}

fn payment_cells(paper: &PdfLayout, payment: &Payment) -> (Cells, Length) {
    let cells = [
        payment.number.clone(),
        payment.day.clone(),
        payment.to.clone(),
        paper.cash(payment.amount),
        if payment.fee.minor == 0 { "–".to_owned() } else { paper.number(payment.fee) },
        paper.cash(payment.net),
        payment.status.clone(),
    ];
    fitted(
        cells.into_iter().zip(COLUMNS).enumerate().map(|(at, (text, column))| (at, column, text)).collect(),
    )
}

fn reward_cells(paper: &PdfLayout, reward: &Reward) -> (Cells, Length) {
    let [(left, right, _), _, _, amount, ..] = COLUMNS;
    let owner = reward.owner.as_ref().map(|name| paper.words.earned_by.replace("{name}", name));
    let what: Vec<&str> = std::iter::once(reward.activity.as_str()).chain(owner.as_deref()).collect();
    fitted(vec![
        (0, (left + 500, right, false), reward.number.clone()),
        (1, FOR_WHAT, what.join(", ")),
        (3, amount, paper.number(reward.amount)),
    ])
}

/// The totals of one currency.
struct Total {
    count: usize,
    amount: Sum,
    fee: Sum,
    net: Sum,
}

/// The totals of what payees kept, by currency.
fn sums_of(of: &Statement) -> BTreeMap<Currency, Total> {
    let mut sums = BTreeMap::<Currency, Total>::new();
    for payment in of.payments.iter().filter(|payment| payment.counts) {
        let nothing = Sum::new(0, payment.net.currency);
        let total = sums.entry(payment.net.currency).or_insert(Total {
            count: 0,
            amount: nothing,
            fee: nothing,
            net: nothing,
        });
        total.count += 1;
        total.amount.minor += i128::from(payment.amount.minor);
        total.fee.minor += i128::from(payment.fee.minor);
        total.net.minor += i128::from(payment.net.minor);
    }
    sums
}

fn totals(paper: &mut PdfLayout, of: &Statement, sums: &BTreeMap<Currency, Total>) {
    let t = paper.words;
    for (place, (currency, total)) in sums.iter().enumerate() {
        let sum = t.total.replace("{currency}", currency.code()).replace("{sum}", &paper.number(total.net));
        let count = match total.count {
            1 => t.one_payment.to_owned(),
            many => t.some_payments.replace("{count}", &many.to_string()),
        };
        let mut line = format!("{sum} {count}");
        if total.fee.minor != 0 {
            let (amount, fees) = (paper.number(total.amount), paper.number(total.fee));
            line = format!("{line} {}", t.with_fees.replace("{amount}", &amount).replace("{fees}", &fees));
        }
        paper.paragraph(TEXT, &format!("{line}."), false, Role::After(place));
    }
    if sums.is_empty() {
        paper.paragraph(TEXT, t.none_complete, false, Role::After(0));
    }
    if of.payments.iter().any(|payment| !payment.counts) {
        paper.paragraph(SMALL, t.left_out, true, Role::After(1_000));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::pdf::{HEIGHT, TextRun, width};

    fn statement(payments: usize) -> Statement {
        let usd = |minor| Money::new(minor, Currency::USD);
        let reward = |number: usize| Reward {
            number: format!("RW-{number:06}"),
            activity: "Deal registration".to_owned(),
            owner: number.is_multiple_of(2).then(|| "Bo Ek".to_owned()),
            amount: usd(1_450_000),
        };
        let payment = |number: usize| Payment {
            number: format!("PT-{number:06}"),
            day: "2026-03-02".to_owned(),
            to: "PayPal a***@example.com".to_owned(),
            amount: usd(4_350_000),
            fee: usd(0),
            net: usd(4_350_000),
            status: "Success".to_owned(),
            counts: true,
            rewards: (1..=3).map(reward).collect(),
        };
        Statement {
            language: Language::En,
            payer: Payer {
                name: "Nordwind Handels GmbH".to_owned(),
                address: "Hafenstraße 4\n20457 Hamburg".to_owned(),
                support: "partners@nordwind.example".to_owned(),
            },
            payee: "Ana Lima ".repeat(30),
            company: Some("Acme & Sons".to_owned()),
            year: 2026,
            as_of: "2026-03-02".to_owned(),
            payments: (1..=payments).map(payment).collect(),
        }
    }

    #[test]
    fn a_thousand_payments_take_pages_and_nothing_leaves_the_paper() {
        for language in Language::ALL {
            let pages = laid_out(&Statement { language, ..statement(1_000) });
            assert!(pages.len() > 15, "{}", pages.len());
            for mark in pages.iter().flat_map(|page| &page.marks) {
                assert!(mark.y < HEIGHT && mark.x >= LEFT, "{mark:?}");
                assert!(mark.x + width(&mark.text, mark.size) <= RIGHT + 100, "{mark:?}");
            }
            let cells = pages.iter().flat_map(|page| &page.marks);
            let numbers = cells.filter(|mark| matches!(mark.role, Role::Cell(_, 0))).count();
            assert_eq!(numbers, 4_000, "a payment and three rewards each");
            let heads = |page: &Page| page.marks.iter().any(|mark| mark.text == Words::of(language).net);
            assert!(pages[..pages.len() - 1].iter().all(heads), "each page has the heads of the columns");
        }
    }

    #[test]
    fn a_payment_stands_on_the_page_of_its_first_reward() {
        for page in laid_out(&statement(300)) {
            let cells: Vec<&TextRun> =
                page.marks.iter().filter(|mark| matches!(mark.role, Role::Cell(_, 0))).collect();
            assert!(cells.last().is_none_or(|last| last.text.starts_with("RW-")), "{cells:?}");
        }
    }

    #[test]
    fn amounts_are_written_and_grouped_as_the_language_does() {
        let said = |language| {
            let pages = laid_out(&Statement { language, ..statement(2) });
            pages.iter().flat_map(|page| &page.marks).map(|mark| mark.text.clone()).collect::<Vec<_>>()
        };
        let english = said(Language::En);
        for text in ["87,000.00 USD", "Total USD: 87,000.00 in 2 payments.", "14,500.00", "RW-000001"] {
            assert!(english.iter().any(|one| one == text), "no {text:?} in {english:?}");
        }
        let german = said(Language::De);
        assert!(german.iter().any(|one| one == "Summe USD: 87.000,00 in 2 Zahlungen."), "{german:?}");
        assert_eq!(said(Language::Ja), english, "the typeface has no Japanese letters");
    }

    #[test]
    fn the_same_statement_makes_the_same_bytes() {
        let (one, other) = (pdf(&statement(60)).unwrap(), pdf(&statement(60)).unwrap());
        assert!(one.starts_with(b"%PDF-") && one == other);
        assert!(pdf(&statement(0)).unwrap().len() < one.len());
    }
}
