use std::io::{BufReader, Cursor, Read};

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};
use zip::ZipArchive;

use crate::ingest::draft::Extracted;

/// What a part may unpack to.
const LARGEST_PART_BYTES: u64 = 64 << 20;

/// The text of a Word document, headings as Markdown has them, and its title (ECMA-376, parts `word/document.xml` and
/// `docProps/core.xml`).
pub(super) fn extract(bytes: &[u8]) -> Result<Extracted, String> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| format!("is no Word document: {error}"))?;
    let body = part(&mut archive, "word/document.xml")?;
    let content = text(&body)?;
    let title = part(&mut archive, "docProps/core.xml").ok().and_then(|core| title(&core));
    Ok(Extracted { title, content, ..Extracted::default() })
}

fn part(archive: &mut ZipArchive<Cursor<&[u8]>>, name: &str) -> Result<Vec<u8>, String> {
    let file = archive.by_name(name).map_err(|_| format!("is no Word document: it has no {name}"))?;
    let mut bytes = Vec::new();
    file.take(LARGEST_PART_BYTES + 1).read_to_end(&mut bytes).map_err(|error| format!("is damaged: {error}"))?;
    if bytes.len() as u64 > LARGEST_PART_BYTES {
        return Err(format!("unpacks to more than {} MiB", LARGEST_PART_BYTES >> 20));
    }
    Ok(bytes)
}

fn text(xml: &[u8]) -> Result<String, String> {
    let mut reader = Reader::from_reader(BufReader::new(xml));
    let (mut buffer, mut text, mut is_text) = (Vec::new(), String::new(), false);
    loop {
        let event = reader.read_event_into(&mut buffer).map_err(|error| format!("is damaged: {error}"))?;
        match &event {
            Event::Start(tag) => match tag.local_name().as_ref() {
                "t" => is_text = true,
                "pStyle" => heading(tag, &mut text),
                _ => {}
            },
            Event::Empty(tag) => match tag.local_name().as_ref() {
                "tab" => text.push('\t'),
                "br" | "cr" => text.push('\n'),
                "pStyle" => heading(tag, &mut text),
                _ => {}
            },
            Event::End(tag) => match tag.local_name().as_ref() {
                "t" => is_text = false,
                "p" => text.push('\n'),
                "tr" => text.push('\n'),
                _ => {}
            },
            Event::Text(words) if is_text => text.push_str(&words.xml10_content()),
            Event::GeneralRef(name) if is_text => text.push_str(&referred(&name.xml10_content())),
            Event::Eof => return Ok(text),
            _ => {}
        }
        buffer.clear();
    }
}

/// `Heading1` to `Heading6` begin a line as Markdown's headings do, so that passages are cut there.
fn heading(style: &BytesStart<'_>, text: &mut String) {
    let value = style.attributes().flatten().find(|attribute| attribute.key.local_name().as_ref() == "val");
    let Some(value) = value else { return };
    let level = value.value.as_ref().strip_prefix("Heading").and_then(|level| level.parse::<usize>().ok());
    if let Some(level) = level.filter(|level| (1..=6).contains(level)) {
        text.push('\n');
        text.push_str(&"#".repeat(level));
        text.push(' ');
    }
}

/// What an entity stands for; nothing for one that XML does not know.
fn referred(name: &str) -> String {
    unescape(&format!("&{name};")).map(std::borrow::Cow::into_owned).unwrap_or_default()
}

fn title(xml: &[u8]) -> Option<String> {
    let mut reader = Reader::from_reader(BufReader::new(xml));
    let (mut buffer, mut title, mut is_title) = (Vec::new(), String::new(), false);
    loop {
        match reader.read_event_into(&mut buffer).ok()? {
            Event::Start(tag) => is_title = tag.local_name().as_ref() == "title",
            Event::Text(words) if is_title => title.push_str(&words.xml10_content()),
            Event::GeneralRef(name) if is_title => title.push_str(&referred(&name.xml10_content())),
            Event::End(_) if is_title => return Some(title).filter(|title| !title.trim().is_empty()),
            Event::Eof => return None,
            _ => {}
        }
        buffer.clear();
    }
}
