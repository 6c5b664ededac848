use std::cell::RefCell;

use encoding_rs::Encoding;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};

use crate::ingest::decode;
use crate::ingest::draft::Extracted;

/// Where a page says its encoding, if it does (HTML, 13.2.3.2, prescan).
const HEAD_BYTES: usize = 1_024;
const LINE_WIDTH: usize = 200;

/// The text of a page as a reader sees it, headings and lists as Markdown has them; its title and language.
pub(super) fn extract(bytes: &[u8]) -> Result<Extracted, String> {
    let head = &bytes[..bytes.len().min(HEAD_BYTES)];
    let encoding = Head::of(&encoding_rs::WINDOWS_1252.decode_without_bom_handling(head).0).encoding;
    let page = decode::text(bytes, encoding)?;
    let config = html2text::config::plain().link_footnotes(false).no_table_borders().allow_width_overflow();
    let content = config.string_from_read(page.as_bytes(), LINE_WIDTH);
    let content = content.map_err(|error| format!("is no HTML that can be read: {error}"))?;
    let head = Head::of(&page);
    Ok(Extracted { title: head.title, content, language: head.language, ..Extracted::default() })
}

/// What the head of a page says.
#[derive(Debug, Default, Clone)]
struct Head {
    title: Option<String>,
    language: Option<String>,
    encoding: Option<&'static Encoding>,
}

impl Head {
    fn of(page: &str) -> Self {
        let tokenizer = Tokenizer::new(Looker::default(), TokenizerOpts::default());
        let queue = BufferQueue::default();
        queue.push_back(StrTendril::from_slice(page));
        // Scripts would stop it; this sink has none run.
        let _ = tokenizer.feed(&queue);
        tokenizer.end();
        tokenizer.sink.head.take()
    }
}

#[derive(Default)]
struct Looker {
    head: RefCell<Head>,
    is_title: RefCell<bool>,
}

impl TokenSink for Looker {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut head = self.head.borrow_mut();
        match token {
            Token::TagToken(tag) => {
                let is_start = tag.kind == TagKind::StartTag;
                match tag.name.as_ref() {
                    "title" => {
                        *self.is_title.borrow_mut() = is_start && head.title.is_none();
                        if is_start {
                            return TokenSinkResult::RawData(RawKind::Rcdata);
                        }
                    }
                    "script" | "style" if is_start => return TokenSinkResult::RawData(RawKind::Rawtext),
                    "html" if is_start => head.language = language(&tag),
                    "meta" if is_start && head.encoding.is_none() => head.encoding = encoding(&tag),
                    _ => {}
                }
            }
            Token::CharacterTokens(words) if *self.is_title.borrow() => {
                head.title.get_or_insert_default().push_str(&words);
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

fn attribute<'a>(tag: &'a Tag, name: &str) -> Option<&'a str> {
    tag.attrs.iter().find(|attribute| &*attribute.name.local == name).map(|attribute| attribute.value.as_ref())
}

/// `lang` of the root, if it is a language that is known here; others are detected.
fn language(tag: &Tag) -> Option<String> {
    let code = attribute(tag, "lang")?;
    crate::documents::language::Language::from_code(code).ok().map(|language| language.code().to_owned())
}

fn encoding(tag: &Tag) -> Option<&'static Encoding> {
    let label = attribute(tag, "charset")
        .or_else(|| attribute(tag, "content")?.split_once("charset=").map(|(_, label)| label.trim()))?;
    Encoding::for_label(label.as_bytes())
}
