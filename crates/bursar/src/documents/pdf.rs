//! Pages of text as a PDF with structure tags for screen readers: a title, paragraphs, one table. The same input
//! produces the same bytes. Not here: contents and layout, which are in each document's own file.
//!
//! The font is DejaVu Sans (`assets/fonts`), which covers Latin, Greek, Cyrillic, Arabic, Hebrew and more; missing
//! characters are drawn as a box.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::LazyLock;

use krilla::SerializeSettings;
use krilla::color::rgb;
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::Metadata;
use krilla::num::NormalizedF32;
use krilla::page::PageSettings;
use krilla::paint::Fill;
use krilla::surface::Surface;
use krilla::tagging::{
    Artifact, ArtifactType, ContentTag, Identifier, TableHeaderScope, Tag, TagGroup, TagTree,
};
use krilla::text::{Font, TextDirection};
use ttf_parser::Face;

/// A length in hundredths of a point (72 points are an inch), as an integer like all values here.
pub type Length = i32;

/// A4 portrait width.
pub const WIDTH: Length = 59_500;
/// A4 portrait height.
pub const HEIGHT: Length = 84_200;

const TYPEFACE: &[u8] = include_bytes!("../../assets/fonts/DejaVuSans.ttf");
/// The replacement for a character missing in the font.
const BOX: char = '\u{25a1}';

static FACE: LazyLock<Option<Face<'static>>> = LazyLock::new(|| Face::parse(TYPEFACE, 0).ok());

/// The structural role of a text, for screen readers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// A line above the title: the sender's name and address.
    Letterhead(usize),
    /// The title of the document.
    Title,
    /// A paragraph before the table.
    Before(usize),
    /// A header cell of the table.
    Head(usize),
    /// A cell of the table: row and column.
    Cell(usize, usize),
    /// A paragraph after the table.
    After(usize),
    /// Repeated on every page and skipped by screen readers.
    Repeated,
}

/// Text at a position: its left end and baseline, from the top left of the page.
#[derive(Clone, Debug)]
pub struct TextRun {
    pub x: Length,
    pub y: Length,
    /// The font size, in the units of [`Length`].
    pub size: Length,
    pub text: String,
    pub pale: bool,
    pub role: Role,
}

/// A page: texts and horizontal lines.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub marks: Vec<TextRun>,
    /// Horizontal lines: left end, right end, and distance from the top.
    pub rules: Vec<(Length, Length, Length)>,
}

/// Replaces every character that the font lacks with a box.
pub fn drawable(text: &str) -> String {
    let has = |letter: char| FACE.as_ref().is_some_and(|face| face.glyph_index(letter).is_some());
    let drawn = |letter: char| match letter {
        letter if letter.is_control() => ' ',
        letter if has(letter) => letter,
        _ => BOX,
    };
    text.chars().map(drawn).collect()
}

/// The width of a text.
pub fn width(text: &str, size: Length) -> Length {
    let Some(face) = FACE.as_ref() else { return 0 };
    let advance =
        |letter| face.glyph_index(letter).and_then(|glyph| face.glyph_hor_advance(glyph)).unwrap_or(0);
    let units: i64 = text.chars().map(|letter| i64::from(advance(letter))).sum();
    let wide = units.saturating_mul(i64::from(size)) / i64::from(face.units_per_em().max(1));
    Length::try_from(wide).unwrap_or(Length::MAX)
}

/// Wraps text into lines no wider than `most`: between words, and inside a word only if it is too wide itself.
pub fn lines(text: &str, size: Length, most: Length) -> Vec<String> {
    let mut lines = vec![String::new()];
    // An amount must not break at its own spaces: French groups digits with a narrow one.
    let breaks = |letter: char| letter.is_whitespace() && !matches!(letter, '\u{a0}' | '\u{202f}');
    for word in text.split(breaks).filter(|word| !word.is_empty()) {
        let last = lines.last().cloned().unwrap_or_default();
        let longer = if last.is_empty() { word.to_owned() } else { format!("{last} {word}") };
        if width(&longer, size) <= most {
            lines.pop();
            lines.push(longer);
            continue;
        }
        if last.is_empty() {
            lines.pop();
        }
        lines.extend(pieces(word, size, most));
    }
    lines
}

/// Splits a word into pieces that each fit.
fn pieces(word: &str, size: Length, most: Length) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for letter in word.chars() {
        let mut longer = pieces.last().cloned().unwrap_or_default();
        let empty = longer.is_empty();
        longer.push(letter);
        if empty || width(&longer, size) <= most {
            pieces.pop();
            pieces.push(longer);
        } else {
            pieces.push(letter.to_string());
        }
    }
    pieces
}

/// The pages as a PDF in a language, such as `en`.
///
/// # Errors
/// If it cannot be created, which would be a bug.
pub fn written(title: &str, language: &str, pages: &[Page]) -> Result<Vec<u8>, String> {
    let font = Font::new(TYPEFACE.into(), 0).ok_or("the typeface cannot be read")?;
    let mut document = krilla::Document::new_with(SerializeSettings::default());
    let mut read = Read::default();
    for page in pages {
        let size = PageSettings::from_wh(points(WIDTH), points(HEIGHT)).ok_or("a page of no size")?;
        let mut drawn = document.start_page_with(size);
        let mut surface = drawn.surface();
        for (from, to, y) in &page.rules {
            rule(&mut surface, *from, *to, *y);
        }
        for mark in &page.marks {
            let identifier = draw(&mut surface, &font, mark);
            read.note(mark.role, identifier);
        }
        surface.finish();
        drawn.finish();
    }
    document.set_metadata(
        Metadata::new().title(title.to_owned()).language(language.to_owned()).creator("Bursar".to_owned()),
    );
    document.set_tag_tree(read.tree(language));
    document.finish().map_err(|error| format!("{error:?}"))
}

fn draw(surface: &mut Surface<'_>, font: &Font, mark: &TextRun) -> Option<Identifier> {
    let shade = if mark.pale { rgb::Color::new(0x5b, 0x60, 0x68) } else { rgb::Color::new(0x14, 0x17, 0x1c) };
    surface.set_fill(Some(Fill {
        paint: shade.into(),
        opacity: NormalizedF32::ONE,
        rule: Default::default(),
    }));
    let repeated = mark.role == Role::Repeated;
    let tag = match repeated {
        true => ContentTag::Artifact(Artifact::with_kind(ArtifactType::PaginationOther)),
        false => ContentTag::Other,
    };
    let identifier = surface.start_tagged(tag);
    let at = Point::from_xy(points(mark.x), points(mark.y));
    surface.draw_text(at, font.clone(), points(mark.size), &mark.text, false, TextDirection::Auto);
    surface.end_tagged();
    (!repeated).then_some(identifier)
}

fn rule(surface: &mut Surface<'_>, from: Length, to: Length, y: Length) {
    let grey = rgb::Color::new(0xc9, 0xcd, 0xd3);
    surface.set_fill(Some(Fill {
        paint: grey.into(),
        opacity: NormalizedF32::ONE,
        rule: Default::default(),
    }));
    surface.start_tagged(ContentTag::Artifact(Artifact::with_kind(ArtifactType::Layout)));
    if let Some(line) = Rect::from_ltrb(points(from), points(y), points(to), points(y + 50)) {
        let mut path = PathBuilder::new();
        path.push_rect(line);
        if let Some(path) = path.finish() {
            surface.draw_path(&path);
        }
    }
    surface.end_tagged();
}

/// Formats and parses instead of dividing, to avoid floating-point arithmetic.
fn points(length: Length) -> f32 {
    let (sign, length) = if length < 0 { ("-", length.unsigned_abs()) } else { ("", length.unsigned_abs()) };
    format!("{sign}{}.{:02}", length / 100, length % 100).parse().unwrap_or_default()
}

/// The rendered texts in reading order.
#[derive(Default)]
struct Read {
    parts: BTreeMap<Role, Vec<Identifier>>,
}

impl Read {
    fn note(&mut self, role: Role, identifier: Option<Identifier>) {
        if let Some(identifier) = identifier {
            self.parts.entry(role).or_default().push(identifier);
        }
    }

    fn tree(self, language: &str) -> TagTree {
        let mut tree = TagTree::new().with_lang(Some(language.to_owned()));
        let (mut head, mut heads, mut after) = (TagGroup::new(Tag::TR), 0, Vec::new());
        let mut rows: Vec<Row> = Vec::new();
        // Roles are in reading order: letterhead, title, before, heads, cells row by row, after.
        for (role, identifiers) in self.parts {
            match role {
                Role::Letterhead(_) => tree.push(group(TagGroup::new(Tag::P), identifiers)),
                Role::Title => tree.push(group(TagGroup::new(Tag::Hn(NonZeroU16::MIN, None)), identifiers)),
                Role::Before(_) => tree.push(group(TagGroup::new(Tag::P), identifiers)),
                Role::Head(_) => {
                    heads += 1;
                    head.push(group(TagGroup::new(Tag::TH(TableHeaderScope::Column)), identifiers));
                }
                Role::Cell(of, column) => {
                    if rows.last().is_none_or(|row| row.of != of) {
                        rows.push(Row { of, cells: 0, group: TagGroup::new(Tag::TR) });
                    }
                    if let Some(row) = rows.last_mut() {
                        row.fill(column);
                        row.group.push(group(TagGroup::new(Tag::TD), identifiers));
                        row.cells += 1;
                    }
                }
                Role::After(_) => after.push(group(TagGroup::new(Tag::P), identifiers)),
                Role::Repeated => {}
            }
        }
        if heads > 0 {
            let mut table = TagGroup::new(Tag::Table);
            table.push(head);
            for mut row in rows {
                row.fill(heads);
                table.push(row.group);
            }
            tree.push(table);
        }
        after.into_iter().for_each(|part| tree.push(part));
        tree
    }
}

/// A row of the table in reading order. Empty cells are kept, so the following cells stay under their headers.
struct Row {
    of: usize,
    cells: usize,
    group: TagGroup,
}

impl Row {
    fn fill(&mut self, to: usize) {
        for _ in self.cells..to {
            self.group.push(TagGroup::new(Tag::TD));
        }
        self.cells = self.cells.max(to);
    }
}

fn group(mut group: TagGroup, identifiers: Vec<Identifier>) -> TagGroup {
    identifiers.into_iter().for_each(|identifier| group.push(identifier));
    group
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_broken_where_they_fit_and_no_letter_is_lost() {
        let name = "Bartholomew ".repeat(8) + &"x".repeat(120);
        let broken = lines(&name, 1_000, 10_000);
        assert!(broken.len() > 8);
        assert!(broken.iter().all(|line| width(line, 1_000) <= 10_000), "{broken:?}");
        let letters = |text: &str| text.chars().filter(|letter| !letter.is_whitespace()).collect::<String>();
        assert_eq!(letters(&broken.concat()), letters(&name));
        assert_eq!(lines("", 1_000, 10_000), [""]);
    }

    #[test]
    fn a_letter_that_the_typeface_has_not_is_a_box() {
        assert_eq!(drawable("Łukasz Ωμέγα Иван"), "Łukasz Ωμέγα Иван");
        assert_eq!(drawable("田\u{7}a"), "□ a");
        assert_eq!(points(-1_205).to_string(), "-12.05");
    }
}
