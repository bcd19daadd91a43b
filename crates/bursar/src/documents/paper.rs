//! A multi-page document: a letterhead, paragraphs, labeled facts, one table whose header repeats, and a footer. Not here:
//! what a document says (`statement`, `tax_form`), and writing the PDF (`pdf`).

use payout::money::Sum;

use super::pdf::{self, HEIGHT, Length, Page, Role, TextRun, WIDTH, drawable, width};
use super::words::Words;
use crate::mail::Language;

/// The operating company. Fields that were not configured are empty.
#[derive(Clone, Debug, Default)]
pub struct Payer {
    pub name: String,
    /// The postal address, with line breaks.
    pub address: String,
    pub support: String,
}

pub(super) const LEFT: Length = 4_800;
pub(super) const RIGHT: Length = WIDTH - LEFT;
pub(super) const TOP: Length = 6_000;
/// The table ends here; the page footer is below.
pub(super) const BOTTOM: Length = HEIGHT - 6_500;
pub(super) const SMALL: Length = 750;
pub(super) const TEXT: Length = 950;
pub(super) const STEP: Length = 1_050;
/// The left end of a fact's value.
pub(super) const FACT: Length = LEFT + 7_500;
/// The letterhead's lines end left of this.
pub(super) const MIDDLE: Length = 33_000;

/// A column: left end, right end, and whether its text is right-aligned.
pub(super) type Column = (Length, Length, bool);

/// A document being laid out, with the position of the next text.
pub(super) struct PdfLayout {
    pub(super) pages: Vec<Page>,
    pub(super) y: Length,
    pub(super) words: &'static Words,
    language: Language,
    columns: &'static [Column],
    heads: Vec<&'static str>,
}

impl PdfLayout {
    /// An empty document whose table has these columns and headers.
    pub(super) fn new(language: Language, columns: &'static [Column], heads: Vec<&'static str>) -> Self {
        Self { pages: Vec::new(), y: TOP, words: Words::of(language), language, columns, heads }
    }

    pub(super) fn page(&mut self) -> &mut Page {
        if self.pages.is_empty() {
            self.pages.push(Page::default());
        }
        let last = self.pages.len() - 1;
        &mut self.pages[last]
    }

    pub(super) fn words(&mut self, x: Length, size: Length, text: &str, pale: bool, role: Role) {
        let mark = TextRun { x, y: self.y, size, text: drawable(text), pale, role };
        self.page().marks.push(mark);
    }

    /// A paragraph over the full width.
    pub(super) fn paragraph(&mut self, size: Length, text: &str, pale: bool, role: Role) {
        for line in pdf::lines(&drawable(text), size, RIGHT - LEFT) {
            if self.y > BOTTOM + 1_500 {
                self.turn();
            }
            self.words(LEFT, size, &line, pale, role);
            self.y += size + size / 2;
        }
    }

    /// A label and its value next to it.
    pub(super) fn fact(&mut self, label: &str, told: &[&str], place: usize) {
        self.words(LEFT, SMALL, label, true, Role::Before(place));
        for line in told.iter().flat_map(|text| pdf::lines(&drawable(text), TEXT, RIGHT - FACT)) {
            self.words(FACT, TEXT, &line, false, Role::Before(place));
            self.y += TEXT + TEXT / 2;
        }
        self.y += 250;
    }

    pub(super) fn turn(&mut self) {
        self.pages.push(Page::default());
        self.y = TOP;
    }

    pub(super) fn rule(&mut self) {
        let y = self.y;
        self.page().rules.push((LEFT, RIGHT, y));
    }

    /// The table header; after the first page it is marked as repeated.
    pub(super) fn heads(&mut self, first: bool) {
        let (columns, heads) = (self.columns, self.heads.clone());
        for (place, (head, (left, right, at_right))) in
            heads.into_iter().zip(columns.iter().copied()).enumerate()
        {
            let x = if at_right { right - width(head, SMALL) } else { left };
            let role = if first { Role::Head(place) } else { Role::Repeated };
            self.words(x, SMALL, head, true, role);
        }
        self.y += 500;
        self.rule();
        self.y += STEP + 200;
    }

    pub(super) fn number(&self, amount: impl Into<Sum>) -> String {
        self.language.decimal(&amount.into().decimal())
    }

    pub(super) fn cash(&self, amount: impl Into<Sum>) -> String {
        let sum = amount.into();
        format!("{} {}", self.number(sum), sum.currency)
    }
}

/// The payer's name and address; nothing if neither is configured.
pub(super) fn letterhead(paper: &mut PdfLayout, payer: &Payer) {
    if payer.name.is_empty() && payer.address.is_empty() {
        return;
    }
    let lines = std::iter::once((payer.name.as_str(), 1_100, false))
        .chain(payer.address.lines().map(|line| (line, SMALL, true)))
        .filter(|(text, ..)| !text.trim().is_empty());
    for (place, (text, size, pale)) in lines.enumerate() {
        for line in pdf::lines(&drawable(text), size, MIDDLE - LEFT) {
            paper.words(LEFT, size, &line, pale, Role::Letterhead(place));
            paper.y += size + size / 3;
        }
    }
    paper.y += 200;
    paper.rule();
    paper.y += 2_900;
}

/// A row's cells with their columns and wrapped lines.
pub(super) type Cells = Vec<(usize, Column, Vec<String>)>;

pub(super) fn fitted(cells: Vec<(usize, Column, String)>) -> (Cells, Length) {
    let lines = |text: &str, (left, right, _): Column| pdf::lines(&drawable(text), SMALL, right - left - 200);
    let cells: Cells =
        cells.into_iter().map(|(place, column, text)| (place, column, lines(&text, column))).collect();
    let tall = cells.iter().map(|(.., lines)| lines.len()).max().unwrap_or(1);
    let tall = Length::try_from(tall).unwrap_or(1).saturating_mul(STEP);
    (cells, tall)
}

impl PdfLayout {
    pub(super) fn row(&mut self, row: usize, (cells, tall): &(Cells, Length), pale: bool) {
        let top = self.y;
        for (place, (left, right, at_right), lines) in cells {
            for line in lines {
                let x = if *at_right { right - width(line, SMALL) } else { *left };
                self.words(x, SMALL, line, pale, Role::Cell(row, *place));
                self.y += STEP;
            }
            self.y = top;
        }
        self.y = top + tall;
    }

    /// Starts a new page if a row of this height does not fit.
    pub(super) fn room(&mut self, tall: Length) {
        if self.y.saturating_add(tall) > BOTTOM {
            self.turn();
            self.heads(false);
        }
    }
}

/// The footer of every page: the document's subject and the page number.
pub(super) fn page_footers(paper: &mut PdfLayout, whose: &str) {
    let (count, t) = (paper.pages.len(), paper.words);
    let whose = pdf::lines(&drawable(whose), SMALL, RIGHT - LEFT - 8_000);
    for (place, page) in paper.pages.iter_mut().enumerate() {
        let message =
            t.page.replace("{page}", &(place + 1).to_string()).replace("{count}", &count.to_string());
        let mark = |x, text: &str| TextRun {
            x,
            y: HEIGHT - 3_600,
            size: SMALL,
            text: text.to_owned(),
            pale: true,
            role: Role::Repeated,
        };
        page.marks.push(mark(LEFT, whose.first().map_or("", String::as_str)));
        page.marks.push(mark(RIGHT - width(&message, SMALL), &message));
    }
}
