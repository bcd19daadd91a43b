//! Workbooks as people have them, of every kind of cell, damaged, and made to cost much.

use std::io::Write as _;

use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;

fn pack(parts: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut archive = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, part) in parts {
        archive.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        archive.write_all(part).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

const RELATED: &str = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>
<Relationship Id="rId2" Type="http://purl.oclc.org/ooxml/officeDocument/relationships/sharedStrings" Target="/xl/sharedStrings.xml"/>
<Relationship Id="rId3" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/>
</Relationships>"#;
const STYLES: &str = r#"<styleSheet><numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\-mm\-dd"/></numFmts>
<cellStyleXfs><xf numFmtId="9"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="10"/></cellXfs></styleSheet>"#;
const STRINGS: &str = r#"<sst><si><t>id</t></si><si><r><t>Rosa &amp; </t></r><r><t xml:space="preserve">Söhne </t></r><rPh><t>no</t></rPh></si></sst>"#;

/// A workbook with one sheet of these rows, and the parts that a sheet refers to.
fn parts<'a>(book: &'a str, sheet: &'a str) -> Vec<(&'static str, &'a [u8])> {
    vec![
        ("xl/workbook.xml", book.as_bytes()),
        ("xl/_rels/workbook.xml.rels", RELATED.as_bytes()),
        ("xl/styles.xml", STYLES.as_bytes()),
        ("xl/sharedStrings.xml", STRINGS.as_bytes()),
        ("xl/worksheets/sheet1.xml", sheet.as_bytes()),
    ]
}

const BOOK: &str =
    r#"<workbook><sheets><sheet name="A &amp; B" sheetId="1" r:id="rId1"/></sheets></workbook>"#;

fn book(rows: &str) -> Vec<u8> {
    let sheet = format!("<worksheet><sheetData>{rows}</sheetData></worksheet>");
    pack(&parts(BOOK, &sheet), CompressionMethod::Deflated)
}

/// The lines of a workbook's text, with bars between the fields.
fn lines(file: &[u8]) -> Vec<String> {
    let (text, _) = read(file).unwrap();
    text.lines().map(|line| line.replace(BETWEEN_FIELDS, "|")).collect()
}

fn code(file: &[u8]) -> &'static str {
    read(file).unwrap_err().code
}

#[test]
fn every_kind_of_cell_has_its_text() {
    let cells = |row: &str| {
        let file = book(&format!("<row r=\"1\"><c t=\"s\"><v>0</v></c></row><row r=\"3\">{row}</row>"));
        lines(&file).pop().unwrap()
    };
    for (cell, expected) in [
        ("<c r=\"A3\" t=\"s\"><v>1</v></c>", "Rosa & Söhne "),
        ("<c t=\"inlineStr\"><is><t>in<![CDATA[<]]>line</t></is></c>", "in<line"),
        ("<c t=\"str\"><f>X</f><v>a_x000D_&#10;b_x_\u{7}</v></c>", "a\u{1e}b_x_ "),
        ("<x:c t=\"b\"><x:v>0</x:v></x:c>", "FALSE"),
        ("<c t=\"d\"><v>2026-09-05T00:00:00</v></c>", "2026-09-05"),
        ("<c s=\"1\"><v>46270</v></c>", "2026-09-05"),
        ("<c s=\"99\"><v>46270</v></c>", "46270"),
        ("<c s=\"2\"><v>0.1</v></c>", "10%"),
        ("<c t=\"e\"><f>X</f><v>#N/A</v></c>", "\u{1a}e#N/A"),
        ("<c><v>1234567890123456</v></c>", "\u{1a}d1.23456789012346E+15"),
        ("<c><v>not &#x1f; a number</v></c>", "\u{1a}dnot   a number"),
        ("<c><f>A1</f></c>", "\u{1a}n="),
        ("<c/><c r=\"C3\"><v>5</v></c><c><v>6</v></c>", "||5|6"),
    ] {
        assert_eq!(cells(cell), expected, "{cell}");
    }
    // What a text says it is stays a text.
    let field = cells("<c t=\"str\"><v>_x001a_e</v></c>");
    assert_eq!((field.as_str(), CellFault::of(&field)), (" e", None));
}

#[test]
fn a_workbook_of_the_other_calendar_has_the_same_days() {
    let book = BOOK.replace("<sheets>", "<workbookPr date1904=\"1\"/><sheets>");
    let sheet = "<worksheet><sheetData><row><c s=\"1\"><v>44808</v></c></row></sheetData></worksheet>";
    let file = pack(&parts(&book, sheet), CompressionMethod::Stored);
    assert_eq!(lines(&file), ["2026-09-05"]);
}

#[test]
fn other_archives_are_called_what_they_are() {
    for (name, word) in [
        ("word/document.xml", ".docx"),
        ("xl/workbook.bin", ".xlsb"),
        ("ppt/presentation.xml", ".pptx"),
        ("notes.txt", ".zip"),
    ] {
        let refused = read(&pack(&[(name, b"x")], CompressionMethod::Stored)).unwrap_err();
        assert!(refused.code == "not_csv" && refused.sentence.contains(word), "{}", refused.sentence);
    }
    let parts: [(&str, &[u8]); 2] = [("mimetype", b"application/vnd.oasis"), ("content.xml", b"<x/>")];
    let refused = read(&pack(&parts, CompressionMethod::Stored)).unwrap_err();
    assert!(refused.sentence.contains("(such as .ods)"), "{}", refused.sentence);
    assert_eq!(code(&book("")), "no_rows");
    assert_eq!(code(&pack(&[("xl/workbook.xml", b"<workbook/>")], CompressionMethod::Stored)), "no_rows");
}

#[test]
fn what_is_damaged_is_refused() {
    let good = book("<row><c><v>1</v></c></row>");
    assert!(read(&good).is_ok());
    for length in 0..good.len() {
        assert_eq!(code(&good[..length]), "workbook_unreadable", "{length}");
    }
    for rows in [
        "<row r=\"2\"><c><v>1</v></c></row><row r=\"2\"/>",
        "<row r=\"1048577\"/>",
        "<row><c r=\"7\"/></row>",
        "<row><c r=\"AAAA1\"/></row>",
        "<row><c t=\"s\"><v>9</v></c></row>",
        "<row><c t=\"str\"><v>&lol;</v></c></row>",
        "<row><c></row>",
        &"<a>".repeat(100),
    ] {
        assert_eq!(code(&book(rows)), "workbook_unreadable", "{rows}");
    }
    let bomb = format!("<!DOCTYPE x [<!ENTITY lol \"lol\">]>{BOOK}");
    assert_eq!(code(&pack(&parts(&bomb, ""), CompressionMethod::Stored)), "workbook_unreadable");
}

#[test]
fn nothing_grows_beyond_its_limit() {
    let small = Limits {
        entries: 6,
        inflated: 100_000,
        piece: 10_000,
        sheets: 1,
        rows: 20,
        columns: 5,
        cell: 5_000,
        strings: 2,
        text: 20_000,
    };
    let row = |cell: &str| format!("<row>{cell}</row>");
    let why = |file: &[u8]| {
        let refused = read_within(file, small).map(|(text, _)| text.len()).unwrap_err();
        assert_eq!(refused.code, "workbook_too_large", "{}", refused.sentence);
        refused.sentence
    };
    assert!(read_within(&book(&row("<c><v>1</v></c>").repeat(20)), small).is_ok());
    let text = |bytes: usize| format!("<c t=\"str\"><v>{}</v></c>", "a".repeat(bytes));
    for (rows, word) in [
        (row("<c><v>1</v></c>").repeat(21), "more than 20 rows"),
        (row("<c r=\"F1\"><v>1</v></c>"), "more than 5 columns"),
        (row(&text(5_001)), "too much text"),
        (row(&text(4_900)).repeat(6), "MB of text"),
        (row(&text(20_000)), "unpacked"),
        ("<c/>".repeat(30_000), "unpacked"),
        (format!("<c{}/>", " a=\"\"".repeat(3_000)), "unpacked"),
    ] {
        let told = why(&book(&rows));
        assert!(told.contains(word), "{told}");
    }
    let mut all = parts(BOOK, "<worksheet/>");
    all.extend([("a", &b""[..]), ("b", &b""[..])]);
    assert!(why(&pack(&all, CompressionMethod::Stored)).contains("more than 6 files"));
    let two = BOOK.replace("</sheets>", "<sheet name=\"B\" r:id=\"rId1\"/></sheets>");
    assert!(why(&pack(&parts(&two, "<worksheet/>"), CompressionMethod::Stored)).contains("1 sheets"));
    let mut all = parts(BOOK, "<worksheet/>");
    all[3].1 = b"<sst><si/><si/><si/></sst>";
    assert!(why(&pack(&all, CompressionMethod::Stored)).contains("different texts"));
}

#[test]
fn a_bomb_stops_at_the_usual_limits() {
    // 8 MB in one piece of text.
    let bomb = book(&format!("<row><c t=\"str\"><v>{}</v></c></row>", "0".repeat(8 << 20)));
    assert!(bomb.len() < 100_000, "{}", bomb.len());
    assert_eq!(code(&bomb), "workbook_too_large");
    // One text that a hundred thousand cells refer to.
    let long = format!("<sst><si><t>{}</t></si></sst>", "a".repeat(1 << 10));
    let sheet = format!(
        "<worksheet><sheetData>{}</sheetData></worksheet>",
        "<row><c t=\"s\"><v>0</v></c></row>".repeat(100_000)
    );
    let mut all = parts(BOOK, &sheet);
    all[3].1 = long.as_bytes();
    assert_eq!(code(&pack(&all, CompressionMethod::Deflated)), "workbook_too_large");
}

/// A small workbook with all kinds of cells.
fn sample(method: CompressionMethod, change: impl Fn(&[u8], usize) -> Vec<u8>) -> Vec<u8> {
    let sheet = "<worksheet><sheetData><row r=\"2\"><c r=\"B2\" t=\"s\"><v>0</v></c><c t=\"s\"><v>1</v></c></row>\
        <row r=\"4\" spans=\"1:3\"><c r=\"B4\" s=\"1\"><v>46270.5</v></c><c s=\"2\"><v>1.25E-3</v></c><c t=\"e\"><v>#N/A</v></c>\
        <c t=\"inlineStr\"><is><t>x &lt; _x0009_</t></is></c><c t=\"b\"><f>A1</f><v>1</v></c></row></sheetData></worksheet>";
    let all = parts(BOOK, sheet);
    let changed: Vec<Vec<u8>> = all.iter().enumerate().map(|(at, (_, part))| change(part, at)).collect();
    let all: Vec<(&str, &[u8])> =
        all.iter().zip(&changed).map(|((name, _), part)| (*name, part.as_slice())).collect();
    pack(&all, method)
}

fn mutate(bytes: &mut Vec<u8>, changes: &[(usize, u8, u8)]) {
    for (at, byte, kind) in changes {
        let at = at % bytes.len().max(1);
        match kind % 4 {
            0 if at < bytes.len() => bytes[at] = *byte,
            1 => bytes.insert(at.min(bytes.len()), *byte),
            2 if at < bytes.len() => {
                bytes.remove(at);
            }
            // A copy of a piece somewhere else, so that tags stand where none should.
            3 => {
                let piece: Vec<u8> = bytes.iter().skip(at).take(usize::from(*byte)).copied().collect();
                let to = (at * 7 + usize::from(*byte)) % (bytes.len() + 1);
                drop(bytes.splice(to..to, piece));
            }
            _ => {}
        }
    }
}

/// A text of a workbook is always one that the next step reads: a line per row, and as many fields as it may have.
fn is_sound(file: &[u8]) {
    let Ok((text, _)) = read(file) else { return };
    assert!(text.ends_with('\n') && !text.contains(['\r', '\0']), "{text:?}");
    let widths: Vec<usize> = text.lines().map(|line| line.split(BETWEEN_FIELDS).count()).collect();
    let header = text.lines().position(|line| !line.is_empty()).unwrap();
    assert!(widths.iter().all(|width| *width <= widths[header]), "{text:?}");
}

proptest! {
    #[test]
    fn no_bytes_break_the_reader(
        changes in proptest::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..12),
        stored in any::<bool>(),
        part in 0_usize..5,
    ) {
        let method = if stored { CompressionMethod::Stored } else { CompressionMethod::Deflated };
        // In the archive itself.
        let mut file = sample(method, |part, _| part.to_vec());
        mutate(&mut file, &changes);
        is_sound(&file);
        // In one part, whose checksum then fits.
        is_sound(&sample(method, |bytes, at| {
            let mut bytes = bytes.to_vec();
            if at == part {
                mutate(&mut bytes, &changes);
            }
            bytes
        }));
    }
}
