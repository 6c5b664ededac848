use pdf_extract::{Document, PlainTextOutput, output_doc};

use crate::ingest::draft::Extracted;

/// The text of a PDF's pages, in their order, and its title.
pub(super) fn extract(bytes: &[u8]) -> Result<Extracted, String> {
    let failed = |error: &dyn std::fmt::Display| format!("is no PDF that can be read: {error}");
    let mut document = Document::load_mem(bytes).map_err(|error| failed(&error))?;
    if document.is_encrypted() {
        // Many PDFs are encrypted with no password, against printing.
        document.decrypt("").map_err(|_| "is a PDF that needs a password".to_owned())?;
    }
    let mut content = String::new();
    output_doc(&document, &mut PlainTextOutput::new(&mut content)).map_err(|error| failed(&error))?;
    if content.trim().is_empty() {
        return Err("has no text: its pages may be pictures".to_owned());
    }
    Ok(Extracted { title: title(&document), content, ..Extracted::default() })
}

/// `Title` of the information dictionary (PDF 1.7, 14.3.3): UTF-16 with a mark, or bytes that are mostly ASCII.
fn title(document: &Document) -> Option<String> {
    let information = document.trailer.get(b"Info").ok()?;
    let information = document.dereference(information).ok()?.1.as_dict().ok()?;
    let bytes = document.dereference(information.get(b"Title").ok()?).ok()?.1.as_str().ok()?;
    let text = match encoding_rs::Encoding::for_bom(bytes) {
        Some((encoding, mark)) => encoding.decode_without_bom_handling(&bytes[mark..]).0.into_owned(),
        None => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(),
    };
    Some(text).filter(|text| !text.trim().is_empty())
}
