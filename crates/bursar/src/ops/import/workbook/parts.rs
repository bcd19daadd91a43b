//! The parts of a workbook, read piece by piece and counted while they are inflated. What the archive's directory says
//! about sizes is not trusted.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Cursor, Read};

use payout::Refusal;
use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};
use zip::ZipArchive;
use zip::read::ZipFile;

use super::{ZIP, refused};

/// What a workbook may cost.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) entries: usize,
    /// Bytes of all parts read, inflated.
    pub(super) inflated: u64,
    /// Bytes of one tag or one piece of text.
    pub(super) piece: u64,
    pub(super) sheets: usize,
    /// Rows with something in them.
    pub(super) rows: u64,
    pub(super) columns: usize,
    /// Bytes of one cell's text.
    pub(super) cell: usize,
    pub(super) strings: usize,
    /// Bytes of the resulting text, and of the shared strings.
    pub(super) text: usize,
}

impl Limits {
    pub(super) const USUAL: Self = Self {
        entries: 4_096,
        inflated: 256 << 20,
        piece: 512 << 10,
        sheets: 256,
        rows: 200_000,
        columns: 500,
        cell: 256 << 10,
        strings: 1_000_000,
        text: 32 << 20,
    };
}

/// Nothing in a workbook nests deeper.
const DEPTH: usize = 64;
/// The most relationships of a part.
const RELATED: usize = 4_096;

/// An archive that is a workbook.
pub(super) struct Book<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    limits: Limits,
    /// How many bytes may still be inflated.
    left: u64,
}

/// A part that another one refers to.
pub(super) struct Related {
    pub(super) id: String,
    kind: String,
    /// The name of the part in the archive.
    pub(super) target: String,
}

impl Related {
    /// Whether it is of this kind. The standard's editions differ in what comes before the last word.
    pub(super) fn is(&self, kind: &str) -> bool {
        self.kind.rsplit('/').next() == Some(kind)
    }
}

impl<'a> Book<'a> {
    pub(super) fn open(file: &'a [u8], limits: Limits) -> Result<Self, Refusal> {
        // Each file has such a mark in the directory, whatever number of them the directory states.
        let entries = file.windows(ZIP.len()).filter(|mark| *mark == b"PK\x01\x02").take(limits.entries + 1);
        if entries.count() > limits.entries {
            return Err(too_large(&format!("contains more than {} files", limits.entries)));
        }
        let archive = ZipArchive::new(Cursor::new(file)).map_err(|_| damaged())?;
        Ok(Self { archive, limits, left: limits.inflated })
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// The name of the part that lists the sheets.
    ///
    /// # Errors
    /// If it is another kind of archive.
    pub(super) fn workbook(&mut self) -> Result<String, Refusal> {
        let usual = "xl/workbook.xml".to_owned();
        let related = self.related("")?;
        let main = related.into_iter().find(|one| one.is("officeDocument")).map_or(usual, |one| one.target);
        let has = |name: &str| self.archive.index_for_name(name).is_some();
        let what = if main.ends_with(".bin") || has("xl/workbook.bin") {
            "a binary workbook (.xlsb)"
        } else if has("word/document.xml") {
            "a word processor document (.docx)"
        } else if has("ppt/presentation.xml") {
            "a presentation (.pptx)"
        } else if has("mimetype") && has("content.xml") {
            "an OpenDocument file (such as .ods)"
        } else if has(&main) {
            return Ok(main);
        } else {
            "an archive (such as .zip), not a workbook"
        };
        let message = format!(
            "This file is {what}. Nothing was imported. Save the table as an Excel workbook (.xlsx) or as \"CSV UTF-8\", and import that."
        );
        Err(refused("not_csv", &message))
    }

    /// The parts that a part refers to; the archive itself has no name.
    pub(super) fn related(&mut self, name: &str) -> Result<Vec<Related>, Refusal> {
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
        let list = absolute(folder, &format!("_rels/{file}.rels"));
        let mut related = Vec::new();
        let Some(mut part) = self.part(&list)? else { return Ok(related) };
        loop {
            match part.next()? {
                Item::Start(tag) if tag.is("Relationship") => {
                    if related.len() >= RELATED {
                        return Err(damaged());
                    }
                    let word = |name: &str| tag.get(name).unwrap_or_default();
                    let target = absolute(folder, &word("Target"));
                    related.push(Related { id: word("Id"), kind: word("Type"), target });
                }
                Item::Start(_) | Item::End(_) | Item::Text(_) | Item::Other => {}
                Item::Eof => return Ok(related),
            }
        }
    }

    /// Opens a part; `None` if the archive has none of this name.
    pub(super) fn part(&mut self, name: &str) -> Result<Option<Part<'_, 'a>>, Refusal> {
        let Self { archive, limits, left } = self;
        let Some(at) = archive.index_for_name(name) else { return Ok(None) };
        let file = archive.by_index(at).map_err(|_| damaged())?;
        let bounded = Bounded { inner: BufReader::new(file), left, piece: limits.piece, over: false };
        let mut reader = Reader::from_reader(bounded);
        reader.config_mut().expand_empty_elements = true;
        Ok(Some(Part { reader, buffer: Vec::new(), depth: 0, piece: limits.piece }))
    }
}

/// The name of a part in the archive, from the folder of the part that refers to it.
fn absolute(folder: &str, target: &str) -> String {
    let (folder, target) = match target.strip_prefix('/') {
        Some(target) => ("", target),
        None => (folder, target),
    };
    let mut names: Vec<&str> = Vec::new();
    for name in folder.split('/').chain(target.split('/')) {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    names.join("/")
}

/// A piece of a part.
pub(super) enum Item<'a> {
    Start(Tag<'a>),
    End(String),
    Text(Cow<'a, str>),
    /// A comment and the like.
    Other,
    Eof,
}

/// The start of an element.
pub(super) struct Tag<'a>(BytesStart<'a>);

impl Tag<'_> {
    /// Whether the element has this name, whatever its prefix.
    pub(super) fn is(&self, name: &str) -> bool {
        self.0.local_name().as_ref() == name
    }

    /// An attribute, whatever its prefix.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        // Looking for an attribute that stands twice would take the square of their number.
        let mut attributes = self.0.attributes();
        let mut all = attributes.with_checks(false).filter_map(Result::ok);
        let found = all.find(|one| one.key.local_name().as_ref() == name)?;
        unescape(&found.value).ok().map(Cow::into_owned)
    }
}

/// One part of a workbook, as a stream.
pub(super) struct Part<'a, 'f> {
    reader: Reader<Bounded<'a, 'f>>,
    buffer: Vec<u8>,
    depth: usize,
    piece: u64,
}

impl Part<'_, '_> {
    /// The next piece.
    ///
    /// # Errors
    /// If it cannot be read, or is over a limit.
    pub(super) fn next(&mut self) -> Result<Item<'_>, Refusal> {
        self.buffer.clear();
        self.reader.get_mut().piece = self.piece;
        let event = match self.reader.read_event_into(&mut self.buffer) {
            Ok(event) => event,
            Err(_) if self.reader.get_ref().over => {
                return Err(too_large("takes up too much space when it is unpacked"));
            }
            Err(_) => return Err(damaged()),
        };
        Ok(match event {
            Event::Start(tag) | Event::Empty(tag) => {
                self.depth += 1;
                if self.depth > DEPTH {
                    return Err(damaged());
                }
                Item::Start(Tag(tag))
            }
            Event::End(tag) => {
                self.depth = self.depth.saturating_sub(1);
                Item::End(tag.local_name().as_ref().to_owned())
            }
            Event::Text(text) => Item::Text(text.into_inner()),
            Event::CData(text) => Item::Text(text.into_inner()),
            Event::GeneralRef(name) => {
                let text = unescape(&format!("&{};", &*name)).map(Cow::into_owned);
                Item::Text(Cow::Owned(text.map_err(|_| damaged())?))
            }
            // Nothing that makes workbooks declares anything.
            Event::DocType(_) => return Err(damaged()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => Item::Other,
            Event::Eof if self.depth > 0 => return Err(damaged()),
            Event::Eof => Item::Eof,
        })
    }
}

/// A part's bytes, up to the limits.
struct Bounded<'a, 'f> {
    inner: BufReader<ZipFile<'a, Cursor<&'f [u8]>>>,
    left: &'a mut u64,
    /// How much of the limit of one piece is left.
    piece: u64,
    over: bool,
}

impl Read for Bounded<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Bounded<'_, '_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let most = self.piece.min(*self.left);
        if most == 0 {
            self.over = true;
            return Err(io::Error::other("over the limit"));
        }
        let bytes = self.inner.fill_buf()?;
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
        Ok(bytes.get(..most).unwrap_or(bytes))
    }

    fn consume(&mut self, amount: usize) {
        let bytes = u64::try_from(amount).unwrap_or(u64::MAX);
        self.piece = self.piece.saturating_sub(bytes);
        *self.left = self.left.saturating_sub(bytes);
        self.inner.consume(amount);
    }
}

pub(super) fn damaged() -> Refusal {
    refused(
        "workbook_unreadable",
        "This workbook is damaged, incomplete or protected with a password. Nothing was imported. Open it, remove the password, save it as an Excel workbook (.xlsx) or as \"CSV UTF-8\", and import that.",
    )
}

pub(super) fn too_large(why: &str) -> Refusal {
    let message = format!(
        "This workbook {why}. Nothing was imported. Copy only the table into a new workbook, split it into several files, or save the sheet as \"CSV UTF-8\"."
    );
    refused("workbook_too_large", &message)
}
